"""Planning writes nothing, uses all cores by default, and jobs need no activated environment."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT
from workflow_runner import copy_project, environment, snakemake

from tlm.rules.base import RuleFunctions


def listing(folder: Path) -> set[str]:
    """Every file and folder but those that Snakemake and Python keep for themselves."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {name for name in names if not name.startswith(".snakemake") and "__pycache__" not in name}


def direct(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", *arguments, "--config", "scale=smoke"]
    env = environment(project) | variables
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize("arguments", [["all", "-n"], ["results/attention.csv", "-n"], ["all", "--summary"]])
def test_planning_writes_nothing(project, arguments):
    before = listing(project)
    result = snakemake(project, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert listing(project) == before


@contextmanager
def read_only(project: Path) -> Iterator[None]:
    paths = [project, *project.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    yield
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)


def as_user(project: Path, *arguments: str) -> str:
    """What Snakemake prints; root loses the right to write to read-only folders."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--config", "scale=smoke"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override", "--", *command]
    result = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True)
    return f"{result.stdout}{result.stderr}exit code {result.returncode}"


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_read_only_checkout_can_be_planned_and_not_built(tmp_path):
    project = copy_project(tmp_path)
    with read_only(project):
        plan = as_user(project, "results/table2.csv", "-n")
        assert "rule stage1:" in plan and plan.endswith("exit code 0"), plan
        assert not (project / ".snakemake").exists()
        assert "Permission denied" in as_user(project, "data/tasks/toy/manifest.json")
    assert direct(project, "data/tasks/toy/manifest.json").returncode == 0
    with read_only(project):  # with the records of what is built
        plan = as_user(project, "data/tasks/toy/manifest.json", "-n")
        assert "Nothing to be done" in plan and plan.endswith("exit code 0"), plan


def test_a_missing_folder_is_replaced_by_its_parent_in_a_plan_and_created_in_a_build(tmp_path, monkeypatch):
    class Build:
        executor_plugin, dryrun = "local", False

    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    files = ["results/cells/a/b.json", "runs/c/d.json"]
    assert RuleFunctions(None).parent_folders(files) == ["results"]
    assert not Path("results/cells").exists()
    assert RuleFunctions(None, Build()).parent_folders(files) == ["results/cells/a", "runs/c"]


def test_all_cores_are_used_unless_the_command_line_has_a_number(project):
    def threads(*arguments: str) -> int:
        result = direct(project, "data/corpora/toy/manifest.json", "-n", *arguments)
        body = re.search(r"^rule corpus:\n(?:    .*\n)+", result.stdout + result.stderr, re.M)
        assert body, result.stdout + result.stderr
        found = re.search(r"threads: (\d+)", body[0])
        return int(found[1]) if found else 1

    from snakemake.utils import available_cpu_count

    assert threads() == available_cpu_count()
    assert threads("--cores", "3") == 3


def test_jobs_run_under_the_python_that_runs_snakemake(project, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'the wrong python' >&2\nexit 1\n")
    python.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    result = direct(project, "data/tasks/toy/manifest.json", "--cores", "1", PATH=path)
    assert result.returncode == 0, result.stdout + result.stderr


def without_environment(folder: Path, command: str, *arguments: str, path: str = "/usr/bin:/bin"):
    """Run a command of the environment by its full path, with the environment neither activated nor on PATH."""
    names = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    env = {name: value for name, value in os.environ.items() if name not in names} | {"PATH": path}
    command = str(Path(sys.executable).parent / command)
    return subprocess.run(
        [command, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


def test_snakemake_by_full_path_needs_no_activated_environment(tmp_path):
    project = copy_project(tmp_path)
    arguments = ["data/tasks/toy/manifest.json", "--config", "scale=smoke"]
    result = without_environment(project, "snakemake", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project / "data/tasks/toy/manifest.json").is_file()


def test_dvc_by_full_path_names_the_missing_command_and_works_with_the_environment_on_path(tmp_path):
    project = copy_project(tmp_path)
    shutil.copy2(ROOT / "params.yaml", project)
    write = [sys.executable, "scripts/dvc_yaml.py", "--scale", "smoke"]
    subprocess.run(write, cwd=project, env=environment(project), check=True)
    assert without_environment(project, "dvc", "init", "--no-scm").returncode == 0
    result = without_environment(project, "dvc", "repro", "task")
    assert result.returncode != 0
    assert re.search(r"snakemake: (command )?not found", result.stderr), result.stderr
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = without_environment(project, "dvc", "repro", "task", path=path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project / "data/tasks/toy/manifest.json").is_file()


def test_a_python_without_the_packages_is_named_in_one_line(project):
    code = "from tlm.process import quick_imports\nwith quick_imports():\n    import a_missing_package"
    result = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert f"error: {sys.executable} lacks the package 'a_missing_package'" in result.stderr
