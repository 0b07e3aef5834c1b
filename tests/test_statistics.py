"""Intervals against closed forms, slow loops over the metrics themselves, and coverage by simulation."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tlm import metrics, resampled_metrics, statistics
from tlm.errors import TlmError
from tlm.statistics import (
    BootstrapEstimate,
    bootstrap,
    combine,
    mean_sd,
    paired_bootstrap,
    percentile,
    scores,
    wilson,
)


def texts(items, runs, right=0.8, classes=3, seed=0, shared=0.7):
    """Labels (items,) and predictions (runs, items): a share `shared` of the mistakes is common to all runs."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=items)
    hard = draw.random(items)
    chance = shared * hard + (1 - shared) * draw.random((runs, items))
    wrong = (labels + draw.integers(1, classes, size=(runs, items))) % classes
    return labels, np.where(chance < np.quantile(chance, right), labels, wrong)


def slow(metric, labels, guesses, classes, weights):
    """The metric of every run in one resample, by tlm.metrics."""
    rows = np.repeat(np.arange(len(labels)), weights)
    return [metrics.score(metric, labels[rows], run[rows], classes)["primary"] for run in guesses]


def test_statistics_know_every_metric_of_the_tasks():
    assert statistics.CLASSIFICATION == metrics.CLASSIFICATION_METRICS
    assert statistics.REGRESSION == metrics.REGRESSION_METRICS


@pytest.mark.parametrize("metric", metrics.METRICS)
@pytest.mark.parametrize("items", [1, 3, 40])
def test_every_resample_equals_the_metric_on_its_items(metric, items):
    """All resamples of all runs against a loop over `tlm.metrics.score`: ties, vanished classes, constant series."""
    draw = np.random.default_rng(items)
    classes = (0, 1) if metric in ("f1", "accuracy_f1") else (0, 1, 2, 3)
    labels = draw.choice(classes, size=items)
    guesses = np.where(draw.random((3, items)) < 0.5, labels, draw.choice(classes, size=(3, items)))
    if metrics.is_regression(metric):
        labels, guesses = labels.astype(float), guesses + np.round(draw.random((3, items)), 1)
    found = resampled_metrics.correlation if metrics.is_regression(metric) else resampled_metrics.agreement
    kinds = found(metric, labels, guesses, classes)
    numbers = draw.multinomial(items, np.full(items, 1 / items), size=12)
    if metrics.is_regression(metric):
        by_kind = numbers
    else:  # which kind is each item?
        rows = np.concatenate([labels[None], guesses])
        inverse = np.unique(rows, axis=1, return_inverse=True)[1].ravel()
        by_kind = np.stack([np.bincount(inverse, line, len(kinds.sizes)) for line in numbers]).astype(int)
    expected = [slow(metric, labels, guesses, classes, line) for line in numbers]
    assert kinds.values(by_kind) == pytest.approx(np.array(expected), abs=1e-9)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=30),
    st.sampled_from(["macro_f1", "accuracy", "matthews"]),
)
def test_values_by_seed_equal_the_metric_of_each_run(rows, metric):
    labels, *guesses = (np.array(column) for column in zip(*rows, strict=True))
    (found,) = scores(metric, labels, [np.stack(guesses)], resamples=3)
    expected = [metrics.score(metric, labels, guess)["primary"] for guess in guesses]
    assert found.by_seed == pytest.approx(expected) and found.value == pytest.approx(np.mean(expected))
    assert len(found.draws) == 3 and np.isfinite(found.draws).all()


def test_the_bootstrap_of_a_mean_has_the_known_variance():
    """Resampled means have the variance of the sample (divided by n) over n, whatever the distribution."""
    values = np.random.default_rng(3).exponential(size=200)
    found = bootstrap(values, np.mean, resamples=8000)
    assert found.value == pytest.approx(values.mean())
    assert found.draws.mean() == pytest.approx(values.mean(), abs=4 * values.std() / math.sqrt(200 * 8000))
    assert found.draws.var() == pytest.approx(values.var() / 200, rel=0.07)  # 4 standard errors of a variance


