"""From a model's outputs to predictions, the same for every kind of model; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlm.problems import Problem


@dataclass(frozen=True)
class Outputs:
    """The model's predictions, in the form of `Problem.ids`, and probabilities (rows, labels), None for numbers."""

    predictions: np.ndarray
    probabilities: np.ndarray | None


def decide(problem: Problem, outputs: np.ndarray, thresholds: Sequence[float] | None) -> Outputs:
    """Predictions from outputs (rows, outputs). `thresholds`: the least probability of each label."""
    probabilities = problem.probabilities(outputs)
    if problem.many:
        assert probabilities is not None and thresholds is not None
        return Outputs(probabilities >= np.array(thresholds), probabilities)
    return Outputs(problem.predict(outputs, None), probabilities)
