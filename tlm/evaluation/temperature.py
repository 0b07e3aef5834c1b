"""Temperature scaling: one number T that calibrates a model (Guo et al. 2017; beyond the paper).

Place in the flow: predictions of an evaluation → here → the export, which writes the temperature into the weights, and
the report of a task, which shows the probabilities of the exported model. Both call `fitted`, so that they agree. A
classifier's logits are divided by T: T > 1 makes it less confident, and no T changes the predicted class. The
thresholds of a multi-label model are divided by T, too, so that no T changes its predicted labels.

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

from tlm.errors import TlmError
from tlm.evaluation.stored_predictions import read_predictions
from tlm.problems import CLASSIFICATION, MULTI_LABEL, Problem

FEWEST = 50  # dev texts: with fewer, T is 1
LOW, HIGH = 0.05, 20.0
_GRID = 49  # values of ln T that are tried first: with the prior, the loss may have several local minima


def fitted(predictions: Path, labels: Sequence[str]) -> float:
    """T of the model whose evaluation wrote `predictions` (a predictions.parquet), from its dev rows.

    `labels` in the order of the probabilities. Raises TlmError if there are no probabilities, as for regression.
    """
    stored = read_predictions(predictions, "dev", labels)
    if stored.probabilities is None:
        raise TlmError(f"{predictions}: no probabilities: a regression model has no temperature")
    if stored.labels.ndim == 2:
        return temperature(stored.probabilities, stored.labels)
    place = {label: number for number, label in enumerate(labels)}
    return temperature(stored.probabilities, np.array([place[label] for label in stored.labels]))


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The T at which probabilities (rows, classes) best predict the true classes (rows,), given as indices.

    For several labels a row, `labels` are indicators (rows, labels). From `LOW` to `HIGH`, to four digits; 1 for fewer
    than `FEWEST` rows. Raises TlmError unless every row has a label and probabilities.
    """
    labels = np.asarray(labels)
    problem = MULTI_LABEL if labels.ndim == 2 else CLASSIFICATION
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[: labels.ndim] or not labels.ndim:
        raise TlmError(
            f"a temperature needs probabilities and a label of every row: got {probabilities.shape} and {labels.shape}"
        )
    if len(labels) < FEWEST:
        return 1.0
    logits = problem.log_odds(probabilities)

    def loss(log_t: float) -> float:
        return log_t**2 / 2 + problem.log_loss(logits / math.exp(log_t), labels)

    grid = np.linspace(math.log(LOW), math.log(HIGH), _GRID)
    best = int(np.argmin([loss(each) for each in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return float(f"{math.exp(found.x):.4g}")


def served(probabilities: np.ndarray, t: float, problem: Problem = CLASSIFICATION) -> np.ndarray:
    """The probabilities (rows, classes) of the same model with its logits divided by `t`."""
    found = problem.probabilities(problem.log_odds(probabilities) / t)
    assert found is not None
    return found
