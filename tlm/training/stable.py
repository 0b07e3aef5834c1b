"""The state of stage 1 before the decay of the learning rate: a run with a larger budget continues from it.

Place in the flow: the loop saves it, and a later stage 1 of the same run starts from it (`tlm train --budget +2h`). The
learning rate is constant between warm-up and decay, and batches, masks and dropout depend on seed and step alone.
Therefore a run that continues from this state equals, bit by bit, a run that had the larger budget from the start. The
artifact is a cache: without it, or if a setting other than the budget has changed, stage 1 starts over.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlm.artifacts import MANIFEST, staged_directory, write_manifest
from tlm.training import checkpoint
from tlm.training.rate_schedule import RateSchedule
from tlm.training.stage_plan import StageProgress

KIND = "stable"
LOG = "log.jsonl"
_UNHASHED = ("state.json", LOG)  # both hold seconds
_OF_THE_LENGTH = (
    ("stage2",),
    ("stage1", "budget"),
    ("stage1", "evaluations"),
    ("stage1", "checkpoint_every"),
    *(("stage1", "optimizer", name) for name in ("warmup_steps", "warmup_fraction", "decay_fraction")),
)
"""Settings that may differ: those of the schedule's length. The warm-up is compared in steps."""


def save(
    folder: Path,
    schedule: RateSchedule,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    fingerprint: Mapping[str, Any],
    done: StageProgress,
    log: Path,
) -> None:
    """Write the artifact `folder`: weights, optimizer, progress, and the log so far."""
    state = {
        "fingerprint": fingerprint,
        "progress": {**done.as_dict(), "cuts": []},
        "warmup_steps": schedule.warmup,
        "planned": schedule.steps,
    }
    with staged_directory(folder) as working:
        checkpoint.write(working, done.step, model, optimizers, state)
        shutil.copyfile(log, working / LOG)
        write_manifest(
            working,
            KIND,
            counts={"steps": done.step, "tokens": done.work.total.real_tokens},
            parameters={"warmup_steps": schedule.warmup},
            unhashed=_UNHASHED,
        )


def read(folder: Path) -> dict[str, Any] | None:
    """The state of a complete artifact, else None."""
    if not (folder / MANIFEST).is_file():
        return None
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return state


def obstacle(state: Mapping[str, Any], fingerprint: Mapping[str, Any], schedule: RateSchedule) -> str | None:
    """Why a run with this fingerprint and schedule cannot continue from the state; None if it can."""
    here = json.loads(json.dumps(fingerprint))
    if difference := checkpoint.first_difference(_comparable(state["fingerprint"]), _comparable(here)):
        return f"it was made with {difference}"
    if state["warmup_steps"] != schedule.warmup:
        return f"its warm-up had {state['warmup_steps']} steps (now {schedule.warmup})"
    if state["progress"]["step"] > schedule.decay_start:
        return (
            f"it has {state['progress']['step']} steps, and the decay now starts after {schedule.decay_start}"
        )
    if state["planned"] == schedule.steps:
        return "the budget has not changed"  # then the code has: the whole stage is run again
    return None


def _comparable(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(dict(fingerprint))
    for *path, last in _OF_THE_LENGTH:
        inner = found
        for key in path:
            inner = inner.get(key) or {}
        inner.pop(last, None)
    return found
