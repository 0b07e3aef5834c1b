"""What runs cost, stage by stage: FLOPs from the evaluations, time and memory from the rules' benchmark files.

Place in the flow: evaluations and benchmarks/ → here → results/costs.csv and its picture. Beyond the paper.

A benchmark file is what Snakemake measured of a job on the machine that ran it, start-up included. It is no artifact:
no digest covers it, and one that is not there (artifacts that were made elsewhere and copied here) leaves its numbers
empty, which the picture says.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.config.figures import Part
from tlm.errors import TlmError
from tlm.plan.measured_figures import benchmark
from tlm.results.cells import open_evaluation

STAGES = (
    "task",
    "corpus",
    "tokenizer",
    "index",
    "retrieve",
    "selection",
    "internal_tokens",
    "external_tokens",
    "stage1",
    "stage2",
    "evaluate",
    "tfidf",
)
"""Rules that a run needs, in the order of the flow."""
HEADER = (
    "row",
    "task",
    "seed",
    "stage",
    "job",
    "paper_flops",
    "matmul_flops",
    "tokens",
    "seconds",
    "cpu_seconds",
    "peak_memory_bytes",
)
_MIB = 2**20  # Snakemake's unit of memory


@dataclass(frozen=True)
class Cost:
    """One job of one run. None where nobody counts or has measured it."""

    row: str
    task: str
    seed: int
    stage: str
    job: str
    """The folder that it makes: runs that share a job name the same one."""
    paper_flops: float | None
    matmul_flops: float | None
    tokens: float | None
    seconds: float | None
    cpu_seconds: float | None
    memory: float | None

    def as_row(self) -> tuple[Any, ...]:
        """In the order of `HEADER`."""
        return tuple(vars(self).values())


def costs(parts: Sequence[Part], root: Path = Path()) -> list[Cost]:
    """Every job of every run in `parts`, whose folders are rule → artifact. Raises TlmError for a broken record."""
    found = []
    for part in parts:
        last = "tfidf" if "tfidf" in part.folders else "evaluate"
        flops = open_evaluation(root / part.folders[last]).flops
        for stage in STAGES:
            if stage in part.folders:
                folder = part.folders[stage]
                counted = _counted(flops, stage)
                taken = measured(root / benchmark(stage, folder))
                found.append(Cost(part.label, part.task, part.seed, stage, folder, *counted, *taken))
    return found


def _counted(flops: Any, stage: str) -> tuple[float | None, float | None, float | None]:
    """FLOPs by the paper's formula, FLOPs of matrix products, and tokens, of a stage that has some."""
    record = flops.get(stage) if stage in ("stage1", "stage2") else None
    if not record:
        return None, None, None
    return record.get("paper"), record["matmul"]["total"], record["tokens"]["real"]


def measured(path: Path) -> tuple[float | None, float | None, float | None]:
    """Wall seconds, CPU seconds and peak memory in bytes of a benchmark file; None where it is missing or says NA."""
    if not path.is_file():
        return None, None, None
    with path.open(newline="", encoding="utf-8") as lines:
        records = list(csv.DictReader(lines, delimiter="\t"))
    try:
        last = records[-1]
        seconds, cpu, memory = (_number(last[name]) for name in ("s", "cpu_time", "max_rss"))
    except (IndexError, KeyError, ValueError):
        raise TlmError(
            f"{path}: no benchmark of Snakemake's; delete it, and the job's next run writes it"
        ) from None
    return seconds, cpu, None if memory is None else memory * _MIB


def _number(text: str) -> float | None:
    """A job that ends before the first look at it has no memory: NA, or `-` in older files."""
    return None if text in ("NA", "-", "") else float(text)
