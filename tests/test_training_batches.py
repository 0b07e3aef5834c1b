"""Batches are a pure function of (seed, step), and the interleaving is the paper's."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.config.training import Budget
from tlm.errors import TlmError
from tlm.training.batches import WINDOW, Schedule, Stream, cumulative_tokens, internal_before, is_internal


def stream(rows: int, seed: int = 0, batch_size: int = 4, **options) -> Stream:
    lengths = np.random.default_rng(rows).integers(3, 60, rows)
    return Stream(lengths, seed=seed, name="external", batch_size=batch_size, **options)


@given(st.integers(0, 40), st.integers(0, 500))
def test_one_internal_batch_in_every_rho1_plus_one(rho1, step):
    assert sum(is_internal(s, rho1) for s in range(step, step + rho1 + 1)) == 1
    assert internal_before(step, rho1) == sum(is_internal(s, rho1) for s in range(step))


def test_rho1_of_zero_and_infinity():
    assert not any(is_internal(s, "inf") for s in range(100))
    assert internal_before(100, "inf") == 0
    assert all(is_internal(s, 0) for s in range(100))


@given(st.integers(1, 700), st.integers(1, 9), st.integers(0, 2**32), st.data())
def test_batches_do_not_depend_on_the_order_of_access(rows, batch_size, seed, data):
    indices = data.draw(st.lists(st.integers(0, 3 * WINDOW), min_size=1, max_size=8))
    together = stream(rows, seed, batch_size)
    for index in indices:
        alone = stream(rows, seed, batch_size).batch(index)
        assert np.array_equal(alone, together.batch(index))
        assert len(alone) == batch_size


@given(st.integers(1, 300), st.integers(1, 5), st.integers(0, 99))
def test_rows_are_drawn_without_replacement(rows, batch_size, seed):
    windows = 2
    some = stream(rows, seed, batch_size)
    drawn = np.concatenate([some.batch(i) for i in range(windows * WINDOW)])
    counts = np.bincount(drawn, minlength=rows)
    assert counts.max() - counts.min() <= 1


def test_lengths_are_bucketed_and_seeds_differ():
    some = stream(5000, batch_size=32)
    real = sum(some.lengths[some.batch(i)].sum() for i in range(WINDOW))
    padded = sum(some.lengths[some.batch(i)].max() * 32 for i in range(WINDOW))
    assert padded / real < 1.03
    firsts = [int(some.lengths[some.batch(i)].max()) for i in range(WINDOW)]
    assert firsts != sorted(firsts)  # batches are shuffled within the window
    assert not np.array_equal(some.batch(0), stream(5000, 1, 32).batch(0))


@given(st.integers(1, 400), st.integers(8, 400), st.integers(0, 5))
def test_token_batches_fill_but_do_not_exceed(rows, budget, seed):
    some = stream(rows, seed, batch_tokens=budget)
    fresh = stream(rows, seed, batch_tokens=budget)
    for index in (70, 0, 3, 200):
        chosen = some.batch(index)
        assert len(chosen) == 1 or len(chosen) * some.lengths[chosen].max() <= budget
        assert np.array_equal(chosen, fresh.batch(index))


@given(st.integers(0, 6), st.integers(1, 3))
def test_schedule_walks_both_streams_in_order(rho1, accumulation):
    schedule = Schedule(stream(10), stream(50, 1), rho1=rho1, accumulation=accumulation)
    seen: dict[bool, list[int]] = {True: [], False: []}
    for step in range(20):
        micros = schedule.step(step)
        assert len(micros) == accumulation
        assert {micro.internal for micro in micros} == {is_internal(step, rho1)}
        seen[micros[0].internal] += [micro.index for micro in micros]
    for indices in seen.values():
        assert indices == list(range(len(indices)))


def test_budget_in_tokens_ends_at_the_first_step_that_reaches_it():
    schedule = Schedule(stream(10), stream(50, 1), rho1=3)
    tokens = cumulative_tokens(Budget(tokens=2000), schedule.tokens)
    assert tokens[-1] >= 2000 > tokens[-2]
    assert [b - a for a, b in pairwise([0, *tokens])] == [schedule.tokens(s) for s in range(len(tokens))]
    assert len(cumulative_tokens(Budget(steps=7), schedule.tokens)) == 7


def test_one_row_is_repeated_and_missing_data_raises():
    assert stream(1).batch(5).tolist() == [0, 0, 0, 0]
    with pytest.raises(TlmError, match="no rows"):
        Stream(np.array([], np.int64), seed=0, name="internal", batch_size=4)
    with pytest.raises(TlmError, match="needs task tokens"):
        Schedule(None, stream(5), rho1=3)
    with pytest.raises(TlmError, match="needs external tokens"):
        Schedule(stream(5), None, rho1=3)
