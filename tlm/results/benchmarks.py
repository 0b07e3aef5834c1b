"""The reader of Snakemake's benchmark files: time and memory of a finished job.

Place in the flow: benchmarks/ → here → the figure of costs, the report of a task and the first page of the report.

A benchmark file describes a job on the machine that ran it, start-up included. It is no artifact: no digest covers it.
It is absent for artifacts that were made elsewhere and copied here, for example by `dvc pull`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from tlm.errors import TlmError

_MIB = 2**20  # Snakemake's unit of memory


@dataclass(frozen=True)
class Benchmark:
    """Wall-clock seconds, CPU seconds, and peak memory in bytes; None for a number that was not measured."""

    seconds: float | None = None
    cpu_seconds: float | None = None
    memory: float | None = None


def read_benchmark(path: Path) -> Benchmark:
    """The numbers of a benchmark file, all None if there is no file. Raises TlmError if it has another format."""
    if not path.is_file():
        return Benchmark()
    with path.open(newline="", encoding="utf-8") as lines:
        records = list(csv.DictReader(lines, delimiter="\t"))
    try:
        last = records[-1]
        seconds, cpu, memory = (_number(last[name]) for name in ("s", "cpu_time", "max_rss"))
    except (IndexError, KeyError, ValueError):
        raise TlmError(
            f"{path}: not a benchmark file of Snakemake; delete it, and the job's next run writes it again"
        ) from None
    return Benchmark(seconds, cpu, None if memory is None else memory * _MIB)


def _number(text: str) -> float | None:
    """A job that ends before Snakemake's first measurement has no memory: NA, or `-` in older files."""
    return None if text in ("NA", "-", "") else float(text)
