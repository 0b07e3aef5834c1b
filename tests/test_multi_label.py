"""Multi-label problems: metrics against scikit-learn, resampled metrics, thresholds, the loss and its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_toy import batch, two_heads
from sklearn.metrics import average_precision_score, f1_score
from torch.nn import functional

from tlm import metrics, resampled_metrics, statistics, thresholds
from tlm.errors import TlmError
from tlm.evaluation.artifact import Predictions, SplitRows, TaskInfo, decide, split_metrics
from tlm.evaluation.temperature import served, temperature
from tlm.problems import MULTI_LABEL, PROBLEMS, problem_of_type
from tlm.training.model import TaskHead, TensorBatch
from tlm.training.objective import stage1_weights, stage2_weights, task_loss

LABELS = ("art", "law", "war")
TASK = TaskInfo("t", MULTI_LABEL, LABELS, "macro_f1", ("dev", "test"), "0" * 64)


def drawn(rows, labels=3, seed=0, noise=1.0):
    """True labels (rows, labels), from rare to frequent, and log-odds that know them up to `noise`."""
    draw = np.random.default_rng(seed)
    truth = draw.random((rows, labels)) < np.linspace(0.1, 0.6, labels)
    return truth, (truth * 2.0 - 1.5 + noise * draw.normal(size=truth.shape)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 1000))
def test_metrics_agree_with_scikit_learn(rows, labels, seed):
    draw = np.random.default_rng(seed)
    truth, guess = draw.random((2, rows, labels)) < draw.random()
    chances = np.round(draw.random((rows, labels)), 1)  # with ties
    found = metrics.score("macro_f1", truth, guess, probabilities=chances)
    assert found["micro_f1"] == pytest.approx(f1_score(truth, guess, average="micro", zero_division=0.0))
    occur = truth.any(axis=0) | guess.any(axis=0)  # as for classes: a label without any row does not count
    macro = f1_score(truth, guess, average=None, zero_division=0.0)[occur]
    assert found["macro_f1"] == pytest.approx(macro.mean() if occur.any() else 0)
    assert found["exact_match"] == (truth == guess).all(axis=1).mean()
    known = truth.any(axis=0)
    if known.any():
        expected = average_precision_score(truth[:, known], chances[:, known], average="macro")
        assert found["mean_average_precision"] == pytest.approx(expected)
    else:
        assert found["mean_average_precision"] == 0


def test_metrics_of_another_kind_are_refused():
    truth = np.eye(3, dtype=bool)
    with pytest.raises(TlmError, match="accuracy: not for several labels a row; use micro_f1"):
        metrics.score("accuracy", truth, truth)
    with pytest.raises(TlmError, match="needs a multi-label task and the model's probabilities"):
        metrics.score("mean_average_precision", truth, truth)
    with pytest.raises(TlmError, match="is for tasks with several labels a row"):
        statistics.scores("exact_match", [1, 2], [[1, 2]])
    with pytest.raises(TlmError, match="every run needs one for each label"):
        statistics.scores("matthews", truth, [truth])


def test_statistics_know_every_metric_of_the_problem():
    assert statistics.MULTI_LABEL == metrics.MULTI_LABEL_METRICS
    assert set(MULTI_LABEL.metrics) <= set(metrics.MULTI_LABEL_METRICS)


@pytest.mark.parametrize("metric", metrics.MULTI_LABEL_METRICS)
@pytest.mark.parametrize("rows", [1, 4, 30])
def test_every_resample_equals_the_metric_on_its_rows(metric, rows):
    truth, outputs = drawn(rows, seed=rows)
    runs = np.stack([outputs, np.round(drawn(rows, seed=9)[1])])
    given = metrics.RANKING_METRICS
    guesses = runs if metric in given else runs > 0
    found = resampled_metrics.label_sets(metric, truth, guesses, ())
    numbers = np.random.default_rng(1).multinomial(rows, np.full(rows, 1 / rows), size=12)
    for line, values in zip(numbers, found.values(numbers), strict=True):
        taken = np.repeat(np.arange(rows), line)
        expected = [
            metrics.score(metric, truth[taken], each[taken] > 0, probabilities=each[taken])["primary"]
            for each in runs
        ]
        assert values == pytest.approx(expected, abs=1e-9)


def test_intervals_of_paired_runs():
    truth, good = drawn(400)
    _, bad = drawn(400, seed=3, noise=3)
    ours, theirs = statistics.scores("macro_f1", truth, [np.stack([good > 0, good > 0.2]), bad > 0])
    assert len(ours.by_seed) == 2
    assert theirs.value == pytest.approx(metrics.score("macro_f1", truth, bad > 0)["macro_f1"])
    lead = statistics.combine([(1, ours), (-1, theirs)])
    assert 0 < lead.interval.low < lead.value < lead.interval.high


def test_thresholds_by_hand():
    # Shared: the cut between 1 and -1 has a micro-F1 of 1.
    outputs = np.array([[3.0, -3], [1, -2], [-1, 2], [-2, 4]])
    truth = outputs > 0
    assert thresholds.choose(outputs, truth) == pytest.approx([0, 0], abs=1e-6)
    # A label whose own best cut is at 3 moves from the shared one by its share of the weight.
    many = np.repeat(outputs, 20, axis=0)
    moved = many + np.array([3, 0])
    found = thresholds.choose(moved, many > 0)
    own, rows = 3.0, 40
    shared = thresholds._best_cut(moved.ravel(), (many > 0).ravel())
    assert found[0] == pytest.approx((rows * own + thresholds.PRIOR * shared) / (rows + thresholds.PRIOR))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 99))
def test_the_shared_threshold_is_the_best_of_all(rows, labels, seed):
    truth, outputs = drawn(rows, labels, seed)
    truth, outputs = truth.ravel(), np.round(outputs.ravel(), 1).astype(np.float64)
    if not truth.any():
        return
    best = f1_score(truth, outputs >= thresholds._best_cut(outputs, truth))
    assert best == pytest.approx(max(f1_score(truth, outputs >= cut) for cut in outputs))


def test_thresholds_without_any_label_are_a_half():
    assert thresholds.choose(np.ones((3, 2)), np.zeros((3, 2), bool)).tolist() == [0, 0]
    alone = thresholds.choose(np.array([[1.0, 5], [-1, 4]]), np.array([[True, False], [False, False]]))
    assert np.isfinite(alone).all()  # the second label takes the shared threshold
    assert thresholds.cross_fitted(np.ones((1, 2)), np.ones((1, 2), bool)).tolist() == [[True, True]]


def test_cross_fitting_does_not_flatter_dev():
    """Outputs that know nothing: own thresholds on the same rows find structure, cross-fitted ones do not."""
    draw = np.random.default_rng(5)
    gain = []
    for _ in range(20):
        truth, outputs = draw.random((60, 6)) < 0.1, draw.normal(size=(60, 6))
        fitted = thresholds.apply(outputs, thresholds.choose(outputs, truth))
        crossed = thresholds.cross_fitted(outputs, truth)
        one, other = (metrics.score("macro_f1", truth, each)["primary"] for each in (fitted, crossed))
        gain.append(one - other)
    assert np.mean(gain) > 0.01


def test_predictions_of_all_splits_use_the_thresholds_of_dev():
    truth, outputs = drawn(100)
    lists = MULTI_LABEL.values(truth, LABELS)
    rows = SplitRows(np.arange(100), ["x"] * 100, None, lists)
    found = decide(TASK, {"dev": (rows, outputs), "test": (rows, outputs)})
    assert found.thresholds is not None
    test = MULTI_LABEL.ids(found.splits["test"][1].labels, LABELS)
    assert (test == (outputs >= found.thresholds)).all()
    dev = MULTI_LABEL.ids(found.splits["dev"][1].labels, LABELS)
    assert (dev == thresholds.cross_fitted(outputs, truth)).all()


def test_scores_by_label_include_average_precision_and_none_for_labels_without_a_row():
    truth, outputs = drawn(50)
    truth[:, 2] = False
    lists = MULTI_LABEL.values(truth, LABELS)
    guess = Predictions(MULTI_LABEL.values(outputs > 0, LABELS), MULTI_LABEL.probabilities(outputs))
    found = split_metrics(TASK, lists, guess)
    art = found["classes"]["art"]
    assert art["f1"] == pytest.approx(f1_score(truth[:, 0], outputs[:, 0] > 0))
    assert art["average_precision"] == pytest.approx(average_precision_score(truth[:, 0], outputs[:, 0]))
    assert found["classes"]["war"]["average_precision"] is None and found["classes"]["war"]["n"] == 0


def test_label_columns_become_indicators_and_back():
    lists = [["law", "art"], [], ["war"]]
    ids = MULTI_LABEL.ids(lists, LABELS)
    assert ids.tolist() == [[True, True, False], [False] * 3, [False, False, True]]
    assert MULTI_LABEL.values(ids, LABELS) == [["art", "law"], [], ["war"]]
    with pytest.raises(TlmError, match="label 'sea' is not among the task's labels"):
        MULTI_LABEL.ids([["sea"]], LABELS)
    assert all(problem_of_type(each.problem_type) is each for each in PROBLEMS.values())


def test_a_known_temperature_is_recovered():
    draw = np.random.default_rng(2)
    outputs = draw.normal(size=(4000, 3))
    truth = draw.random(outputs.shape) < MULTI_LABEL.probabilities(outputs)
    given = MULTI_LABEL.probabilities(outputs * 3).astype(np.float32)
    assert (t := temperature(given, truth)) == pytest.approx(3, rel=0.05)
    assert np.allclose(served(given, t, MULTI_LABEL), MULTI_LABEL.probabilities(outputs), atol=0.02)


def test_the_loss_is_the_sum_of_binary_cross_entropies():
    logits, labels = torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([[True, False], [False, False]])
    expected = functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum")
    assert task_loss(logits, labels).item() == pytest.approx(expected.item())
    assert task_loss(logits, labels).item() == pytest.approx(
        MULTI_LABEL.log_loss(logits.numpy(), labels.numpy())
    )
    smoothed = -torch.log(torch.sigmoid(logits)) * 0.95 - torch.log(torch.sigmoid(-logits)) * 0.05
    assert task_loss(logits[:1], torch.tensor([[True, True]]), 0.1).item() == pytest.approx(
        smoothed[0].sum().item(), rel=1e-5
    )
    assert MULTI_LABEL.chance(2) == pytest.approx(task_loss(torch.zeros(1, 2), labels[:1]).item())


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_the_loss_of_a_step_does_not_depend_on_its_micro_batches(architecture):
    """Two processes, or two micro-batches, of 1 and 4 rows give the loss and gradient of one batch of 5."""
    labels = np.random.default_rng(1).random((5, 3)) < 0.4
    whole = replace(batch(1, rows=5), labels=labels)
    parts = [whole.take([0]), whole.take([1, 2, 3, 4])]
    for weigh in (stage2_weights, lambda batches: stage1_weights(True, 20, batches)):
        found = []
        for batches in ([whole], parts):
            two = two_heads(architecture, TaskHead(LABELS, MULTI_LABEL))
            weights = weigh(batches)
            total = sum(two(TensorBatch.of(each, torch.device("cpu")), weights)["loss"] for each in batches)
            total.backward()
            found.append((total.item(), two.classifier.classifier.weight.grad))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
        assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_the_head_is_marked_as_multi_label():
    head = TaskHead.of({"problem": "multi_label", "labels": list(LABELS)})
    config = two_heads("bert", head).classifier.config
    assert (config.problem_type, config.num_labels) == ("multi_label_classification", 3)
