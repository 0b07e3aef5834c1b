"""Confidence intervals of scores: bootstrap over items, paired within seeds; binomial intervals; mean and spread.

Place in the flow: beside `tlm.metrics`, with the same definitions; used wherever a score or a difference is shown with
an interval (docs/claims.md). The paper reports means over three seeds and no intervals. This module needs NumPy only.

**Resampling.** The items of a split are drawn with replacement, and all runs of all systems are scored on the same
draw. An item that is easy for one system or seed is mostly easy for the others, so a difference has a narrower interval
than its two parts. The seeds are not resampled, because there are too few. `BootstrapEstimate.interval` covers the
choice of the test items, given the trained models; `BootstrapEstimate.over_seeds` adds the spread between seeds.

**Percentile intervals** average over seeds and tasks as the metric itself does, and respect its range. BCa (Efron 1987)
would correct skewness and bias, but its jackknife breaks down where a metric takes few values (accuracy on 65 texts),
and differences are nearly symmetric. tests/test_statistics.py measures the coverage.

**Speed.** Items with the same label and the same prediction in every run are exchangeable. So the bootstrap draws how
many items of each kind a resample holds (multinomial), and all classification metrics follow from sums per class. The
result is exact, and a thousand resamples of 5,000 items and six runs take a second.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlm.errors import TlmError
from tlm.resampled_metrics import agreement, correlation, label_sets

RESAMPLES = 2000
LEVEL = 0.95
CLASSIFICATION = ("micro_f1", "macro_f1", "accuracy", "matthews", "f1", "accuracy_f1")
REGRESSION = ("pearson", "spearman", "pearson_spearman")
MULTI_LABEL = ("micro_f1", "macro_f1", "exact_match", "mean_average_precision")
_KNOWN = tuple(dict.fromkeys(CLASSIFICATION + REGRESSION + MULTI_LABEL))
_CHUNK = 2_000_000  # numbers in an array of resamples by kinds of items: 16 MB

Seed = int | Sequence[int]


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class BootstrapEstimate:
    """A statistic: its value, its value in each resample (resamples,), and for each training seed (may be empty)."""

    value: float
    draws: np.ndarray
    by_seed: tuple[float, ...] = ()

    @property
    def interval(self) -> Interval:
        """The percentile interval."""
        return percentile(self.draws)

    @property
    def over_seeds(self) -> Interval | None:
        """The interval for other items and other training seeds; None for fewer than two seeds.

        The half-widths of two independent errors, of the items and of a mean over seeds, add up as squares. With two or
        three seeds their spread is known badly, and the interval is narrower than one with Student's t would be.
        """
        if self.seed_sd is None:
            return None
        half = _z(LEVEL) * self.seed_sd / math.sqrt(len(self.by_seed))
        interval = self.interval
        below, above = max(0.0, self.value - interval.low), max(0.0, interval.high - self.value)
        return Interval(self.value - math.hypot(below, half), self.value + math.hypot(above, half))

    @property
    def widest(self) -> Interval:
        """The interval to conclude from: over items and seeds, or over items alone where there is one seed."""
        return self.over_seeds or self.interval

    @property
    def seed_sd(self) -> float | None:
        """Sample standard deviation over training seeds; None for fewer than two."""
        return mean_sd(self.by_seed)[1] if self.by_seed else None


def percentile(draws: np.ndarray, level: float = LEVEL) -> Interval:
    """The interval that holds the middle `level` of the draws. Raises TlmError if there are none."""
    if not len(draws):
        raise TlmError("no resamples: an interval needs at least one")
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(float(low), float(high))


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and sample standard deviation (n - 1), which is None for a single value. Raises TlmError for none."""
    if not values:
        raise TlmError("no values: a mean needs at least one")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share (Wilson 1927): within 0 to 1, also for few trials or no successes.

    Raises TlmError unless 0 <= successes <= trials and trials > 0.
    """
    if not 0 <= successes <= trials or not trials:
        raise TlmError(f"{successes} of {trials} is not a share: needs 0 <= successes <= trials, trials > 0")
    z = _z(level)
    share, shrink = successes / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, middle - half)  # exactly, whatever the rounding
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return Interval(low, high)


def _z(level: float) -> float:
    """The normal quantile z such that -z to z holds the probability `level`."""
    return statistics.NormalDist().inv_cdf((1 + level) / 2)


def bootstrap(
    items: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    *,
    resamples: int = RESAMPLES,
    seed: Seed = 1,
) -> BootstrapEstimate:
    """Any statistic of `items` (items, ...), computed on every resample of the first axis.

    For metrics use `scores`, which is also exact and much faster. Raises TlmError for no items.
    """
    if not len(items):
        raise TlmError("no items to resample")
    draw = np.random.default_rng(seed)
    draws = [statistic(items[draw.integers(len(items), size=len(items))]) for _ in range(resamples)]
    return BootstrapEstimate(float(statistic(items)), np.array(draws, np.float64))


def paired_bootstrap(
    metric: str,
    labels: Sequence[Any] | np.ndarray,
    ours: Sequence[Any] | np.ndarray,
    theirs: Sequence[Any] | np.ndarray,
    classes: Sequence[Any] = (),
    *,
    resamples: int = RESAMPLES,
    seed: Seed = 1,
) -> BootstrapEstimate:
    """The metric of `ours` minus that of `theirs`, both (seeds, items) predictions, each averaged over its seeds.

    All runs of both are scored on the same resamples. Raises TlmError as `scores` and `combine` do.
    """
    one, other = scores(metric, labels, [ours, theirs], classes, resamples=resamples, seed=seed)
    return combine([(1, one), (-1, other)])


def combine(parts: Sequence[tuple[float, BootstrapEstimate]]) -> BootstrapEstimate:
    """The sum of weight times estimate, resample by resample and seed by seed.

    Estimates from one call of `scores` are paired; estimates from calls with different `seed` are independent. An
    estimate with a single seed (a deterministic method) is combined with every seed of the others. Raises TlmError for
    an empty list and for unequal numbers of resamples or seeds.
    """
    if not parts:
        raise TlmError("no estimates to combine")
    resamples = {len(estimate.draws) for _, estimate in parts}
    seeds = {len(estimate.by_seed) for _, estimate in parts if len(estimate.by_seed) != 1} or {1}
    if len(resamples) > 1 or len(seeds) > 1:
        raise TlmError(
            f"cannot combine estimates of {sorted(resamples)} resamples and {sorted(seeds)} seeds; "
            "give all the same number"
        )
    count = seeds.pop()
    by_seed = [np.broadcast_to(estimate.by_seed, count) for _, estimate in parts] if count else []
    weights = [weight for weight, _ in parts]
    return BootstrapEstimate(
        float(sum(weight * estimate.value for weight, estimate in parts)),
        np.sum([weight * estimate.draws for weight, estimate in parts], axis=0),
        tuple(float(value) for value in np.dot(weights, by_seed)) if count else (),
    )


def scores(
    metric: str,
    labels: Sequence[Any] | np.ndarray,
    systems: Sequence[Sequence[Any] | np.ndarray],
    classes: Sequence[Any] = (),
    *,
    resamples: int = RESAMPLES,
    seed: Seed = 1,
) -> list[BootstrapEstimate]:
    """The metric of each of `systems`, averaged over its seeds, in the same resamples of the items.

    `labels` is (items,), each system (seeds, items) predictions, or (items,) for a single run; the systems may have
    different numbers of seeds. For a multi-label task, labels and predictions are indicators with a last axis for the
    labels, and `mean_average_precision` takes probabilities instead of predictions. `classes` names the two classes of
    `f1`, the second positive. Fractions, not percentages, equal to `tlm.metrics.score` on the same items. Raises
    TlmError for an unknown metric, for unequal numbers of items or none, and for `f1` without exactly two classes.
    """
    if metric not in _KNOWN:
        raise TlmError(f"unknown metric {metric!r}; known: {', '.join(_KNOWN)}")
    truth = np.asarray(labels)
    runs = [np.asarray(system) for system in systems]
    runs = [each[None] if each.ndim == truth.ndim else each for each in runs]
    many = truth.ndim == 2
    fits = truth.ndim == 1 or (many and metric in MULTI_LABEL)
    if not runs or not fits or not truth.size or any(each.shape[1:] != truth.shape for each in runs):
        shapes = ", ".join(str(each.shape) for each in runs) or "none"
        raise TlmError(
            f"metric {metric}: {truth.shape} labels against predictions {shapes}; "
            "every run needs one for each label, at least one"
        )
    if metric in ("f1", "accuracy_f1") and len(classes) != 2:
        raise TlmError(
            f"metric {metric}: needs two classes, the second of them positive; the task has {len(classes)}"
        )
    if metric not in CLASSIFICATION + REGRESSION and not many:
        raise TlmError(f"metric {metric}: is for tasks with several labels a row")
    guesses = np.concatenate(runs)
    measure = label_sets if many else correlation if metric in REGRESSION else agreement
    found = measure(metric, truth, guesses, classes)
    sizes = found.sizes
    values = found.values(sizes[None])[0]
    draws = np.concatenate([found.values(drawn) for drawn in _resamples(sizes, resamples, seed)])
    ends = np.cumsum([len(each) for each in runs])
    return [
        BootstrapEstimate(
            float(values[start:end].mean()),
            draws[:, start:end].mean(axis=1),
            tuple(float(value) for value in values[start:end]),
        )
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _resamples(sizes: np.ndarray, resamples: int, seed: Seed) -> Iterator[np.ndarray]:
    """Resamples as numbers of items of each kind, yielded in parts (resamples, kinds) whose size changes no draw."""
    if resamples < 1:
        raise TlmError(f"{resamples} resamples: an interval needs at least one")
    draw, items = np.random.default_rng(seed), int(sizes.sum())
    step = max(1, _CHUNK // len(sizes))
    for start in range(0, resamples, step):
        yield draw.multinomial(items, sizes / items, size=min(step, resamples - start))
