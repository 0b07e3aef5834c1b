"""Metrics of many resamples at once, from the number of times that each item, or each kind of item, was drawn.

Place in the flow: `tlm.statistics` draws and calls this module; the values equal those of `tlm.metrics` on the same
items. Items with the same label and the same prediction in every run are of one kind. Classification metrics follow
from sums per class, those of multi-label tasks from sums per label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ItemKinds:
    """The number of items of each kind (kinds,), and a function that gives the metric for other numbers.

    `values` maps drawn numbers (resamples, kinds) to the metric of each run (resamples, runs).
    """

    sizes: np.ndarray
    values: Callable[[np.ndarray], np.ndarray]


def agreement(metric: str, labels: np.ndarray, guesses: np.ndarray, classes: Sequence[Any]) -> ItemKinds:
    """Classification metrics, from the number of items, predictions and hits of each class."""
    names, codes = np.unique(np.concatenate([labels[None], guesses]), return_inverse=True)
    kinds, sizes = np.unique(codes.reshape(len(guesses) + 1, -1), axis=1, return_counts=True)
    is_class = (kinds[:, :, None] == np.arange(len(names))).astype(np.float64)  # (1 + runs, kinds, classes)
    actual, predicted = is_class[0], is_class[1:]
    positive = np.flatnonzero(names == classes[1]) if len(classes) == 2 else np.array([], int)

    def values(drawn: np.ndarray) -> np.ndarray:
        weights = drawn.astype(np.float64)
        of = weights @ actual
        found = [
            _from_counts(metric, of, weights @ each, weights @ (each * actual), positive)
            for each in predicted
        ]
        return np.stack(found, axis=1)

    return ItemKinds(sizes, values)


def _from_counts(
    metric: str, actual: np.ndarray, predicted: np.ndarray, hits: np.ndarray, positive: np.ndarray
) -> np.ndarray:
    """A metric from each class's items, predictions and hits, all (resamples, classes)."""
    items = actual.sum(axis=1)
    accuracy = hits.sum(axis=1) / items
    if metric in ("accuracy", "micro_f1"):  # one label an item: every wrong prediction is also a miss
        return accuracy
    if metric == "matthews":
        covariance = hits.sum(axis=1) * items - (actual * predicted).sum(axis=1)
        spread = (items**2 - (actual**2).sum(axis=1)) * (items**2 - (predicted**2).sum(axis=1))
        return _divide(covariance, np.sqrt(spread))
    f1 = _divide(2 * hits, actual + predicted)
    if metric == "macro_f1":  # over the classes that occur
        return f1.sum(axis=1) / (actual + predicted > 0).sum(axis=1)
    of_positive = f1[:, positive].sum(axis=1)  # 0 if the class never occurs: no column
    return of_positive if metric == "f1" else (accuracy + of_positive) / 2


def label_sets(metric: str, labels: np.ndarray, guesses: np.ndarray, _: Sequence[Any]) -> ItemKinds:
    """Metrics of indicators `labels` (items, labels); `guesses` (runs, items, labels), for a ranking probabilities.

    Every item is a separate kind.
    """
    truth = labels.astype(np.float64)
    sizes = np.ones(len(labels), np.int64)
    if metric == "mean_average_precision":
        rankings = [[_Ranking(of, each) for of, each in zip(truth.T, run.T, strict=True)] for run in guesses]

        def precisions(drawn: np.ndarray) -> np.ndarray:
            weights = drawn.astype(np.float64)
            occur = weights @ truth > 0
            found = [np.stack([each.precision(weights) for each in run], axis=1) for run in rankings]
            return np.stack([_divide(each.sum(axis=1), occur.sum(axis=1)) for each in found], axis=1)

        return ItemKinds(sizes, precisions)
    runs = [run.astype(np.float64) for run in guesses]

    def values(drawn: np.ndarray) -> np.ndarray:
        weights = drawn.astype(np.float64)
        found = []
        for run in runs:
            if metric == "exact_match":
                found.append(weights @ (run == truth).all(axis=1) / weights.sum(axis=1))
                continue
            actual, predicted, hits = weights @ truth, weights @ run, weights @ (run * truth)
            if metric == "micro_f1":
                actual, predicted, hits = (
                    each.sum(axis=1, keepdims=True) for each in (actual, predicted, hits)
                )
            f1 = _divide(2 * hits, actual + predicted)
            found.append(_divide(f1.sum(axis=1), (actual + predicted > 0).sum(axis=1)))
        return np.stack(found, axis=1)

    return ItemKinds(sizes, values)


