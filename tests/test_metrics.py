"""Metrics against values worked out by hand."""

import numpy as np
import pytest

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
        assert np.isfinite(list(score(metric, labels, np.zeros_like(labels)).values())).all()


def test_refusals():
    with pytest.raises(TlmError, match="unknown metric"):
        score("f2", [1], [1])
    with pytest.raises(TlmError, match="same number of rows"):
        score("accuracy", [1, 2], [1])
    with pytest.raises(TlmError, match="at least one"):
        score("accuracy", [], [])
