"""How good a model's predictions are: classes, confusions, calibration, errors of numbers, most confident mistakes.

Place in the flow: one run of TLM on the scored split → `task_report.TaskReport`. Intervals of precision and recall are
Wilson's; F1 is resampled over rows (`tlm.statistics`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlm.evaluation.artifact import SplitRows
from tlm.results.calibration import confidences, reliability
from tlm.results.page import formatting
from tlm.results.page.scored_runs import MethodRuns, ScoredRun
from tlm.results.page.task_report import (
    Calibration,
    Class,
    Mistake,
    NumberWithInterval,
    Regression,
    WithInterval,
)
from tlm.results.page.worth import estimate
from tlm.statistics import bootstrap, scores, wilson

POINTS = 2000  # of a scatter plot: more would overlap
MISTAKES = 10


def share(hits: int, rows: int) -> NumberWithInterval | None:
    """hits / rows with Wilson's interval; None if there are no rows."""
    if not rows:
        return None
    interval = wilson(hits, rows)
    return WithInterval.of(hits / rows, interval)


def confusion(run: ScoredRun, labels: Sequence[str]) -> np.ndarray:
    """Rows by true and predicted class, (classes, classes), in the order of `labels`."""
    place = {label: number for number, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    for truth, guess in zip(run.labels, run.predictions, strict=True):
        matrix[place[truth], place[guess]] += 1
    return matrix


def classes(run: ScoredRun, labels: Sequence[str], matrix: np.ndarray) -> tuple[Class, ...]:
    """Every class with its scores, in the order of `labels`."""
    found = []
    for number, label in enumerate(labels):
        rows, predicted, hits = (
            int(matrix[number].sum()),
            int(matrix[:, number].sum()),
            int(matrix[number, number]),
        )
        (f1,) = scores("f1", run.labels == label, [run.predictions == label], (False, True))
        found.append(
            Class(
                label=label,
                rows=rows,
                predicted=predicted,
                precision=share(hits, predicted),
                recall=share(hits, rows),
                f1=estimate(f1),
            )
        )
    return tuple(found)


def accuracy(matrix: np.ndarray) -> NumberWithInterval | None:
    """The share of right predictions."""
    return share(int(np.trace(matrix)), int(matrix.sum()))


def calibration(run: ScoredRun, trained: np.ndarray, exported: np.ndarray, t: float) -> Calibration:
    """Calibration of the exported model, whose logits are divided by `t`, and of `run` as trained.

    `trained` and `exported` are the two models' probabilities (rows, classes).
    """
    found, before = (
        reliability("TLM", *confidences(probabilities, run.labels, run.predictions))
        for probabilities in (exported, trained)
    )
    return Calibration.of(found, before, t)


def regression(run: ScoredRun, train_labels: Sequence[float]) -> Regression:
    """Predicted and true numbers: at most `POINTS` rows at an even stride; errors over all rows."""
    truth, guess = run.labels.astype(float), run.predictions.astype(float)
    shown = np.unique(np.linspace(0, len(truth) - 1, min(POINTS, len(truth))).astype(int))
    error = bootstrap(np.abs(guess - truth), np.mean)
    return Regression(
        truth=tuple(truth[shown].tolist()),
        prediction=tuple(guess[shown].tolist()),
        rows=len(truth),
        mean_absolute_error=estimate(error),
        baseline_error=float(np.abs(truth - np.median(train_labels)).mean()),
    )


def mistakes(run: ScoredRun, others: Sequence[MethodRuns], rows: SplitRows) -> tuple[Mistake, ...]:
    """The wrong rows with the highest confidence (for numbers: the largest error), highest first, ties by row."""
    if run.probabilities is None:
        sure = np.abs(run.predictions.astype(float) - run.labels.astype(float))
        wrong = np.flatnonzero(sure > 0)
    else:
        sure = run.probabilities.max(axis=1)
        wrong = np.flatnonzero(run.labels != run.predictions)
    chosen = wrong[np.lexsort((wrong, -sure[wrong]))][:MISTAKES]
    return tuple(
        Mistake(
            row_id=int(run.row_ids[row]),
            text=rows.texts[row],
            text_pair=rows.pairs[row] if rows.pairs else None,
            label=_label(run.labels[row]),
            prediction=_label(run.predictions[row]),
            confidence=None if run.probabilities is None else float(sure[row]),
            others={other.spec.name: _label(other.runs[0].predictions[row]) for other in others},
        )
        for row in chosen
    )


def _label(label: str | float) -> str:
    """A label as text: numbers with three digits."""
    return str(label) if isinstance(label, str) else formatting.number(float(label))
