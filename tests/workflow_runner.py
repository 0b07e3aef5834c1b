"""Copy the project and run Snakemake in the copy."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from compiled import share_compiled
from conftest import ROOT

COPIED = ("Snakefile", "config", "environment.yml", "examples", "profiles", "scripts", "tlm", "workflow")


def copy_project(folder: Path, source: Path = ROOT) -> Path:
    """Copy the files that a build needs into `folder`."""
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source / name, folder / name)
    share_compiled(folder)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Environment variables under which this interpreter imports the package in `folder`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path}


def snakemake(folder: Path, *arguments: str, scale: str = "smoke", **options: object):
    """Run Snakemake in `folder` on two cores, at `scale` unless `--config` is among the arguments."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    if not any(argument.startswith("--config") for argument in arguments):
        command += ["--config", f"scale={scale}"]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=900, **options
    )


def planned(folder: Path, *arguments: str) -> Counter[str]:
    """Rule → number of jobs of a dry run."""
    result = snakemake(folder, "--dry-run", *arguments)
    assert result.returncode == 0, result.stderr
    table = re.search(r"^Job stats:\njob .*?\n-[- ]*\n(.*?)\n\n", result.stdout + result.stderr, re.M | re.S)
    if table is None:
        assert "Nothing to be done" in result.stdout + result.stderr
        return Counter()
    jobs = Counter({line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()})
    del jobs["total"]
    return jobs
