"""The cost of runs, job by job: FLOPs from the evaluations, time and memory from the rules' benchmark files.

Place in the flow: evaluations and benchmarks/ → here → results/costs.csv and its figure. Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.config.figures import MeasuredRun
from tlm.dag import RULES
from tlm.evaluation.artifact import open_evaluation
from tlm.layout import manifest
from tlm.results.benchmarks import read_benchmark


@dataclass(frozen=True)
class JobCost:
    """The cost of one job of one run; None for a number that was not counted or measured."""

    row: str
    task: str
    seed: int
    stage: str
    job: str
    """The folder that the job makes: runs that share a job have the same folder."""
    paper_flops: float | None
    matmul_flops: float | None
    tokens: float | None
    seconds: float | None
    cpu_seconds: float | None
    peak_memory_bytes: float | None


def costs(runs: Sequence[MeasuredRun], root: Path = Path()) -> list[JobCost]:
    """Every job of every run; folders of a run are rule → artifact. Raises TlmError for a broken record."""
    found = []
    for run in runs:
        last = "linear" if "linear" in run.folders else "evaluate"
        flops = open_evaluation(root / run.folders[last]).flops
        for rule in (rule for name, rule in RULES.items() if name in run.folders):
            folder = run.folders[rule.name]
            counts = _flops_and_tokens(flops, rule.name)
            taken = read_benchmark(root / rule.benchmark_of(manifest(folder)))
            measured = (taken.seconds, taken.cpu_seconds, taken.memory)
            found.append(JobCost(run.label, run.task, run.seed, rule.name, folder, *counts, *measured))
    return found


def _flops_and_tokens(flops: Any, stage: str) -> tuple[float | None, float | None, float | None]:
    """FLOPs by the paper's formula, FLOPs of matrix products, and tokens; None for jobs other than stages 1 and 2."""
    record = flops.get(stage) if stage in ("stage1", "stage2") else None
    if not record:
        return None, None, None
    return record.get("paper"), record["matmul"]["total"], record["tokens"]["real"]
