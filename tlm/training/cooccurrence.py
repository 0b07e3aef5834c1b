"""Initialise the token embeddings from co-occurrence counts of the training data (beyond the paper).

Place in the flow: tokens → cooccurrence → model, before stage 1. On a small budget, stage 1 spends most of its steps
on learning which words occur together; counting finds that out at once. The method: symmetric counts in a window,
weighted 1/distance; positive pointwise mutual information with the context distribution raised to 0.75; truncated
SVD, U·√S. It reads only text that stage 1 reads, and its cost is part of the run record. See docs/differences.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tlm.config.training import EmbeddingInitSpec
from tlm.training.randomness import generator, key_of
from tlm.training.tokens import Store

_CHUNK = 1 << 20  # tokens counted at once
_OVERSAMPLES = 10
_ITERATIONS = 2


@dataclass(frozen=True)
class CooccurrenceCost:
    """The cost of the initialisation, for the run record."""

    tokens: int
    pairs: int  # distinct, both directions
    flops: int
    seconds: float


def embeddings(
    stores: Sequence[Store], spec: EmbeddingInitSpec, *, vocabulary: int, dimensions: int, seed: int
) -> tuple[np.ndarray, CooccurrenceCost]:
    """Initial vectors, (vocabulary, dimensions) float32, with standard deviation `spec.standard_deviation`.

    Whole rows are counted, in an order that `seed` decides, until they hold `spec.tokens` tokens; each store
    contributes in proportion to its size. Ids that do not occur get random vectors of the same deviation.
    """
    from sklearn.utils.extmath import randomized_svd  # slow to import

    started = time.perf_counter()
    rng = generator(seed, "cooccurrence")
    counts, tokens = _counts(stores, spec, vocabulary, rng)
    information = _ppmi(counts, spec.context_power)
    rank = min(dimensions, vocabulary - 1)
    left, singular, _ = randomized_svd(
        information,
        rank,
        n_oversamples=_OVERSAMPLES,
        n_iter=_ITERATIONS,
        random_state=key_of(seed, "cooccurrence", "svd") % (1 << 32),
    )
    vectors = np.zeros((vocabulary, dimensions), np.float32)
    vectors[:, :rank] = left * np.sqrt(singular)
    seen = np.asarray(counts.sum(axis=1)).ravel() > 0
    deviation = vectors[seen].std() if seen.any() else 0.0
    if deviation > 0:
        vectors *= spec.standard_deviation / deviation
    vectors += rng.normal(0.0, spec.noise, vectors.shape)
    vectors[~seen] = rng.normal(0.0, spec.standard_deviation, (int((~seen).sum()), dimensions))
    # Products with the sparse matrix: one for the range, two per iteration, one to project; 2 FLOPs per entry.
    products = 2 * _ITERATIONS + 2
    flops = 2 * information.nnz * (rank + _OVERSAMPLES) * products
    return vectors, CooccurrenceCost(tokens, int(information.nnz), int(flops), time.perf_counter() - started)


def log_unigrams(stores: Sequence[Store], vocabulary: int) -> np.ndarray:
    """Log frequency of each id, (vocabulary,) float32 with mean zero; every count is raised by one half."""
    counts = np.full(vocabulary, 0.5)
    for store in stores:
        for start in range(0, len(store.tokens), _CHUNK):
            counts += np.bincount(store.tokens[start : start + _CHUNK], minlength=vocabulary)
    logs = np.log(counts)
    return (logs - logs.mean()).astype(np.float32)


def _counts(
    stores: Sequence[Store], spec: EmbeddingInitSpec, vocabulary: int, rng: np.random.Generator
) -> tuple[sparse.csr_array, int]:
    """Symmetric weighted counts, (vocabulary, vocabulary) float32, and the number of tokens read."""
    share = min(1.0, spec.tokens / max(1, sum(len(store.tokens) for store in stores)))
    forward = sparse.csr_array((vocabulary, vocabulary), dtype=np.float32)
    tokens = 0
    for store in stores:
        lengths = np.diff(store.offsets)
        order = rng.permutation(len(store))
        chosen = np.sort(order[: np.searchsorted(np.cumsum(lengths[order]), share * lengths.sum()) + 1])
        cuts = np.searchsorted(np.cumsum(lengths[chosen]), np.arange(_CHUNK, lengths[chosen].sum(), _CHUNK))
        for rows in np.split(chosen, cuts):
            if len(rows):
                forward = forward + _forward_counts(store, rows, spec.window, vocabulary)
                tokens += int(lengths[rows].sum())
    return (forward + forward.T).tocsr(), tokens


def _forward_counts(store: Store, rows: np.ndarray, window: int, vocabulary: int) -> sparse.csr_array:
    """Counts of (token, later token of the same row), weighted 1/distance."""
    flat = np.concatenate([store.tokens[store.offsets[row] : store.offsets[row + 1]] for row in rows])
    flat = flat.astype(np.int32)
    row_of = np.repeat(np.arange(len(rows), dtype=np.int32), np.diff(store.offsets)[rows])
    left, right, weight = [], [], []
    for distance in range(1, window + 1):
        same = row_of[:-distance] == row_of[distance:]
        left.append(flat[:-distance][same])
        right.append(flat[distance:][same])
        weight.append(np.full(len(left[-1]), 1 / distance, np.float32))
    entries = (np.concatenate(weight), (np.concatenate(left), np.concatenate(right)))
    return sparse.coo_array(entries, shape=(vocabulary, vocabulary)).tocsr()


def _ppmi(counts: sparse.csr_array, context_power: float) -> sparse.csr_array:
    """max(0, log(P(a, b) / (P(a) · P_power(b)))) as a sparse matrix of its positive entries."""
    sums = np.asarray(counts.sum(axis=1), np.float64).ravel()
    context = sums**context_power
    coordinates = counts.tocoo()
    rows, columns = coordinates.coords
    # P(a, b) = count / total and P(a) = sum / total: the total cancels.
    values = np.log(coordinates.data / (sums[rows] * context[columns] / context.sum()))
    keep = values > 0
    entries = (values[keep].astype(np.float32), (rows[keep], columns[keep]))
    return sparse.coo_array(entries, shape=counts.shape).tocsr()
