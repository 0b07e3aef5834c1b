"""Temperature scaling: one number T that calibrates a model (Guo et al. 2017; beyond the paper).

Place in the flow: predictions of an evaluation → here → the export, which writes the temperature into the weights, and
the report of a task, which shows the probabilities of the exported model. Both call `fitted`, so that they agree. A
classifier's logits are divided by T: T > 1 makes it less confident, and no T changes the predicted class.

**Fitted on dev alone**, by the log loss of its labels. Test labels have no influence, so that the calibration error on
test is unbiased. If a task has no test split, the page shows the error on dev, which is too low.

**A weak prior**, (ln T)² / 2 nats against the sum over dev: with hundreds of texts it changes the third digit. It
matters if the model gets every dev text right: the log loss alone would then drive all probabilities to 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tlm.errors import TlmError
from tlm.evaluation.artifact import read_predictions

FEWEST = 50  # dev texts: with fewer, T is 1
LOW, HIGH = 0.05, 20.0
_GRID = 49  # values of ln T that are tried first: with the prior, the loss may have several local minima
_SMALLEST = float(
    np.finfo(np.float32).smallest_subnormal
)  # probabilities are stored as float32; 0 is less than this


def fitted(predictions: Path, labels: Sequence[str]) -> float:
    """T of the model whose evaluation wrote `predictions` (a predictions.parquet), from its dev rows.

    `labels` in the order of the probabilities. Raises TlmError if there are no probabilities, as for regression.
    """
    stored = read_predictions(predictions, "dev")
    if stored.probabilities is None:
        raise TlmError(f"{predictions}: no probabilities: a regression model has no temperature")
    place = {label: number for number, label in enumerate(labels)}
    return temperature(stored.probabilities, np.array([place[label] for label in stored.labels]))


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The T at which probabilities (rows, classes) best predict the true classes (rows,), given as indices.

    From `LOW` to `HIGH`, to four digits; 1 for fewer than `FEWEST` rows. Raises TlmError unless every row has a
    label and probabilities.
    """
    labels = np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise TlmError(
            f"a temperature needs probabilities and a label of every row: got {probabilities.shape} and {labels.shape}"
        )
    if len(labels) < FEWEST:
        return 1.0
    logits = _logits(probabilities)
    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        return log_t**2 / 2 - float(log_softmax(logits / math.exp(log_t), axis=1)[rows, labels].sum())

    grid = np.linspace(math.log(LOW), math.log(HIGH), _GRID)
    best = int(np.argmin([loss(each) for each in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return float(f"{math.exp(found.x):.4g}")


def served(probabilities: np.ndarray, t: float) -> np.ndarray:
    """The probabilities (rows, classes) of the same model with its logits divided by `t`."""
    return softmax(_logits(probabilities) / t, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities: the logits up to a constant in each row, which changes no probability."""
    given = np.asarray(probabilities, np.float64)
    if not (np.isfinite(given).all() and given.min(initial=0) >= 0):
        raise TlmError("probabilities must be between 0 and 1: evaluate the model again")
    return np.log(np.maximum(given, _SMALLEST))
