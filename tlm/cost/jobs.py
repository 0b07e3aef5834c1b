"""Which jobs a target still needs: Snakemake's own answer, so that what is built counts as built.

Place in the flow: the first question of `tlm cost`. `snakemake --summary` plans the target without running it and
prints a table of outputs, rules and whether each is pending; it takes no lock, so that it also answers while a
build is running.
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
from tlm.errors import TlmError
from tlm.plan.project import Project, load_project

_PENDING = "update pending"


@dataclass(frozen=True, order=True)
class Job:
    """A rule that is to run, and the output that names its wildcards."""

    rule: str
    output: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The output's path, part by part: `tlm.plan.runs` says what stands where."""
        return PurePosixPath(self.output).parts


def pending(targets: Sequence[str], config: Sequence[str], cores: str) -> list[Job]:
    """The jobs that `snakemake <targets> --config <config>` would run, in the order of its plan.

    Raises TlmError with Snakemake's own reason if it cannot plan: an unknown target, a mistake in the
    configuration.
    """
    command = [sys.executable, "-m", "snakemake", *targets, "--summary", "--cores", cores]
    command += ["--config", *config] if config else []
    result = subprocess.run(command, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    header = next((number for number, line in enumerate(lines) if line.startswith("output_file\t")), None)
    if result.returncode or header is None:
        raise TlmError(_reason(result.stderr) or f"snakemake ended with {result.returncode}")
    rows = csv.DictReader(lines[header:], delimiter="\t", quoting=csv.QUOTE_NONE)
    jobs: dict[tuple[str, str], Job] = {}
    for row in rows:
        if row["plan"] == _PENDING:
            # A table is one job with two outputs, .csv and .md; so is a figure.
            name = row["output_file"].removesuffix(PurePosixPath(row["output_file"]).suffix)
            jobs.setdefault((row["rule"], name), Job(row["rule"], row["output_file"]))
    return list(jobs.values())


def _reason(report: str) -> str:
    """The line of Snakemake's report that says what is wrong: ours if there is one."""
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
    """The project under `--config key=value …`, merged as Snakemake merges it, with `own` beside. Raises TlmError."""
    from snakemake.cli import parse_config  # slow to import, and the same text must mean the same
    from snakemake.utils import update_config

    settings: dict[str, Any] = load_yaml(folder / "config.yaml")
    update_config(settings, parse_config(list(config)))
    return load_project(settings, folder, own)
