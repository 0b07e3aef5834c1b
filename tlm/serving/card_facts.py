"""The facts in a model card.

Place in the flow: `export` gathers them → here → `tlm.serving.card` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlm.artifacts import Manifest
from tlm.serving.predictors import FolderPredictors
from tlm.serving.scores import ModelScores


@dataclass(frozen=True)
class SeedScores:
    """A training seed and its primary metric on dev and test, as fractions; no test score if its labels are secret."""

    seed: int
    dev: float
    test: float | None


@dataclass(frozen=True)
class CardFacts:
    """The content of a card."""

    name: str
    task: Manifest
    pair: bool
    text: tuple[str, ...]
    length: int
    recipe: Mapping[str, Any]
    """The run's settings: a RunSpec as plain values."""
    selection: Manifest | None
    corpus: Manifest | None
    flops: Mapping[str, Any]
    seeds: tuple[SeedScores, ...]
    chosen: int
    scores: ModelScores
    evaluated: Manifest
    thresholds: Mapping[str, float] | None = None
    """The probability from which each label is predicted, where a text can have several."""
    predictors: FolderPredictors | None = None
    """The linear model beside the encoder, the blend, and which one `tlm predict` uses."""

    @property
    def metric(self) -> str:
        """The task's metric, which chooses seed and checkpoint."""
        return str(self.task.parameters["metric"])

    @property
    def regression(self) -> bool:
        """Whether the model gives a number instead of a class."""
        return bool(self.task.parameters["problem"] == "regression")

    @property
    def many(self) -> bool:
        """Whether a text can have several labels."""
        return self.thresholds is not None
