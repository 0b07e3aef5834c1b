"""The kinds of problems: the one place that declares what depends on the kind of a task's labels.

Place in the flow: below the configuration. Training, evaluation, reports and served models take the head, the loss, the
decision rule and the metrics of a task from here; `tlm.training.objective` has the losses.

| problem | label of a row | outputs | loss of a row | prediction |
|---|---|---|---|---|
| classification | one of the labels | one per label | cross-entropy | the largest output |
| multi_label | any number of labels, also none | one per label | sum of binary cross-entropies | thresholds |
| regression | a number | one | squared error | the output |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tlm.errors import TlmError

if TYPE_CHECKING:  # the configuration imports this module, so NumPy loads on use
    import numpy as np

ProblemName = Literal["classification", "multi_label", "regression"]
_SMALLEST = 2.0**-149  # the least float32 above 0: stored probabilities are float32
_NEAREST = 2.0**-24  # the distance of the largest float32 below 1 from 1


@dataclass(frozen=True)
class Problem:
    """A kind of problem; the methods are those of classification.

    `ids` are what training compares outputs with: class ids (rows,), indicators (rows, labels) or numbers (rows,).
    """

    name: ProblemName
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"]
    """In the configuration of a `transformers` model."""
    metrics: tuple[str, ...]
    """A task may declare these; the first is the default."""

    @property
    def has_labels(self) -> bool:
        """Whether the task has a set of labels."""
        return True

    @property
    def many(self) -> bool:
        """Whether a row can have several labels."""
        return False

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The names of the model's outputs."""
        return tuple(map(str, labels))

    def chance(self, outputs: int) -> float:
        """The loss of a row for a model that knows nothing."""
        return math.log(max(2, outputs))

    def ids(self, values: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        """The label column as training reads it. Raises TlmError for a label that is not among `labels`."""
        import numpy as np

        place = _places(values, labels)
        return np.array([place[label] for label in values], np.int64)

    def array(self, values: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        """The label column as metrics read it: names of classes, indicators or numbers."""
        import numpy as np

        return np.array(values)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        """Probabilities (rows, labels) from the model's outputs; None for numbers."""
        import numpy as np

        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def log_odds(self, probabilities: np.ndarray) -> np.ndarray:
        """Outputs that give these probabilities; softmax: up to a constant in each row, which changes no probability.

        Raises TlmError for a number that is no probability.
        """
        import numpy as np

        return np.log(np.maximum(_checked(probabilities), _SMALLEST))

    def log_loss(self, outputs: np.ndarray, ids: np.ndarray) -> float:
        """The loss of training, summed over the rows."""
        import numpy as np
        from scipy.special import log_softmax

        return -float(log_softmax(outputs, axis=1)[np.arange(len(ids)), ids].sum())

    def thresholds(self, outputs: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
        """Thresholds of the outputs, chosen on dev; None if the rule has none."""
        return None

    def predict(self, outputs: np.ndarray, cut: np.ndarray | None) -> np.ndarray:
        """Predictions in the form of `ids`; `cut` are the thresholds."""
        import numpy as np

        return np.asarray(outputs.argmax(axis=1))

    def predict_dev(self, outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Predictions on dev, whose labels also choose the thresholds."""
        return self.predict(outputs, None)

    def values(self, ids: np.ndarray, labels: Sequence[str]) -> list[Any]:
        """Predictions in the form of the label column."""
        return [labels[index] for index in ids]


class _Regression(Problem):
    @property
    def has_labels(self) -> bool:
        return False

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        return ("score",)

    def chance(self, outputs: int) -> float:
        return 1.0

    def ids(self, values: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        import numpy as np

        return np.array(values, np.float64)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        return None

    def predict(self, outputs: np.ndarray, cut: np.ndarray | None) -> np.ndarray:
        return outputs[:, 0]

    def values(self, ids: np.ndarray, labels: Sequence[str]) -> list[Any]:
        return [float(value) for value in ids]


class _MultiLabel(Problem):
    @property
    def many(self) -> bool:
        return True

    def chance(self, outputs: int) -> float:
        return outputs * math.log(2)

    def ids(self, values: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        import numpy as np

        place = _places([label for each in values for label in each], labels)
        found = np.zeros((len(values), len(labels)), bool)
        for row, each in enumerate(values):
            found[row, [place[label] for label in each]] = True
        return found

    def array(self, values: Sequence[Any], labels: Sequence[str]) -> np.ndarray:
        return self.ids(values, labels)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray | None:
        import numpy as np
        from scipy.special import expit

        return np.asarray(expit(np.asarray(outputs, np.float64)))

    def log_odds(self, probabilities: np.ndarray) -> np.ndarray:
        import numpy as np

        given = np.clip(_checked(probabilities), _SMALLEST, 1 - _NEAREST)
        return np.asarray(np.log(given) - np.log1p(-given))

    def log_loss(self, outputs: np.ndarray, ids: np.ndarray) -> float:
        import numpy as np

        return float(np.logaddexp(0, np.where(ids, -outputs, outputs)).sum())

    def thresholds(self, outputs: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
        from tlm import thresholds

        return thresholds.choose(outputs, truth)

    def predict(self, outputs: np.ndarray, cut: np.ndarray | None) -> np.ndarray:
        import numpy as np

        from tlm import thresholds

        return thresholds.apply(outputs, np.zeros(outputs.shape[1]) if cut is None else cut)

    def predict_dev(self, outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
        from tlm import thresholds

        return thresholds.cross_fitted(outputs, truth)

    def values(self, ids: np.ndarray, labels: Sequence[str]) -> list[Any]:
        import numpy as np

        return [[labels[index] for index in np.flatnonzero(row).tolist()] for row in ids]


CLASSIFICATION = Problem(
    "classification",
    "single_label_classification",
    ("macro_f1", "micro_f1", "accuracy", "matthews", "accuracy_f1"),
)
MULTI_LABEL = _MultiLabel(
    "multi_label", "multi_label_classification", ("macro_f1", "micro_f1", "mean_average_precision")
)
REGRESSION = _Regression("regression", "regression", ("pearson_spearman",))
PROBLEMS: dict[str, Problem] = {each.name: each for each in (CLASSIFICATION, MULTI_LABEL, REGRESSION)}
"""Name → problem. The name is the value of a task's `problem:`."""


def problem_of_type(problem_type: str | None) -> Problem:
    """The problem of a saved model; classification if its configuration names none that is known."""
    return next((each for each in PROBLEMS.values() if each.problem_type == problem_type), CLASSIFICATION)


def _places(values: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    place = {label: number for number, label in enumerate(labels)}
    if unknown := sorted({str(label) for label in values if label not in place}):
        raise TlmError(
            f"label {unknown[0]!r} is not among the task's labels {list(place)}; build the task again"
        )
    return place


def _checked(probabilities: np.ndarray) -> np.ndarray:
    import numpy as np

    given = np.asarray(probabilities, np.float64)
    if not (np.isfinite(given).all() and given.min(initial=0) >= 0):
        raise TlmError("probabilities must be between 0 and 1: evaluate the model again")
    return given
