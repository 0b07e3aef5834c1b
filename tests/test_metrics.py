"""Metrics against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from tlm.errors import TlmError
from tlm.metrics import METRICS, is_regression, score


def test_f1_by_hand():
    # a: precision 2/3, recall 2/2 -> 0.8; b: 1/1, 1/2 -> 2/3; c never predicted -> 0
    values = score("macro_f1", list("aabbc"), list("aaabb"))
    assert values["macro_f1"] == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert values["micro_f1"] == values["accuracy"] == pytest.approx(3 / 5)
    assert values["primary"] == values["macro_f1"]


def test_correlations():
    values = score("pearson_spearman", np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 9]))
    assert values["spearman"] == pytest.approx(1)
    assert 0.8 < values["pearson"] < 1
    assert values["primary"] == pytest.approx((values["spearman"] + values["pearson"]) / 2)


@pytest.mark.parametrize("metric", METRICS)
def test_one_row_and_constant_predictions_score_a_number(metric):
    for rows in (1, 3):
        labels = np.arange(rows).astype(float if is_regression(metric) else int)
        classes = (0, 1)
        assert np.isfinite(list(score(metric, labels, np.zeros_like(labels), classes).values())).all()


def test_f1_of_the_second_class_and_its_mean_with_accuracy():
    labels, guesses = ["no", "yes", "yes", "no", "no"], ["no", "yes", "no", "yes", "no"]
    values = score("accuracy_f1", labels, guesses, ("no", "yes"))
    assert values["f1"] == pytest.approx(2 * 0.5 * 0.5 / (0.5 + 0.5))  # one of two found, one of two right
    assert values["primary"] == pytest.approx((values["f1"] + 3 / 5) / 2)
    other = score("accuracy_f1", labels, guesses, ("yes", "no"))
    assert other["f1"] == pytest.approx(2 / 3)
    assert "f1" not in score("accuracy", labels, guesses, ("no", "yes", "perhaps"))
    with pytest.raises(TlmError, match="two classes"):
        score("accuracy_f1", labels, guesses, ("no", "yes", "perhaps"))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=3, max_size=40),
)
def test_metrics_equal_their_definitions(pairs, numbers):
    """Oracles written out: confusion counts, and Pearson of values and of average ranks."""
    labels, guesses = map(np.array, zip(*pairs, strict=True))
    hits, extra, missed = (
        int(((labels == truth) & (guesses == guess)).sum()) for truth, guess in ((1, 1), (0, 1), (1, 0))
    )
    right = len(labels) - hits - extra - missed
    values = score("accuracy_f1", labels, guesses, (0, 1))
    assert values["f1"] == pytest.approx(2 * hits / max(2 * hits + extra + missed, 1))
    spread = ((hits + extra) * (hits + missed) * (right + extra) * (right + missed)) ** 0.5
    assert values["matthews"] == pytest.approx((hits * right - extra * missed) / spread if spread else 0)
    truth, guess = map(np.array, zip(*numbers, strict=True))
    found = score("pearson_spearman", truth, guess)
    if np.std(truth) > 1e-3 and np.std(guess) > 1e-3:
        assert found["pearson"] == pytest.approx(np.corrcoef(truth, guess)[0, 1], abs=1e-6)
        assert found["spearman"] == pytest.approx(
            np.corrcoef(rankdata(truth), rankdata(guess))[0, 1], abs=1e-6
        )


def test_invalid_input_raises():
    with pytest.raises(TlmError, match="unknown metric"):
        score("f2", [1], [1])
    with pytest.raises(TlmError, match="same number of rows"):
        score("accuracy", [1, 2], [1])
    with pytest.raises(TlmError, match="at least one"):
        score("accuracy", [], [])
