"""The jobs that a target still needs, according to Snakemake.

Place in the flow: the first step of `tlm cost`. `snakemake --summary` plans the target without running it and prints a
table of outputs, rules and whether each is pending. It takes no lock, so it also works while a build is running.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tlm.config.base import load_yaml
from tlm.config.own import OwnSpec
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.plan.project import Project, load_project

_PENDING = "update pending"


@dataclass(frozen=True, order=True)
class PendingJob:
    """A job that Snakemake would run, by its rule and first output."""

    rule: str
    output: str

    @property
    def names(self) -> dict[str, str]:
        """The values of the rule's wildcards."""
        return RULES[self.rule].output.parse(self.output)


def pending(targets: Sequence[str], config: Sequence[str], cores: str) -> list[PendingJob]:
    """The jobs that `snakemake <targets> --config <config>` would run, in the order of its plan.

    Raises TlmError with Snakemake's reason if it cannot plan: an unknown target, an invalid configuration.
    """
    command = [sys.executable, "-m", "snakemake", *targets, "--summary", "--cores", cores]
    command += ["--config", *config] if config else []
    result = subprocess.run(command, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    header = next((number for number, line in enumerate(lines) if line.startswith("output_file\t")), None)
    if result.returncode or header is None:
        raise TlmError(_reason(result.stderr) or f"snakemake ended with {result.returncode}")
    rows = csv.DictReader(lines[header:], delimiter="\t", quoting=csv.QUOTE_NONE)
    jobs: dict[tuple[str, str], PendingJob] = {}
    for row in rows:
        if row["plan"] == _PENDING:
            # A table is one job with several outputs (.csv, .md, …); so is a figure.
            name = row["output_file"].removesuffix(PurePosixPath(row["output_file"]).suffix)
            jobs.setdefault((row["rule"], name), PendingJob(row["rule"], row["output_file"]))
    return list(jobs.values())


def _reason(report: str) -> str:
    """The line of Snakemake's report that states the error: that of a TlmError if there is one."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    for mark in ("error: ", "TlmError: "):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix(mark)
    for number, line in enumerate(lines):
        if re.match(r"\w+(Error|Exception): \S", line):
            return line
        if line.endswith("Exception:"):
            return " ".join(lines[number : number + 2])
    return lines[-1] if lines else ""


def read_project(
    config: Sequence[str], folder: Path = Path("config"), own: Mapping[str, OwnSpec] | None = None
) -> Project:
    """The project under `--config key=value …`, merged as Snakemake does, plus the tasks `own`. Raises TlmError."""
    from snakemake.cli import (
        parse_config,  # slow to import; used so that values are read as Snakemake reads them
    )
    from snakemake.utils import update_config

    settings: dict[str, Any] = load_yaml(folder / "config.yaml")
    update_config(settings, parse_config(list(config)))
    return load_project(settings, folder, own)
