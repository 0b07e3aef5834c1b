"""Prints an estimate as a table or as JSON.

Place in the flow: the last step of `tlm cost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlm.cost.estimate import CostEstimate
from tlm.cost.machine import GPUS
from tlm.progress import duration

SCHEMA = 1
_SUMS = (
    *("seconds", "tokens", "paper_flops", "matmul_flops"),
    *("download_bytes", "disk_bytes"),
)


@dataclass(frozen=True)
class EstimateContext:
    """The targets of an estimate, and the machine that it is for."""

    targets: tuple[str, ...]
    scale: str
    device: str
    speed: str
    """How fast the machine is and where that number comes from, in words."""
    cores: int
    threads: int
    """Of one training job."""
    gpu: bool


def as_json(estimate: CostEstimate, context: EstimateContext) -> dict[str, Any]:
    """Plain values: bytes, seconds of one core (or the device), tokens and FLOPs; sums by rule and in total."""
    rules = [
        {
            "rule": rule.rule,
            "jobs": len(rule.jobs),
            **{name: rule.sum(name) for name in _SUMS},
            "unknown_jobs": sum(bool(job.waits_for) for job in rule.jobs),
        }
        for rule in estimate.rules
    ]
    return {
        "schema": SCHEMA,
        "targets": list(context.targets),
        "scale": context.scale,
        "device": {"name": context.device, "speed": context.speed, "cores": context.cores},
        "runs": len(estimate.runs),
        "rules": rules,
        "total": {
            "jobs": sum(len(rule.jobs) for rule in estimate.rules),
            **{name: estimate.sum(name) for name in _SUMS},
            "checkpoint_bytes": _checkpoints(estimate, context),
        },
        "wall_seconds": _wall(estimate, context),
        "notes": list(estimate.notes),
    }


def as_text(estimate: CostEstimate, context: EstimateContext) -> str:
    """One line a rule, the totals, and the notes."""
    targets = " ".join(context.targets) or "everything"
    if not estimate.rules:
        return f"{targets} at scale {context.scale}: nothing to do"
    rows = [("rule", "jobs", "tokens", "FLOPs", "matmul FLOPs", "time", "disk")]
    for rule in estimate.rules:
        rows.append((rule.rule, f"{len(rule.jobs):,}", *_cells({name: rule.sum(name) for name in _SUMS})))
    jobs = sum(len(rule.jobs) for rule in estimate.rules)
    rows.append(("total", f"{jobs:,}", *_cells({name: estimate.sum(name) for name in _SUMS})))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{targets} at scale {context.scale}: {_some(len(estimate.runs), 'run')}", ""]
    for number, row in enumerate(rows):
        if number in (1, len(rows) - 1):
            lines.append("  ".join("-" * width for width in widths))
        first, *others = (value.ljust if not column else value.rjust for column, value in enumerate(row))
        lines.append(
            "  ".join([first(widths[0]), *(put(w) for put, w in zip(others, widths[1:], strict=True))])
        )
    where = f"one {context.device.upper()}" if context.device in GPUS else "this machine"
    lines += [
        "",
        f"about {duration(_wall(estimate, context))} on {where} and {_some(context.cores, 'core')}, without downloads",
        f"speed: {context.speed}",
        f"in addition to the disk above, {_bytes(_checkpoints(estimate, context))} of checkpoints during training",
        *estimate.notes,
    ]
    return "\n".join(line.rstrip() for line in lines)


def _wall(estimate: CostEstimate, context: EstimateContext) -> float:
    return estimate.wall_seconds(context.cores, context.threads, gpu=context.gpu)


def _checkpoints(estimate: CostEstimate, context: EstimateContext) -> float:
    """Bytes of the checkpoints of all training jobs that run at the same time."""
    largest = max((job.checkpoint_bytes for rule in estimate.rules for job in rule.jobs), default=0.0)
    return largest * (1 if context.gpu else max(1, context.cores // context.threads))


def _cells(sums: dict[str, float]) -> tuple[str, str, str, str, str]:
    return (
        _number(sums["tokens"]),
        _number(sums["paper_flops"]),
        _number(sums["matmul_flops"]),
        duration(sums["seconds"]),
        _bytes(sums["disk_bytes"]),
    )


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    """`8.30e+18`; empty for 0."""
    return f"{value:.2e}" if value else ""


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return "" if size == 0 else f"{size:.0f} B"
