"""The estimate as a table that a person reads, or as JSON.

Place in the flow: the end of `tlm cost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlm.cost.estimate import Estimate
from tlm.cost.machine import GPUS
from tlm.progress import duration

SCHEMA = 1
_SUMS = (
    *("seconds", "tokens", "paper_flops", "matmul_flops"),
    *("download_bytes", "disk_bytes"),
)


@dataclass(frozen=True)
class Setting:
    """What was asked, and where it would run."""

    targets: tuple[str, ...]
    scale: str
    device: str
    speed: str
    """In words: how fast, and how that is known."""
    cores: int
    threads: int
    """Of one training job."""
    gpu: bool


def as_json(found: Estimate, setting: Setting) -> dict[str, Any]:
    """Plain values: bytes, seconds of one core (or the device), tokens and FLOPs; sums by rule and in total."""
    rules = [
        {
            "rule": line.rule,
            "jobs": len(line.parts),
            **{name: line.sum(name) for name in _SUMS},
            "unknown_jobs": sum(bool(part.waits_for) for part in line.parts),
        }
        for line in found.lines
    ]
    return {
        "schema": SCHEMA,
        "targets": list(setting.targets),
        "scale": setting.scale,
        "device": {"name": setting.device, "speed": setting.speed, "cores": setting.cores},
        "runs": len(found.runs),
        "rules": rules,
        "total": {
            "jobs": sum(len(line.parts) for line in found.lines),
            **{name: found.sum(name) for name in _SUMS},
            "checkpoint_bytes": _checkpoints(found, setting),
        },
        "wall_seconds": _wall(found, setting),
        "notes": list(found.notes),
    }


def as_text(found: Estimate, setting: Setting) -> str:
    """One line a rule, the totals, and the notes."""
    targets = " ".join(setting.targets) or "everything"
    if not found.lines:
        return f"{targets} at scale {setting.scale}: nothing to be done"
    rows = [("rule", "jobs", "tokens", "FLOPs", "matmul FLOPs", "time", "disk")]
    for line in found.lines:
        rows.append((line.rule, f"{len(line.parts):,}", *_cells({name: line.sum(name) for name in _SUMS})))
    jobs = sum(len(line.parts) for line in found.lines)
    rows.append(("total", f"{jobs:,}", *_cells({name: found.sum(name) for name in _SUMS})))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{targets} at scale {setting.scale}: {_some(len(found.runs), 'run')}", ""]
    for number, row in enumerate(rows):
        if number in (1, len(rows) - 1):
            lines.append("  ".join("-" * width for width in widths))
        first, *others = (value.ljust if not column else value.rjust for column, value in enumerate(row))
        lines.append(
            "  ".join([first(widths[0]), *(put(w) for put, w in zip(others, widths[1:], strict=True))])
        )
    where = f"one {setting.device.upper()}" if setting.device in GPUS else "this machine"
    lines += [
        "",
        f"about {duration(_wall(found, setting))} on {where} and {_some(setting.cores, 'core')}, without downloads",
        f"speed: {setting.speed}",
        f"beside the disk above, {_bytes(_checkpoints(found, setting))} of checkpoints while it trains",
        *found.notes,
    ]
    return "\n".join(line.rstrip() for line in lines)


def _wall(found: Estimate, setting: Setting) -> float:
    return found.wall_seconds(setting.cores, setting.threads, gpu=setting.gpu)


def _checkpoints(found: Estimate, setting: Setting) -> float:
    """Of as many training jobs as run at once."""
    largest = max((part.checkpoint_bytes for line in found.lines for part in line.parts), default=0.0)
    return largest * (1 if setting.gpu else max(1, setting.cores // setting.threads))


def _cells(sums: dict[str, float]) -> tuple[str, str, str, str, str]:
    return (
        _number(sums["tokens"]),
        _number(sums["paper_flops"]),
        _number(sums["matmul_flops"]),
        duration(sums["seconds"]),
        _bytes(sums["disk_bytes"]),
    )


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    """`8.30e+18`; nothing for 0."""
    return f"{value:.2e}" if value else ""


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return "" if size == 0 else f"{size:.0f} B"
