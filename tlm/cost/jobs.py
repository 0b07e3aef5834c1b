"""The jobs that a target still needs, according to Snakemake.

Place in the flow: `tlm.snakemake_adapter` → here → `tlm.cost.estimate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tlm.config.base import load_yaml
from tlm.config.own import OwnSpec
from tlm.dag import RULES
from tlm.plan.project import Project, load_project
from tlm.snakemake_adapter import merge_config, pending_outputs


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
    jobs: dict[tuple[str, str], PendingJob] = {}
    for rule, output in pending_outputs(targets, config, cores):
        # A table is one job with several outputs (.csv, .md, …); so is a figure.
        name = output.removesuffix(PurePosixPath(output).suffix)
        jobs.setdefault((rule, name), PendingJob(rule, output))
    return list(jobs.values())


def read_project(
    config: Sequence[str], folder: Path = Path("config"), own: Mapping[str, OwnSpec] | None = None
) -> Project:
    """The project under `--config key=value …`, merged as Snakemake does, plus the tasks `own`. Raises TlmError."""
    settings: dict[str, Any] = load_yaml(folder / "config.yaml")
    merge_config(settings, config)
    return load_project(settings, folder, own)
