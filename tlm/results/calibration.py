"""Calibration: is a model right 80 % of the time when its confidence is 80 %? (Guo et al. 2017; beyond the paper)

Place in the flow: predictions of an evaluation → here → the calibration figure and the report of a task. Confidence is
the probability of the predicted label; where a text can have several labels, the probability of each label, which is
right if the text has the label. NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlm.errors import TlmError
from tlm.statistics import Interval, percentile, wilson

BINS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Bin:
    """Texts with similar confidence."""

    low: float
    high: float
    rows: int
    confidence: float
    """Mean over its texts."""
    accuracy: float
    interval: Interval
    """Wilson's 95 % interval of the accuracy."""


@dataclass(frozen=True)
class Reliability:
    """Calibration of one model on one split. `bins` has no empty bins."""

    label: str
    rows: int
    accuracy: float
    confidence: float
    bins: tuple[Bin, ...]
    ece: float
    """Expected calibration error: mean over texts of |accuracy − confidence| of their bin."""
    interval: Interval
    """Of `ece`: 95 %, a percentile bootstrap over texts."""
    by_chance: float
    """The mean `ece` of a perfectly calibrated model on these texts; it is above 0."""


def confidences(
    probabilities: np.ndarray, labels: np.ndarray, predictions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence (rows,) and whether the prediction is right (rows,), from probabilities (rows, classes).

    For several labels a row: the probabilities (rows, labels), and whether the row has the label (rows, labels).
    Raises TlmError if there are no rows, or if the three lengths differ.
    """
    if not len(labels) or not len(probabilities) == len(labels) == len(predictions):
        raise TlmError(
            f"calibration needs at least one row, with one label and prediction each: got {len(probabilities)} rows of "
            f"probabilities, {len(labels)} labels and {len(predictions)} predictions"
        )
    given, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    return (given, truth) if truth.ndim == 2 else (given.max(axis=1), truth == np.asarray(predictions))


def reliability(
    label: str,
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    bins: int = BINS,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> Reliability:
    """Reliability diagram and expected calibration error, in `bins` bins of equal width.

    `confidence` (rows,) in 0 to 1, `correct` (rows,) bool; or both (rows, labels), and `rows` then counts decisions.
    The bootstrap draws rows. Raises TlmError for no rows or another confidence.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if not len(confidence) or confidence.shape != correct.shape:
        raise TlmError(
            f"{label}: {len(confidence)} confidences and {len(correct)} outcomes; give equal numbers, at least one"
        )
    if not (np.isfinite(confidence).all() and confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        raise TlmError(f"{label}: confidences must be probabilities, from 0 to 1")
    # A bin includes its upper end, as in Guo et al.; 0 belongs to the first.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = correct - confidence
    found = []
    for number in np.unique(place):
        inside = place == number
        rows, hits = int(inside.sum()), int(correct[inside].sum())
        found.append(
            Bin(
                low=number / bins,
                high=(number + 1) / bins,
                rows=rows,
                confidence=float(confidence[inside].mean()),
                accuracy=hits / rows,
                interval=wilson(hits, rows),
            )
        )
    draw = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    calibrated = np.empty(resamples)
    for turn in range(resamples):
        chosen = draw.integers(len(gap), size=len(gap))
        drawn[turn] = _error(place[chosen], gap[chosen], bins)
        calibrated[turn] = _error(place, (draw.random(gap.shape) < confidence) - confidence, bins)
    return Reliability(
        label=label,
        rows=correct.size,
        accuracy=float(correct.mean()),
        confidence=float(confidence.mean()),
        bins=tuple(found),
        ece=_error(place, gap, bins),
        interval=percentile(drawn),
        by_chance=float(calibrated.mean()),
    )


def _error(place: np.ndarray, gap: np.ndarray, bins: int) -> float:
    """Σ over bins of |Σ of the gaps of its texts|, per text."""
    return float(np.abs(np.bincount(place.ravel(), weights=gap.ravel(), minlength=bins)).sum() / gap.size)
