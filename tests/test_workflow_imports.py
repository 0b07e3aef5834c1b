"""Rules depend on the modules that their scripts import: none is missed, and no more than needed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import recorded_imports
from conftest import ROOT
from recorded_imports import DECLARED
from workflow_runner import environment

from tlm.rules import import_closure as closures
from tlm.rules.import_closure import import_closure


@pytest.fixture(autouse=True)
def _in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_each_rule_declares_the_imports_of_its_own_script():
    rules = sum(
        path.read_text().count("\n        script=") for path in (ROOT / "workflow/rules").glob("*.smk")
    )
    assert len(DECLARED) == rules and all(script == code for script, code in DECLARED)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tlm").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_quick_parser_finds_every_import(path):
    name = str(path.relative_to(ROOT))
    imports = [each for each in closures._imported(ast.parse(path.read_text())) if each.startswith("tlm.")]
    assert {file for each in imports for file in closures._files_of(each)} <= set(closures._read_by(name))
    assert not re.search(r"^\s*from \.", path.read_text(), re.M), "relative imports are not followed"


def test_a_closure_holds_packages_function_imports_and_data_but_no_type_checking(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for cached in (closures.import_closure, closures._read_by, closures._files_of):
        monkeypatch.setattr(closures, cached.__name__, cached.__wrapped__)
    files = {
        "tlm/a/__init__.py": "",
        "tlm/a/b.py": "from importlib.resources import files\ndef f():\n    from tlm.c import (\n        d,\n    )\n",
        "tlm/a/page.css": "",
        "tlm/c/__init__.py": "",
        "tlm/c/d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tlm.e\n",
        "tlm/e.py": "",
        "scripts/s.py": "from tlm.process import quick_imports\nwith quick_imports():\n    from tlm.a.b import f\n",
        "tlm/process.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(closures.import_closure("scripts/s.py")) == set(files) - {
        "scripts/s.py",
        "tlm/process.py",
        "tlm/e.py",
    }


def test_closures_are_tight():
    assert "tlm/training/stage2.py" not in import_closure("scripts/stage1.py")
    assert "tlm/training/stage1.py" not in import_closure("scripts/stage2.py")
    sizes = {
        "table": 20,
        "cell": 16,
        "setting": 4,
        "settings": 11,
        "claims": 32,
        "differences": 22,
        "figure": 42,
    }
    for script, most in sizes.items():
        assert len(import_closure(f"scripts/{script}.py")) <= most, script
    for script in ("stage1", "stage2", "evaluate", "tokens", "selection", "index", "task", "corpus"):
        used = {path.split("/")[1] for path in import_closure(f"scripts/{script}.py")}
        assert not used & {"results", "plan", "rules", "store", "cost", "own", "serving"}, script


def run(script: Path, *arguments: str) -> None:
    """Run a script as the builds of the tests do."""
    env = environment(script.parent.parent)
    subprocess.run([sys.executable, script, *arguments], check=True, env=env, capture_output=True)


def test_a_script_that_imports_more_than_its_rule_declares_is_found(tmp_path):
    recorded_imports.check()
    (tmp_path / "tlm").symlink_to(ROOT / "tlm")
    script = tmp_path / "scripts/table.py"
    script.parent.mkdir()
    script.write_text("import tlm.results.tables\n")
    run(script)
    assert recorded_imports.check() == {"scripts/table.py"}
    script.write_text("import importlib\nimportlib.import_module('tlm.results.verdicts')\n")
    run(script)
    with pytest.raises(
        AssertionError, match=r"scripts/table.py imports .*tlm/results/verdicts.py.* declares no"
    ):
        recorded_imports.check()


def test_scripts_that_no_build_runs_load_declared_modules():
    for name in ("export_onnx", "grid", "released"):
        run(ROOT / f"scripts/{name}.py", "--help")
    recorded_imports.assert_ran("export_onnx", "grid", "released")


def test_the_imports_of_every_rule_are_recorded_by_some_test():
    calls = "".join(path.read_text() for path in sorted((ROOT / "tests").glob("*.py")))
    recorded = {
        f"scripts/{name}.py"
        for arguments in re.findall(r"\bassert_ran\(((?:[^()]|\([^()]*\))*)\)", calls)
        for name in re.findall(r'"(\w+)"', arguments)
    }
    assert recorded == {script for script, _ in DECLARED}
