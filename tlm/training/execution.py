"""How a run is executed: threads, device, trackers. These settings change its numbers by rounding at most.

Place in the flow: scripts → execution → stage1 and stage2, which get their Accelerator from it. Settings that decide
the bits (precision, attention, compilation) belong to the run's specification instead (`tlm.config.training`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import GeneralTracker, get_available_trackers
from accelerate.utils import GradientAccumulationPlugin, ProjectConfiguration

from tlm.config.training import TRACKERS
from tlm.errors import TlmError
from tlm.training.memory import keep_freed_memory

# Options of both stages' scripts.
Cpu = Annotated[bool, "stay on the CPU even where there is a GPU"]
Trackers = Annotated[Sequence[str], f"{' or '.join(TRACKERS)}; repeatable"]


@dataclass(frozen=True)
class Execution:
    """Settings that a user may change without changing the run."""

    threads: int = 1
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    trackers: Sequence[str | GeneralTracker] = ()
    """Names of Accelerate's trackers (`tlm.config.training.TRACKERS`), or your own tracker objects."""

    def accelerator(self, destination: Path, *, idle_heads: bool) -> Accelerator:
        """The Accelerator of this process; sets the number of threads.

        Trackers write below `tracking/` beside `destination`. `idle_heads`: a head takes no part in some steps,
        as the classification head in external ones. Raises TlmError for a tracker that is not installed, and where
        Accelerate is configured to divide the model (FSDP, DeepSpeed, …).
        """
        if strategy := next((name for name in _STRATEGIES if _is_set(f"ACCELERATE_USE_{name}")), None):
            raise TlmError(
                f"Accelerate is configured for {strategy}, but training uses plain data parallelism only; answer no "
                "to it in `accelerate config`, or start with `accelerate launch --multi_gpu`"
            )
        torch.set_num_threads(self.threads)
        keep_freed_memory()
        for tracker in self.trackers:
            if isinstance(tracker, str):
                _check_tracker(tracker)
        distributed = DistributedDataParallelKwargs(
            find_unused_parameters=idle_heads,
            broadcast_buffers=False,  # positions and frequencies: never change
        )
        folder = str(destination.parent / "tracking")
        return Accelerator(
            # Explicit, because otherwise several processes on a machine without a GPU do not find each other.
            cpu=self.cpu or not torch.cuda.is_available(),
            # Explicit, because Accelerate would take them from the user's configuration file and environment.
            mixed_precision="no",
            dynamo_backend="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[distributed],
            log_with=list(self.trackers) or None,
            project_config=ProjectConfiguration(project_dir=folder, logging_dir=folder),
        )


_STRATEGIES = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("1", "true", "yes")


def _check_tracker(name: str) -> None:
    """Raise an error for a tracker that Accelerate cannot import; Accelerate itself would ignore it."""
    if name not in TRACKERS:
        raise TlmError(f"no tracker {name!r}; there are {', '.join(TRACKERS)}")
    if name not in map(str, get_available_trackers()):
        raise TlmError(f"tracker {name!r} is configured, but not installed; run `pip install {name}`")


def start_trackers(accelerator: Accelerator, run: Path, settings: dict[str, Any]) -> None:
    """Open the configured trackers; the run's folder is its name there."""
    if accelerator.log_with:
        accelerator.init_trackers("tlm", config=_flat(settings), init_kwargs={"wandb": {"name": str(run)}})


def stop_trackers(accelerator: Accelerator) -> None:
    """Close them. Not `end_training`, which would also end the group of processes."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []


def _flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    """`{"stage1.rho2": 20.0}`: trackers take numbers and text only."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[path + key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found
