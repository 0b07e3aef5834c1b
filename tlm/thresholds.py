"""The decision rule of multi-label tasks: a label is predicted if its output reaches the label's threshold.

Place in the flow: `tlm.problems` → here. The thresholds are chosen on dev, on log-odds (the model's outputs):

1. The shared threshold gives the highest micro-F1 of all labels together.
2. A label's own threshold gives the highest F1 of the label.
3. The label's threshold is the mean of both, weighted with the label's dev texts and with `PRIOR`. A label with few dev
   texts therefore stays near the shared threshold (Yang 2001 shows that own thresholds overfit rare labels).

Predictions on dev itself come from cross-fitting: the thresholds of each fifth are chosen on the other four. So dev
scores, which choose checkpoints, seeds and methods, are not too high.
"""

from __future__ import annotations

import numpy as np

PRIOR = 20
"""Weight of the shared threshold, in dev texts with the label."""
PARTS = 5
"""Parts of cross-fitting."""


def choose(outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The thresholds (labels,) for log-odds `outputs` (rows, labels) whose true labels are `truth` (rows, labels).

    0, which is a probability of 0.5, if no row has a label.
    """
    outputs, truth = np.asarray(outputs, np.float64), np.asarray(truth, bool)
    rows_of = truth.sum(axis=0)
    if not rows_of.any():
        return np.zeros(outputs.shape[1])
    shared = _best_cut(outputs.ravel(), truth.ravel())
    own = [
        _best_cut(outputs[:, label], truth[:, label]) if rows else shared
        for label, rows in enumerate(rows_of)
    ]
    return np.round((rows_of * np.array(own) + PRIOR * shared) / (rows_of + PRIOR), 6)


def apply(outputs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The predicted labels of each row, (rows, labels) bool."""
    return np.asarray(outputs, np.float64) >= thresholds


def cross_fitted(outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Predicted labels (rows, labels) bool, each part of the rows with the thresholds of the other parts."""
    part = np.arange(len(outputs)) % PARTS
    found = np.zeros(truth.shape, bool)
    for number in range(PARTS):
        inside = part == number
        found[inside] = apply(outputs[inside], choose(outputs[~inside], truth[~inside]))
    return found


def _best_cut(outputs: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of `outputs` (items,) with the highest F1 of `truth` (items,), the highest of equals."""
    order = np.argsort(-outputs, kind="stable")
    values, hits = outputs[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])  # equal outputs are on the same side
    f1 = 2 * hits[last] / (last + 1 + hits[-1])
    best = last[int(np.argmax(f1))]
    return float(values[best] if best == len(values) - 1 else (values[best] + values[best + 1]) / 2)
