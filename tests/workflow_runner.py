"""Copy the project and run Snakemake in the copy."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import recorded_imports
import snakemake_server
from conftest import ROOT

COPIED = ("Snakefile", "config", "environment.yml", "examples", "profiles", "scripts", "tlm", "workflow")


def copy_project(folder: Path, source: Path = ROOT) -> Path:
    """Copy the files that a build needs into `folder`, with their times, so that compiled code stays valid."""
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name)
        else:
            shutil.copy2(source / name, folder / name)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Environment variables under which this interpreter imports the package in `folder`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    recorder = {"TLM_RECORDED_IMPORTS": str(recorded_imports.FOLDER)}
    return {**os.environ, "PYTHONPATH": f"{folder}:{recorded_imports.RECORDER}", "PATH": path} | recorder


def snakemake(folder: Path, *arguments: str, scale: str = "smoke") -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder` on two cores, at `scale` unless `--config` is among the arguments."""
    arguments = ("--cores", "2", *arguments)
    if not any(argument.startswith("--config") for argument in arguments):
        arguments += ("--config", f"scale={scale}")
    return snakemake_server.call(list(arguments), folder, environment(folder), 900)


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
