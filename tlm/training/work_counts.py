"""Tokens, rows and positions that a stage processed: the numbers that FLOPs are computed from.

Place in the flow: loop → work_counts → evaluation's FLOPs. All counts follow from (spec, data, seed), so the
record is the same on every machine; seconds and memory go to `timing.json`, which no manifest lists.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tlm.training.masking import Batch


@dataclass
class WorkCounts:
    """Work of the training steps on one kind of data.

    `real_tokens` include [CLS] and [SEP] but no padding; `padded_tokens` include padding; `nominal_tokens` are
    counted as in the paper, micro-batches · batch size · the stage's length; `squared_lengths` is the sum of
    padded_length² over rows (attention); `masked_positions` went through the language-model head.
    """

    steps: int = 0
    rows: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    nominal_tokens: int = 0
    squared_lengths: int = 0
    masked_positions: int = 0

    def add(self, batches: Sequence[Batch], nominal_length: int) -> None:
        """Count one step."""
        self.steps += 1
        for batch in batches:
            self.rows += batch.rows
            self.real_tokens += int(batch.lengths.sum())
            self.padded_tokens += batch.input_ids.size
            self.nominal_tokens += batch.rows * nominal_length
            self.squared_lengths += batch.rows * batch.padded_length**2
            self.masked_positions += batch.masked


@dataclass
class StageWork:
    """Counts of a stage, separately for internal and external data."""

    internal: WorkCounts = field(default_factory=WorkCounts)
    external: WorkCounts = field(default_factory=WorkCounts)

    @property
    def total(self) -> WorkCounts:
        """Internal and external counts added."""
        pairs = ((name.name, name.name) for name in fields(WorkCounts))
        return WorkCounts(
            **{name: getattr(self.internal, name) + getattr(self.external, name) for name, _ in pairs}
        )

    def as_dict(self) -> dict[str, Any]:
        """The totals, and the internal and external counts."""
        return {
            **asdict(self.total),
            "internal": asdict(self.internal),
            "external": asdict(self.external),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StageWork:
        """The inverse of `as_dict`."""
        return cls(WorkCounts(**values["internal"]), WorkCounts(**values["external"]))


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
