"""The learning rate of every step of a stage, also if the stage is shortened while it runs.

Place in the flow: `StagePlan` and `StageProgress` → here → the loop. A *cut* `(step, end)` replaces the rest of the
schedule: from `step` on, the rate falls linearly to zero at `end`. A cut before the decay makes the run equal to one
that had `end` steps from the start, if both have the same `warmup_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tlm.config.training import Optimizer
from tlm.training.optimizer import learning_rate

Cut = tuple[int, int]
"""(step, end): the step from which the rate falls, and the number of steps at which it is zero."""

DECIDE_EVERY = 10
"""Steps between looks at the clock."""
_MEASURED = 20  # steps before the speed is trusted: the first ones allocate memory and choose kernels
_SHORTER = 0.98  # share of the steps that are left; a decay is not cut for less
_LEAST = 20  # a decay that has no time left gets a twentieth of the steps so far


@dataclass(frozen=True)
class RateSchedule:
    """The schedule of a stage with `planned` steps and the cuts made so far."""

    spec: Optimizer
    planned: int
    cuts: tuple[Cut, ...] = ()

    @classmethod
    def of(cls, spec: Optimizer, planned: int, cuts: Sequence[Sequence[int]]) -> RateSchedule:
        """From cuts as JSON holds them."""
        return cls(spec, planned, tuple((int(step), int(end)) for step, end in cuts))

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage, all cuts included."""
        return self.cuts[-1][1] if self.cuts else self.planned

    @property
    def warmup(self) -> int:
        """Steps of the warm-up."""
        return self.spec.warmup(self.planned)

    @property
    def decay_start(self) -> int:
        """The number of steps before the rate falls."""
        planned = self.spec.decay_start(self.planned)
        return min(planned, self.cuts[0][0]) if self.cuts else planned

    def rate(self, step: int) -> float:
        """Learning rate of step 0 … steps - 1."""
        if not self.cuts or step < self.cuts[-1][0]:
            earlier = RateSchedule(self.spec, self.planned, self.cuts[:-1])
            return earlier.rate(step) if self.cuts else learning_rate(self.spec, step, self.planned)
        start, end = self.cuts[-1]
        before = RateSchedule(self.spec, self.planned, self.cuts[:-1])
        return before.rate(start) * (end - step) / (end - start)

    def cut_for_time(self, step: int, seconds: float, limit: float) -> RateSchedule:
        """The schedule that ends within `limit` seconds, after `step` steps took `seconds`.

        It stays as it is while its end is within the limit. The plateau is cut as late as a decay of the declared share
        of all steps still fits; a decay is cut whenever it would take too long.
        """
        if step < max(_MEASURED, self.warmup) or step >= self.steps:
            return self
        affordable = int(limit * step / max(seconds, 1e-9))
        if affordable >= self.steps:
            return self
        if step < self.decay_start:
            share = 1 - self.spec.decay_fraction
            if (step + DECIDE_EVERY) / share <= affordable:
                return self  # there is time to decide at the next look
            near = range(math.floor(step / share), math.ceil(step / share) + 2)
            ends = [end for end in near if self.spec.decay_start(end) == step]
            return self._cut(step, ends[0] if ends else near[1])
        if affordable >= _SHORTER * self.steps:
            return self
        return self._cut(step, max(affordable, step + max(1, step // _LEAST)))

    def _cut(self, step: int, end: int) -> RateSchedule:
        if end >= self.steps:
            return self
        return RateSchedule(self.spec, self.planned, (*self.cuts, (step, end)))
