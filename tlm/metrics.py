"""The metrics of the tasks, computed by scikit-learn and SciPy.

Place in the flow: stage 2 chooses its checkpoint by the metric on dev; evaluation reports it on dev and test. Both
libraries are slow to import, so each function imports what it calls. The paper scores macro-F1, and micro-F1 for
ChemProt and RCT (Section 4.1). GLUE (Table 10) adds accuracy, Matthews' correlation (CoLA), Pearson/Spearman (STS-B)
and accuracy/F1 (MRPC, QQP); for a task with two numbers, their mean is the task's score. Multi-label tasks (not in the
paper) have F1 over all decisions or as a mean over labels, and mean average precision.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlm.errors import TlmError

CLASSIFICATION_METRICS = ("micro_f1", "macro_f1", "accuracy", "matthews", "f1", "accuracy_f1")
REGRESSION_METRICS = ("pearson", "spearman", "pearson_spearman")
MULTI_LABEL_METRICS = ("micro_f1", "macro_f1", "exact_match", "mean_average_precision")
RANKING_METRICS = ("mean_average_precision",)
"""They compare probabilities with the labels, not predictions."""
METRICS = CLASSIFICATION_METRICS + REGRESSION_METRICS
"""Of tasks with one label or number a row."""


def is_regression(metric: str) -> bool:
    """Whether `metric` compares real numbers. Raises TlmError for an unknown metric."""
    known = tuple(dict.fromkeys(METRICS + MULTI_LABEL_METRICS))
    if metric not in known:
        raise TlmError(f"unknown metric {metric!r}; known: {', '.join(known)}")
    return metric in REGRESSION_METRICS


def score(
    metric: str,
    labels: Sequence[Any] | np.ndarray,
    predictions: Sequence[Any] | np.ndarray,
    classes: Sequence[Any] = (),
    probabilities: np.ndarray | None = None,
) -> dict[str, float]:
    """All metrics for the task's kind of labels; `primary` repeats the value of `metric`.

    `labels` and `predictions` are (rows,): class ids or class names for classification, real numbers for regression; or
    (rows, labels) indicators for multi-label tasks, whose `probabilities` (rows, labels) give the mean average
    precision, over the labels that occur in `labels`. Macro-F1 averages over the classes that occur in labels or
    predictions, as scikit-learn does; a class that is never predicted counts as 0. With two `classes` (as they occur in
    `labels`), `f1` is the F1 of the second, positive class, and `accuracy_f1` its mean with accuracy, as GLUE scores
    MRPC and QQP. A constant series scores 0, because its correlation is undefined. Every value is a fraction, not a
    percentage. Raises TlmError for an unknown metric, for no rows, for unequal lengths, and for `f1` without exactly
    two classes.
    """
    regression = is_regression(metric)
    truth, guess = np.asarray(labels), np.asarray(predictions)
    if truth.shape != guess.shape or truth.ndim not in (1, 2) or not truth.size:
        raise TlmError(
            f"metric {metric}: {truth.shape} labels against {guess.shape} predictions; "
            "both must hold the same number of rows, at least one"
        )
    if truth.ndim == 2:
        values = _label_sets(truth.astype(bool), guess.astype(bool), probabilities)
    else:
        values = _correlations(truth, guess) if regression else _agreement(truth, guess)
    if len(classes) == 2 and not regression and truth.ndim == 1:
        values["f1"] = _positive_f1(truth == classes[1], guess == classes[1])
        values["accuracy_f1"] = (values["accuracy"] + values["f1"]) / 2
    if metric not in values:
        if metric in RANKING_METRICS:
            raise TlmError(f"metric {metric}: needs a multi-label task and the model's probabilities")
        if truth.ndim == 2:
            raise TlmError(f"metric {metric}: not for several labels a row; use {', '.join(values)}")
        raise TlmError(
            f"metric {metric}: needs two classes, the second of them positive; the task has {len(classes)}"
        )
    return {"primary": values[metric], **values}


def _agreement(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    with warnings.catch_warnings():  # Matthews' correlation of a single class is 0; do not warn
        warnings.simplefilter("ignore")
        return {
            "accuracy": float(accuracy_score(labels, predictions)),
            "micro_f1": float(f1_score(labels, predictions, average="micro")),
            "macro_f1": float(f1_score(labels, predictions, average="macro", zero_division=0.0)),
            "matthews": float(matthews_corrcoef(labels, predictions)),
        }


def _label_sets(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray | None
) -> dict[str, float]:
    hits, rows = (labels & predictions).sum(axis=0), labels.sum(axis=0) + predictions.sum(axis=0)
    by_label = 2 * hits[rows > 0] / rows[rows > 0]
    values = {
        "micro_f1": float(2 * hits.sum() / max(1, rows.sum())),
        "macro_f1": float(by_label.mean()) if len(by_label) else 0.0,
        "exact_match": float((labels == predictions).all(axis=1).mean()),
    }
    if probabilities is not None:
        known = average_precisions(labels, probabilities)
        values["mean_average_precision"] = float(np.nanmean(known)) if labels.any() else 0.0
    return values


def average_precisions(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Average precision of each label (labels,) from indicators and probabilities (rows, labels); NaN without a row."""
    from sklearn.metrics import average_precision_score

    return np.array(
        [
            average_precision_score(truth, guess) if truth.any() else np.nan
            for truth, guess in zip(labels.T, probabilities.T, strict=True)
        ]
    )


def _positive_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, zero_division=0.0))


def _correlations(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    from scipy.stats import ConstantInputWarning, pearsonr, spearmanr

    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        pearson = spearman = 0.0
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            pearson = float(np.nan_to_num(pearsonr(labels, predictions).statistic))
            spearman = float(np.nan_to_num(spearmanr(labels, predictions).statistic))
    return {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}
