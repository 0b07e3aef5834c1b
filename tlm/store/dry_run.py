"""Snakemake's jobs behind given targets, built or not, from a dry run: rule, inputs and outputs.

Place in the flow: Snakemake → here → `tlm.store.stages`.
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
_FILES = re.compile(r"^    (?P<role>input|output): (?P<files>.*)$", re.M)


@dataclass(frozen=True)
class PlannedJob:
    """One job of a plan."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def jobs(targets: Sequence[str], scale: str, folder: Path = Path()) -> list[PlannedJob]:
    """Every job behind `targets` at `scale`, including those whose outputs exist.

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
    # In a stage of DVC, only the stage's own call of Snakemake should refuse artifacts without a record.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = parse(result.stdout + result.stderr)
    if result.returncode or not found:
        lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"error: |\w*(?:Error|Exception)\b", line)]
        reason = (errors or lines or ["it printed nothing"])[0].removeprefix("error: ")
        raise TlmError(f"snakemake cannot plan {' '.join(targets)} at scale {scale}: {reason}")
    return found


def parse(report: str) -> list[PlannedJob]:
    """The jobs that a dry run reports."""
    found = []
    for block in _JOB.finditer(report):
        files = {match["role"]: tuple(match["files"].split(", ")) for match in _FILES.finditer(block["body"])}
        found.append(PlannedJob(block["rule"], files.get("input", ()), files.get("output", ())))
    return found
