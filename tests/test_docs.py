"""What the documentation tells people to type exists."""

import re

import pytest
from conftest import ROOT
from test_workflow import snakemake

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(
    r"^snakemake (?:-n )?(results/\S+)(?: --cores all)?(?: --config (.*?))?(?:\s+#.*)?$", README, re.M
)


def test_the_readme_names_commands():
    assert len(COMMANDS) >= 4


@pytest.mark.slow
@pytest.mark.parametrize(("target", "change"), COMMANDS)
def test_readme_commands_plan(target, change):
    arguments = ["--config", change.strip("'")] if change else ["--config", "scale=demo"]
    result = snakemake(ROOT, "--dry-run", "--quiet", "--nolock", target, *arguments)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "name", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_documents_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{name}: {target}"


def test_make_has_the_targets_that_the_readme_names():
    targets = set(re.findall(r"^make ([a-z0-9-]+)", README, re.M))
    rules = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert targets and targets <= rules


def test_cores_are_always_given():
    """Snakemake 9 refuses `--cores` without a number or `all`."""
    import subprocess

    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).suffix in (".md", ".py", ".smk", ".yaml", ".ipynb", "") and (ROOT / name).is_file():
            text = (ROOT / name).read_text(errors="replace")
            bare = re.search(r"snakemake [^`\n]*--cores(?! ?(?:all\b|\d|[\$N{\"'(|\\\\]))[^\n]*", text)
            assert bare is None, f"{name}: {bare[0]}"
