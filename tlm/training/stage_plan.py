"""The input of the training loop (`StagePlan`) and its result (`StageProgress`).

Place in the flow: stage1 and stage2 → stage_plan → loop. A plan's functions are pure in the step, so that any step can
be rebuilt alone; a resume needs only the weights and `StageProgress`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlm.config.training import Optimizer
from tlm.training.masking import Batch
from tlm.training.objective import Weights
from tlm.training.rate_schedule import RateSchedule
from tlm.training.work_counts import StageWork, peak_memory


@dataclass(frozen=True)
class TrainingStep:
    """All micro-batches of one optimizer step, over all processes."""

    internal: bool
    batches: Sequence[Batch]


@dataclass(frozen=True)
class StagePlan:
    """The steps of a stage. Every function is pure in the step."""

    name: str
    seed: int
    tokens: Sequence[int]  # real tokens after each step; its length is the number of steps
    step: Callable[[int], TrainingStep]
    weights: Callable[[TrainingStep], Weights]
    nominal_length: Callable[[bool], int]
    optimizer: Optimizer
    chance: float  # loss of a random guess; a loss far above it means divergence
    evaluations: int
    checkpoint_every: int
    evaluate: Callable[[StageProgress], dict[str, float]] | None = None
    """Called on every process after some steps, with the progress so far; the model is in evaluation mode."""
    enough: Callable[[Mapping[str, float]], bool] = lambda measured: False
    """Whether the run may end early, given the result of `evaluate`."""
    initialise: Callable[[], dict[str, Any]] | None = None
    """Called on every process before step 0, never on resume; its result becomes part of the record."""
    evaluate_every: int | None = None
    """Steps between evaluations before the decay; `evaluations` then counts those of the decay."""
    seconds: float | None = None
    """Longest time of the stage: on a slow machine its decay starts early."""
    expected_seconds: float | None = None
    """The forecast of the stage's time, for a warning if it takes longer."""
    stable: Path | None = None
    """Where to keep the state before the decay, from which a longer run of the same settings continues."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return len(self.tokens)

    def evaluation_steps(self, schedule: RateSchedule) -> set[int]:
        """The numbers of finished steps after which the model is evaluated; they include the last step."""
        first = 0 if self.evaluate_every is None else schedule.decay_start
        decay = schedule.steps - first
        found = {first + max(1, round(decay * k / self.evaluations)) for k in range(1, self.evaluations + 1)}
        return (
            found if self.evaluate_every is None else {*found, *range(0, first + 1, self.evaluate_every)[1:]}
        )


@dataclass
class StageProgress:
    """The progress of a stage: everything except the weights that a resume needs."""

    step: int = 0
    work: StageWork = field(default_factory=StageWork)
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry per evaluation: step, tokens and the result of `evaluate`."""
    first_loss: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """CPU time of all threads of this process; other work on the machine changes it less than `seconds`."""
    log_bytes: int = 0
    cuts: list[list[int]] = field(default_factory=list)
    """`RateSchedule.cuts`: where the stage was shortened to end in time."""
    start: dict[str, Any] = field(default_factory=dict)
    """The result of `StagePlan.initialise`."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "work": self.work.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StageProgress:
        """The inverse of `as_dict`."""
        return cls(**{**values, "work": StageWork.from_dict(values["work"])})

    def timing(self, total_seconds: float) -> dict[str, float]:
        """The content of `timing.json`: measurements that differ between two equal runs."""
        return {
            "train_seconds": round(self.seconds, 3),
            "train_cpu_seconds": round(self.cpu_seconds, 3),
            "total_seconds": round(total_seconds, 3),
            "tokens_per_second": round(self.work.total.real_tokens / max(self.seconds, 1e-9), 1),
            "peak_memory_bytes": peak_memory(),
        }
