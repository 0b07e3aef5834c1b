"""docs/architecture.md is true: the packages it lists exist, and import only from those above them."""

import ast
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
TREE = PAGE.split("```")[1]
LAYERS = re.findall(r"\b([a-z_]+)(?:\.py|/)", TREE.split("\ntlm/\n")[1].split("\nexamples/")[0])
LAYERS = [
    name
    for name in dict.fromkeys(LAYERS)
    if (ROOT / "tlm" / name).is_dir() or (ROOT / f"tlm/{name}.py").is_file()
]
MODULES = sorted((ROOT / "tlm").rglob("*.py"))


def layer(path):
    return path.relative_to(ROOT / "tlm").parts[0].removesuffix(".py")


def test_the_page_lists_every_package_and_module_at_the_top():
    assert {layer(path) for path in MODULES} - {"__init__", "__main__"} == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    if layer(path) in ("__init__", "__main__"):
        return
    tree = ast.parse(path.read_text())
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    used = {name.split(".")[1] for name in names if name.startswith("tlm.")}
    above = LAYERS[: LAYERS.index(layer(path)) + 1]
    assert used <= set(above), f"imports {sorted(used - set(above))}, which stand below {layer(path)}"


def test_no_test_module_imports_another():
    for path in sorted((ROOT / "tests").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            tests = [name for name in names if name.startswith("test_")]
            assert not tests, f"{path.name} imports {tests}: move the helper into a module of its own"


def test_a_rule_and_its_script_have_the_same_name():
    rules = {}
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            script = re.search(r'script="scripts/(\w+)\.py"', block)
            rules[block.split(":")[0]] = script[1] if script else None
    for name in ("internal_tokens", "external_tokens", "index_share", "retrieve_share"):
        del rules[name]  # they share the script of another rule
    assert rules and all(name == script for name, script in rules.items())


def test_the_page_names_the_top_level_folders():
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    folders = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    if not tracked:
        pytest.skip("not a git checkout")
    assert folders <= {
        "workflow",
        "profiles",
        "scripts",
        "config",
        "tlm",
        "examples",
        "tests",
        "bench",
        "docs",
        "results",
        "notebooks",
    }
