"""How good a model's predictions are: labels, confusions, calibration, errors of numbers, most confident mistakes.

Place in the flow: one run of TLM on the scored split → `task_report.TaskReport`. Intervals of precision and recall are
Wilson's; F1 is resampled over rows (`tlm.statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlm.evaluation.artifact import SplitRows
from tlm.metrics import average_precisions
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
RESAMPLED = 30  # labels: with more, average precision has no intervals, which take a second or more each


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


def classes(run: ScoredRun, labels: Sequence[str], t: float) -> tuple[Class, ...]:
    """Every label with its scores, in the order of `labels`; `t` is the temperature of the exported model."""
    cut = run.manifest.parameters.get("thresholds")
    found = []
    for number, label in enumerate(labels):
        many = run.labels.ndim == 2
        truth, guess = (each[:, number] if many else each == label for each in (run.labels, run.predictions))
        rows, predicted, hits = (int(each.sum()) for each in (truth, guess, truth & guess))
        (f1,) = scores("f1", truth, [guess], (False, True))
        more: dict[str, Any] = {}
        if cut is not None:
            assert run.probabilities is not None
            more = {
                "average_precision": _average_precision(
                    truth, run.probabilities[:, number], resampled=len(labels) <= RESAMPLED
                ),
                "threshold": 1 / (1 + math.exp(-cut[number] / t)),
            }
        found.append(
            Class(
                label=label,
                rows=rows,
                predicted=predicted,
                precision=share(hits, predicted),
                recall=share(hits, rows),
                f1=estimate(f1),
                **more,
            )
        )
    return tuple(found)


def _average_precision(
    truth: np.ndarray, probabilities: np.ndarray, *, resampled: bool
) -> NumberWithInterval | None:
    """Of one label, with an interval if `resampled`; None if no row has the label."""
    if not truth.any():
        return None
    if not resampled:
        (value,) = average_precisions(truth[:, None], probabilities[:, None])
        return NumberWithInterval(value=float(value))
    (found,) = scores("mean_average_precision", truth[:, None], [probabilities[:, None]])
    return estimate(found)


def right(run: ScoredRun) -> np.ndarray:
    """Whether the prediction of each row is right, (rows,) bool; of several labels, all must be right."""
    equal = np.asarray(run.labels == run.predictions)
    return np.asarray(equal.all(axis=1) if equal.ndim == 2 else equal)


def accuracy(run: ScoredRun) -> NumberWithInterval | None:
    """The share of right predictions."""
    return share(int(right(run).sum()), len(run.labels))


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


def mistakes(
    run: ScoredRun, others: Sequence[MethodRuns], rows: SplitRows, labels: Sequence[str]
) -> tuple[Mistake, ...]:
    """The wrong rows with the highest confidence (for numbers: the largest error), highest first, ties by row.

    Of several labels a row, the confidence is that of the surest wrong decision on a label.
    """
    if run.probabilities is None:
        sure = np.abs(run.predictions.astype(float) - run.labels.astype(float))
        wrong = np.flatnonzero(sure > 0)
    else:
        sure = run.probabilities.max(axis=1)
        if run.labels.ndim == 2:
            decided = np.where(run.predictions, run.probabilities, 1 - run.probabilities)
            sure = (decided * (run.labels != run.predictions)).max(axis=1)
        wrong = np.flatnonzero(~right(run))
    chosen = wrong[np.lexsort((wrong, -sure[wrong]))][:MISTAKES]
    return tuple(
        Mistake(
            row_id=int(run.row_ids[row]),
            text=rows.texts[row],
            text_pair=rows.pairs[row] if rows.pairs else None,
            label=_label(run.labels[row], labels),
            prediction=_label(run.predictions[row], labels),
            confidence=None if run.probabilities is None else float(sure[row]),
            others={other.spec.name: _label(other.runs[0].predictions[row], labels) for other in others},
        )
        for row in chosen
    )


def _label(label: str | float | np.ndarray, labels: Sequence[str]) -> str:
    """A label as text: numbers with three digits; several labels with commas between them."""
    if isinstance(label, np.ndarray):
        return ", ".join(labels[number] for number in np.flatnonzero(label).tolist()) or "no label"
    return str(label) if isinstance(label, str) else formatting.number(float(label))