def test_the_bootstrap_of_an_accuracy_is_binomial():
    """80 of 100 right: the number right in a resample is binomial(100, 0.8), whose quantiles are known."""
    labels = np.zeros(100, int)
    guesses = (np.arange(100) >= 80).astype(int)
    (found,) = scores("accuracy", labels, [guesses], resamples=20000)
    assert found.value == 0.8
    assert found.draws.var() == pytest.approx(0.8 * 0.2 / 100, rel=0.05)
    for right in (72, 76, 80, 84, 87):  # 0.014: 99.9 % of samples of 20,000 stay below (Kolmogorov)
        assert (found.draws < (right + 0.5) / 100).mean() == pytest.approx(
            binom.cdf(right, 100, 0.8), abs=0.014
        )
    assert found.interval.low == pytest.approx(binom.ppf(0.025, 100, 0.8) / 100, abs=0.0101)


def test_a_paired_difference_has_the_variance_of_mcnemar():
    """One run each: its variance is (b + c - (b - c)^2 / n) / n^2, of the discordant pairs b and c."""
    labels = np.zeros(400, int)
    ours, theirs = np.zeros(400, int), np.zeros(400, int)
    theirs[:60] = 1  # b: only ours is right
    ours[60:80] = 1  # c: only theirs is right
    ours[80:120] = theirs[80:120] = 1
    found = paired_bootstrap("accuracy", labels, ours, theirs, resamples=20000)
    assert found.value == pytest.approx(40 / 400)
    assert found.draws.var() == pytest.approx((80 - 40**2 / 400) / 400**2, rel=0.05)
    unpaired = combine(
        [
            (1, scores("accuracy", labels, [ours], resamples=20000, seed=1)[0]),
            (-1, scores("accuracy", labels, [theirs], resamples=20000, seed=2)[0]),
        ]
    )
    apart = (60 * 340 + 100 * 300) / 400**3
    assert unpaired.draws.var() == pytest.approx(apart, rel=0.05)
    assert unpaired.draws.var() > 1.5 * found.draws.var()


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_coverage(metric):
    """In some 95 of 100 samples of a known population the interval holds the population's own difference."""
    population, guesses = texts(20000, 4, seed=5)
    guesses[2:][:, ::25] = (population[::25] + 1) % 3  # the second system has 3 % more mistakes
    truth = [metrics.score(metric, population, run)["primary"] for run in guesses]
    difference = np.mean(truth[:2]) - np.mean(truth[2:])
    assert difference > 0.02
    draw, held = np.random.default_rng(6), 0
    for number in range(400):
        rows = draw.integers(len(population), size=300)
        found = paired_bootstrap(
            metric, population[rows], guesses[:2, rows], guesses[2:, rows], resamples=400, seed=number
        )
        held += difference in found.interval
    assert 0.92 <= held / 400 <= 0.98  # 0.95 less and plus 3 standard errors of 400 trials


def test_seeds_are_averaged_and_a_single_seed_is_combined_with_each_other_seed():
    labels, guesses = texts(200, 5)
    many, one = scores("macro_f1", labels, [guesses[:4], guesses[4]], resamples=50)
    assert many.value == pytest.approx(np.mean(many.by_seed)) and len(many.by_seed) == 4
    found = combine([(1, many), (-1, one)])
    assert found.by_seed == pytest.approx([value - one.value for value in many.by_seed])
    assert found.draws == pytest.approx(many.draws - one.draws)
    assert found.seed_sd == pytest.approx(np.std(many.by_seed, ddof=1))
    assert one.seed_sd is None and one.over_seeds is None
    wide = many.over_seeds
    assert wide.low < many.interval.low < many.interval.high < wide.high