class _Ranking:
    """One label's items, sorted once by probability, highest first."""

    def __init__(self, truth: np.ndarray, probabilities: np.ndarray) -> None:
        order = np.argsort(-probabilities, kind="stable")
        ordered, hit = probabilities[order], truth[order] > 0
        # Only probabilities that an item with the label has count: the items from each to the next are one segment.
        last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
        end = np.unique(last[np.searchsorted(last, np.flatnonzero(hit))])
        self._items = order[: end[-1] + 1] if len(end) else order[:0]
        self._hits = order[hit]
        self._starts = np.r_[0, end[:-1] + 1].astype(np.int64)
        self._hit_starts = np.searchsorted(np.flatnonzero(hit), self._starts)

    def precision(self, weights: np.ndarray) -> np.ndarray:
        """Average precision in each resample (resamples,); 0 if no item of the label is drawn."""
        if not len(self._hits):
            return np.zeros(len(weights))
        gained = np.add.reduceat(weights[:, self._hits], self._hit_starts, axis=1)
        items = np.cumsum(np.add.reduceat(weights[:, self._items], self._starts, axis=1), axis=1)
        hits = np.cumsum(gained, axis=1)
        return _divide((gained * _divide(hits, items)).sum(axis=1), hits[:, -1])


def correlation(metric: str, labels: np.ndarray, guesses: np.ndarray, _: Sequence[Any]) -> ItemKinds:
    """Correlations: every item is a separate kind."""
    truth = _Series(np.asarray(labels, np.float64))
    runs = [_Series(each) for each in np.asarray(guesses, np.float64)]

    def values(drawn: np.ndarray) -> np.ndarray:
        weights = drawn.astype(np.float64)
        rank = truth.ranks(weights) if metric != "pearson" else None
        found = []
        for run in runs:
            varied = truth.varies(weights) & run.varies(weights)
            parts = []
            if metric != "spearman":
                parts.append(_weighted_correlation(weights, truth.values, run.values))
            if rank is not None:
                parts.append(_weighted_correlation(weights, rank, run.ranks(weights)))
            found.append(np.where(varied, np.mean(parts, axis=0), 0.0))
        return np.stack(found, axis=1)

    return ItemKinds(np.ones(len(labels), np.int64), values)


class _Series:
    """Numbers (items,), sorted once, so that a resample is ranked without sorting it again."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values - values.mean()
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        first = np.r_[True, ordered[1:] != ordered[:-1]]
        self._starts = np.flatnonzero(first)
        self._group = np.empty(len(values), np.int64)
        self._group[self._order] = np.cumsum(first) - 1

    def _ties(self, weights: np.ndarray) -> np.ndarray:
        """How often each distinct value is drawn, (resamples, distinct values)."""
        return np.add.reduceat(weights[:, self._order], self._starts, axis=1)

    def varies(self, weights: np.ndarray) -> np.ndarray:
        """Whether each resample holds at least two distinct values, (resamples,)."""
        return (self._ties(weights) > 0).sum(axis=1) > 1

    def ranks(self, weights: np.ndarray) -> np.ndarray:
        """Each item's rank in the resample minus the mean rank, ties averaged; (resamples, items)."""
        ties = self._ties(weights)
        ranks = np.cumsum(ties, axis=1) - (ties - 1) / 2 - (weights.sum(axis=1, keepdims=True) + 1) / 2
        return ranks[:, self._group]


def _weighted_correlation(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation with item i repeated weights[:, i] times; x, y (items,) or (resamples, items)."""
    items = weights.sum(axis=1)

    def mean(values: np.ndarray) -> np.ndarray:
        return (weights * values).sum(axis=1) / items

    mean_x, mean_y = mean(x), mean(y)
    covariance = mean(x * y) - mean_x * mean_y
    spread = np.maximum(mean(x * x) - mean_x**2, 0) * np.maximum(mean(y * y) - mean_y**2, 0)
    return np.clip(_divide(covariance, np.sqrt(spread)), -1, 1)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, or 0 where the denominator is 0, as the metrics define it."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
