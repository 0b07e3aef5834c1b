"""Calibration: against the definition written out, against known cases, and its interval by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.errors import TlmError
from tlm.results.calibration import confidences, reliability

ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def written_out(confidence, correct, bins):
    """Guo et al. (2017), equation 3, bin by bin."""
    total = 0.0
    for number in range(bins):
        inside = [
            (c, k)
            for c, k in zip(confidence, correct, strict=True)
            if (number / bins < c or number == 0) and c <= (number + 1) / bins
        ]
        if inside:
            accuracy = sum(k for _, k in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - sum(c for c, _ in inside) / len(inside))
    return total


@given(ROWS, st.sampled_from([1, 2, 4, 8, 16]))  # powers of two: their edges are exact in both
def test_the_error_matches_its_definition(rows, bins):
    confidence, correct = (np.array(column) for column in zip(*rows, strict=True))
    found = reliability("m", confidence, correct, bins=bins, resamples=2)
    assert found.ece == pytest.approx(written_out(confidence, correct, bins), abs=1e-12)
    assert sum(each.rows for each in found.bins) == found.rows == len(rows)
    assert sum(each.rows * each.accuracy for each in found.bins) == pytest.approx(correct.sum())
    for each in found.bins:
        assert each.low - 1e-12 <= each.confidence <= each.high + 1e-12
        assert each.accuracy in each.interval


def test_known_cases():
    sure = np.ones(20)
    assert reliability("right", sure, sure > 0, resamples=5).ece == 0
    assert reliability("wrong", sure, sure < 0, resamples=5).ece == 1
    half = reliability("half", sure, np.arange(20) % 2 == 0, resamples=500)
    assert half.ece == 0.5 and len(half.bins) == 1 and 0.5 in half.interval
    assert half.by_chance == 0  # confidence 1 and always right


def test_a_calibrated_model_has_the_error_of_chance_and_intervals_cover_the_error():
    draw = np.random.default_rng(5)
    confidence = draw.uniform(0.5, 1, 2000)
    honest = reliability("honest", confidence, draw.random(2000) < confidence, resamples=200)
    assert honest.ece < 2 * honest.by_chance < 0.06
    covered = 0
    for seed in range(60):  # overconfident by 0.2 everywhere: the error is 0.2 but for noise
        draw = np.random.default_rng(seed)
        confidence = draw.uniform(0.5, 1, 400)
        found = reliability("m", confidence, draw.random(400) < confidence - 0.2, resamples=200, seed=seed)
        covered += 0.2 in found.interval
    assert covered >= 52  # 95 % of 60 is 57; fewer than 52 has a probability below 0.01


def test_confidence_is_the_probability_of_the_prediction():
    confidence, correct = confidences(
        np.array([[0.2, 0.8], [0.6, 0.4]]), np.array(["b", "b"]), np.array(["b", "a"])
    )
    assert confidence.tolist() == [0.8, 0.6] and correct.tolist() == [True, False]
    with pytest.raises(TlmError, match="at least one"):
        confidences(np.empty((0, 2)), np.array([]), np.array([]))
    with pytest.raises(TlmError, match="from 0 to 1"):
        reliability("m", np.array([1.2]), np.array([True]))