def test_other_training_seeds_are_covered_only_by_the_wider_interval():
    """Three seeds whose skill varies as much as the sample does: the interval over items alone is too narrow."""
    draw, held, wide = np.random.default_rng(8), 0, 0
    for number in range(300):
        labels, items = np.zeros(200, int), draw.random(200)
        skill = draw.normal(0.7, 0.03, size=3)
        (found,) = scores(
            "accuracy", labels, [(items > skill[:, None]).astype(int)], resamples=200, seed=number
        )
        held += 0.7 in found.interval
        wide += 0.7 in found.over_seeds
    assert held / 300 < wide / 300
    assert 0.89 <= wide / 300 <= 0.98


def test_equal_systems_never_differ():
    labels, guesses = texts(100, 2)
    found = paired_bootstrap("macro_f1", labels, guesses, guesses, resamples=100)
    assert found.value == 0 and not found.draws.any() and 0 in found.interval


def test_draws_depend_on_the_seed_and_not_on_the_chunk_size(monkeypatch):
    labels, guesses = texts(50, 2)
    whole = scores("macro_f1", labels, [guesses], resamples=100, seed=[1, 2])[0].draws
    monkeypatch.setattr(statistics, "_CHUNK", 1)
    assert (scores("macro_f1", labels, [guesses], resamples=100, seed=[1, 2])[0].draws == whole).all()
    assert (scores("macro_f1", labels, [guesses], resamples=100, seed=[1, 3])[0].draws != whole).any()


def test_the_bootstrap_is_fast():
    """1,000 resamples of 5,000 items and two systems of three seeds: seconds at worst, where a loop takes minutes."""
    labels, guesses = texts(5000, 6, classes=7)
    start = time.process_time()
    paired_bootstrap("macro_f1", labels, guesses[:3], guesses[3:], resamples=1000)
    assert time.process_time() - start < 10


def test_wilson_by_hand():
    """8 of 10: centre (0.8 + z^2/20) / (1 + z^2/10), by the published formula; at the ends it stays inside."""
    found = wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    none, all_ = wilson(0, 20), wilson(20, 20)
    assert none.low == 0 and none.high == pytest.approx(0.1611, abs=1e-4)
    assert all_.high == 1 and all_.low == pytest.approx(1 - none.high)


@settings(max_examples=100)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(pair):
    found = wilson(*pair)
    assert 0 <= found.low <= pair[0] / pair[1] <= found.high <= 1


def test_mean_and_spread():
    assert mean_sd([2.0]) == (2, None)
    assert mean_sd([1.0, 3.0]) == (2, pytest.approx(math.sqrt(2)))


def test_invalid_input_raises():
    labels, guesses = texts(10, 2)
    with pytest.raises(TlmError, match="unknown metric 'f2'"):
        scores("f2", labels, [guesses])
    with pytest.raises(TlmError, match="one for each label"):
        scores("accuracy", labels, [guesses[:, :-1]])
    with pytest.raises(TlmError, match="at least one"):
        scores("accuracy", [], [[]])
    with pytest.raises(TlmError, match="two classes"):
        scores("f1", labels, [guesses], (0, 1, 2))
    with pytest.raises(TlmError, match="0 resamples"):
        scores("accuracy", labels, [guesses], resamples=0)
    with pytest.raises(TlmError, match="0 of 0"):
        wilson(0, 0)
    with pytest.raises(TlmError, match="no values"):
        mean_sd([])
    with pytest.raises(TlmError, match="no items"):
        bootstrap(np.array([]), np.mean)
    with pytest.raises(TlmError, match="no resamples"):
        percentile(np.array([]))
    with pytest.raises(TlmError, match="no estimates to combine"):
        combine([])
    with pytest.raises(TlmError, match="seeds"):
        combine(
            [
                (1, BootstrapEstimate(0, np.zeros(3), (1, 2))),
                (1, BootstrapEstimate(0, np.zeros(3), (1, 2, 3))),
            ]
        )
