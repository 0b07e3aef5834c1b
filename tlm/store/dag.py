"""Snakemake's own jobs behind given targets, from a dry run: rule, inputs and outputs, built or not.

Place in the flow: the first question of `tlm.store.stages`. Nothing is listed by hand, so that a new rule reaches
dvc.yaml by itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlm.errors import TlmError

_JOB = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<body>(?:    .*\n)+)", re.M)
_FILES = re.compile(r"^    (?P<what>input|output): (?P<files>.*)$", re.M)


@dataclass(frozen=True)
class Job:
    """One job of a plan."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def jobs(targets: Sequence[str], scale: str, folder: Path = Path()) -> list[Job]:
    """Every job behind `targets` at `scale`, those included whose outputs exist.

    Raises TlmError with Snakemake's reason if it cannot plan them.
    """
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *targets,
        "--dry-run",
        "--forceall",
        "--nolock",
        "--cores",
        "1",
    ]
    command += ["--config", f"scale={scale}"]
    # Also asked from within a stage of DVC, whose own call of Snakemake says what is wrong with its artifacts.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = parse(result.stdout + result.stderr)
    if result.returncode or not found:
        lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        said = [line for line in lines if re.match(r"error: |\w*(?:Error|Exception)\b", line)]
        reason = (said or lines or ["no answer"])[0].removeprefix("error: ")
        raise TlmError(f"snakemake cannot plan {' '.join(targets)} at scale {scale}: {reason}")
    return found


def parse(report: str) -> list[Job]:
    """The jobs that a dry run reports."""
    found = []
    for block in _JOB.finditer(report):
        files = {match["what"]: tuple(match["files"].split(", ")) for match in _FILES.finditer(block["body"])}
        found.append(Job(block["rule"], files.get("input", ()), files.get("output", ())))
    return found
