"""Rules depend on the modules that their scripts import: none is missed, and no more than needed."""

import ast
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from workflow_runner import environment

from tlm.rules import import_closure as closures
from tlm.rules.import_closure import LEFT_OUT, import_closure

DECLARED = re.findall(
    r'script="(scripts/\w+\.py)",(?:.*\n)*?        code=import_closure\("(.*)"\),',
    "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk"))),
)
RECORDER = """
import atexit, os, sys
from pathlib import Path

def record():
    files = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name.split(".")[0] == "tlm"]
    name = Path(sys.argv[0]).name
    with (Path(os.environ["IMPORTS"]) / f"{name}.{os.getpid()}").open("w") as out:
        out.writelines(f"{os.path.relpath(file)}\\n" for file in files if file)

atexit.register(record)
"""
TARGETS = (
    "results/table2.csv",
    "results/tableA.1.csv",
    "results/claims/tfidf.csv",
    "results/differences/table2.csv",
    "results/contamination.csv",
    "results/tasks/toy/report.html",
    "models/toy/manifest.json",
)


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
        "table": 16,
        "cell": 12,
        "setting": 4,
        "settings": 11,
        "claims": 27,
        "differences": 18,
        "figure": 38,
    }
    for script, most in sizes.items():
        assert len(import_closure(f"scripts/{script}.py")) <= most, script
    for script in ("stage1", "stage2", "evaluate", "tokens", "selection", "index", "task", "corpus"):
        used = {path.split("/")[1] for path in import_closure(f"scripts/{script}.py")}
        assert not used & {"results", "plan", "rules", "store", "cost", "own", "serving"}, script


def test_scripts_import_only_what_their_rules_declare(project, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    (tmp_path / "imports").mkdir()
    env = environment(project)
    env |= {"PYTHONPATH": f"{project}{os.pathsep}{tmp_path}", "IMPORTS": str(tmp_path / "imports")}
    options = {"cwd": project, "env": env, "capture_output": True, "text": True}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *TARGETS, "--config", "scale=smoke"]
    result = subprocess.run(command, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    for script, _ in DECLARED:  # those that no target runs load their modules at least
        subprocess.run([sys.executable, script, "--help"], check=True, **options)
    for path in (tmp_path / "imports").iterdir():
        script = f"scripts/{path.name.rsplit('.', 1)[0]}"
        if script in dict(DECLARED):
            imported = set(path.read_text().split()) - LEFT_OUT
            assert imported <= set(import_closure(script)), script
