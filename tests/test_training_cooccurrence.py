"""Counts and PPMI against a slow count in plain Python; words that occur together get similar vectors."""

from collections import Counter

import numpy as np
import pytest

from tlm.config.training import EmbeddingInitSpec
from tlm.training import cooccurrence
from tlm.training.randomness import generator
from tlm.training.tokens import Store


def store_of(rows: list[list[int]]) -> Store:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Store(np.concatenate([np.array(row, np.uint16) for row in rows]), offsets)


def random_rows(count: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(5, vocabulary, rng.integers(0, 15)).tolist() for _ in range(count)]


@pytest.mark.parametrize("chunk", [1 << 20, 7])
def test_counts_are_symmetric_weighted_and_stay_within_rows(monkeypatch, chunk):
    monkeypatch.setattr(cooccurrence, "_CHUNK", chunk)
    rows, window = random_rows(40, 20), 3
    expected: Counter[tuple[int, int]] = Counter()
    for row in rows:
        for i, a in enumerate(row):
            for distance in range(1, window + 1):
                if i + distance < len(row):
                    expected[a, row[i + distance]] += 1 / distance
                    expected[row[i + distance], a] += 1 / distance
    spec = EmbeddingInitSpec(tokens=10_000, window=window)
    counts, tokens = cooccurrence._counts([store_of(rows)], spec, 20, generator(0))
    dense = np.zeros((20, 20))
    for (a, b), count in expected.items():
        dense[a, b] = count
    assert np.allclose(counts.toarray(), dense, atol=1e-5)
    assert tokens == sum(map(len, rows))

    with np.errstate(divide="ignore", invalid="ignore"):
        context = dense.sum(0) ** 0.75
        joint = dense / dense.sum()
        pmi = np.log(joint / np.outer(dense.sum(1) / dense.sum(), context / context.sum()))
    expected_pmi = np.where(pmi > 0, pmi, 0)
    assert np.allclose(cooccurrence._ppmi(counts, 0.75).toarray(), expected_pmi, atol=1e-4)


def test_the_spec_limits_the_tokens_that_are_counted():
    store = store_of(random_rows(2000, 50))
    spec = EmbeddingInitSpec(tokens=3000)
    _, tokens = cooccurrence._counts([store, store], spec, 50, generator(0))
    assert 2900 < tokens < 3100


def test_vectors_have_the_configured_scale_and_reflect_cooccurrence():
    # Words 5-14 keep to each other, words 15-24 likewise; 30 is never seen.
    rng = np.random.default_rng(0)
    rows = [(rng.integers(0, 10, 12) + (5 if i % 2 else 15)).tolist() for i in range(400)]
    spec = EmbeddingInitSpec(tokens=10_000, standard_deviation=0.02, noise=0.002)
    vectors, cost = cooccurrence.embeddings([store_of(rows)], spec, vocabulary=31, dimensions=8, seed=1)
    again, _ = cooccurrence.embeddings([store_of(rows)], spec, vocabulary=31, dimensions=8, seed=1)
    assert np.array_equal(vectors, again)
    assert vectors.shape == (31, 8) and vectors.dtype == np.float32
    assert vectors[5:25].std() == pytest.approx(0.02, rel=0.05)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit[5:15] @ unit[5:15].T).mean() > 0.5 > abs((unit[5:15] @ unit[15:25].T).mean())
    assert 0 < np.abs(vectors[30]).max() < 0.1
    assert cost.tokens == 4800 and cost.flops > 0


def test_tiny_stores_give_finite_vectors():
    spec = EmbeddingInitSpec(tokens=100)
    for rows in ([[7]], [[], []], [[7, 8]]):
        vectors, _ = cooccurrence.embeddings([store_of(rows)], spec, vocabulary=20, dimensions=30, seed=1)
        assert np.isfinite(vectors).all() and vectors.shape == (20, 30)


def test_log_unigrams():
    logs = cooccurrence.log_unigrams([store_of([[5, 5, 5, 6], [5]])], 8)
    assert logs.mean() == pytest.approx(0, abs=1e-6)
    assert logs[5] - logs[7] == pytest.approx(np.log(4.5 / 0.5))
