"""Temperature: a known one is recovered, few dev texts do no harm, and it never changes the predicted class."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from tlm.errors import TlmError
from tlm.evaluation.temperature import FEWEST, HIGH, LOW, fitted, served, temperature
from tlm.results.calibration import reliability

# Probabilities in tenths, perfectly calibrated: they minimise the log loss.
TRUE = np.array([[7, 2, 1], [1, 8, 1], [3, 3, 4], [5, 0, 5], [1, 1, 8]])


def honest(times: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Rows of true probabilities (rows, 3), and labels (rows,) in just these shares."""
    chances = np.repeat(np.maximum(TRUE / 10, 1e-12), 10 * times, axis=0)
    labels = np.concatenate([np.repeat(np.arange(3), tenths * times) for tenths in TRUE])
    return chances, labels


@settings(deadline=None, max_examples=12)
@given(st.floats(0.2, 8))
def test_a_known_factor_is_recovered(factor):
    """A model whose logits are those of the truth, times a factor: the factor is its temperature, to the prior."""
    chances, labels = honest()
    given = softmax(np.log(chances) * factor, axis=1)
    found = temperature(given.astype(np.float64), labels)
    assert found == pytest.approx(factor, rel=2e-3)
    assert np.allclose(served(given, found), chances, atol=2e-3)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=8),
    st.floats(LOW, HIGH),
)
def test_no_temperature_changes_the_predicted_class(rows, t):
    given_rows = np.float32(rows)
    out = served(given_rows, t)
    assert np.allclose(out.sum(axis=1), 1)
    for before, after in zip(given_rows, out, strict=True):
        assert after[before.argmax()] == after.max()
        assert (np.diff(after[np.argsort(before)]) >= 0).all()


def test_at_a_temperature_of_one_nothing_changes_and_zeros_are_small():
    rows = np.float32([[0.25, 0.75, 0], [1, 0, 0]])
    assert np.allclose(served(rows, 1), rows, atol=1e-12)
    assert 0 < served(rows, 2)[1, 1] < 1e-20  # stored as 0: smaller than float32 can hold


def test_it_lowers_the_error_on_unseen_rows():
    draw = np.random.default_rng(3)
    chances = softmax(draw.normal(size=(4000, 4)), axis=1)
    labels = (draw.random((4000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    given = softmax(np.log(chances) * 3, axis=1).astype(np.float32)
    t = temperature(given[:2000], labels[:2000])

    def error(rows):
        found = reliability("m", rows.max(axis=1), rows.argmax(axis=1) == labels[2000:], resamples=20)
        return found.ece - found.by_chance

    assert 2.7 < t < 3.3
    assert error(given[2000:]) > 0.2 and error(served(given[2000:], t)) < 0.02


def test_a_perfect_dev_split_gives_no_certainty():
    """The log loss alone would go to the lower bound; fifty right answers are no proof of certainty."""
    given = np.tile([[0.8, 0.2]], (FEWEST, 1))
    t = temperature(given, np.zeros(FEWEST, int))
    assert 0.2 < t < 1 and served(given, t).max() < 0.9999
    assert temperature(given, np.ones(FEWEST, int)) <= HIGH  # all wrong: the highest temperature
    assert temperature(np.tile(np.float32([[1, 0]]), (FEWEST, 1)), np.ones(FEWEST, int)) == pytest.approx(
        HIGH, rel=1e-2
    )


def test_few_rows_give_a_temperature_of_one():
    given = np.tile([[0.99, 0.01]], (FEWEST, 1))
    labels = np.arange(FEWEST) % 2
    assert temperature(given, labels) > 2
    assert temperature(given[1:], labels[1:]) == 1


def test_it_is_fitted_on_dev_and_raises_without_probabilities(tmp_path):
    chances, labels = honest(2)
    rows = len(labels)
    given = softmax(np.log(chances) * 3, axis=1)
    names = np.array(["c", "a", "b"])  # their order is that of the probabilities
    table = {
        "split": ["dev"] * rows + ["test"] * rows,
        "row_id": range(2 * rows),
        "prediction": ["a"] * 2 * rows,
        "label": [*names[labels], *["a"] * rows],
        "probabilities": np.concatenate([given, given]).astype(np.float32).tolist(),
    }
    path = tmp_path / "predictions.parquet"
    pq.write_table(pa.table(table), path)
    assert fitted(path, names) == temperature(given.astype(np.float32), labels) == pytest.approx(3, rel=0.05)
    del table["probabilities"]
    pq.write_table(pa.table(table), path)
    with pytest.raises(TlmError, match="a regression model has no temperature"):
        fitted(path, names)
    with pytest.raises(TlmError, match="a label of every row"):
        temperature(given, labels[1:])
    with pytest.raises(TlmError, match="between 0 and 1"):
        served(np.array([[np.nan, 1]]), 2)
