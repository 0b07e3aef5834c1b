"""Weights of a query's terms: inverse document frequency, and the integer scale in which scores are summed.

Place in the flow: `analyser` → here → `search`, which sees texts only as the `Queries` that `weigh` returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np

from tlm.config.retrieval import IndexSpec
from tlm.retrieval.analyser import Terms, Texts, analyse_with, distinct_terms
from tlm.retrieval.kernels import ABSENT

DENSE_SHARE = (
    0.05  # for terms in at least this share of passages, a dense row is faster than a list (measured)
)
DENSE_TERMS = 128  # most dense rows, for the most frequent terms: 32 MiB per block


@dataclass(frozen=True)
class Queries:
    """Analysed and weighted queries: query i has the entries starts[i]:starts[i + 1], one per distinct term."""

    terms: Terms  # distinct terms of all queries, sorted by hash
    dense: np.ndarray  # int64: terms that are scored as dense rows
    starts: np.ndarray  # int64, queries + 1
    numbers: np.ndarray  # int32 per entry: which term
    exact: np.ndarray  # float64 per entry: idf · qtf
    weights: np.ndarray  # float32 per entry: the same in the query's integer scale
    scale: np.ndarray  # float64 per query: integer units of a score of 1
    slack: np.ndarray  # int64 per query: see kernels

    def __len__(self) -> int:
        return len(self.starts) - 1

    def only(self, q: int) -> Queries:
        """Query q alone."""
        span = slice(self.starts[q], self.starts[q + 1])
        return replace(
            self,
            starts=self.starts[q : q + 2] - self.starts[q],
            numbers=self.numbers[span],
            exact=self.exact[span],
            weights=self.weights[span],
            scale=self.scale[q : q + 1],
            slack=self.slack[q : q + 1],
        )


def weigh(
    texts: Texts,
    spec: IndexSpec,
    total: int,
    frequencies_of: Callable[[Terms], np.ndarray],
    keep: int | None = None,
) -> Queries:
    """Analyse the texts and weigh their terms; with `keep`, only the `keep` heaviest terms of each text.

    `total`: number of passages N. `frequencies_of`: number of passages that contain each term.
    """
    analysed = analyse_with(texts, spec)
    found, times, starts = distinct_terms(analysed)
    order = np.argsort(analysed.terms.hashes, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    terms, numbers = analysed.terms.take(order), rank[found]
    frequencies = frequencies_of(terms)
    # One by one: numpy's logarithm of an array may differ between processors in its last bit.
    rarities, which = np.unique(frequencies, return_inverse=True)
    idf = np.array([rarity(total, df) for df in rarities.tolist()])[which]
    frequent = np.argsort(-frequencies, kind="stable")[:DENSE_TERMS]
    dense = np.sort(frequent[frequencies[frequent] >= max(DENSE_SHARE * total, 1)])
    exact = times * idf[numbers]
    sizes = np.diff(starts)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    if keep is not None:
        place = np.empty(len(exact), np.int64)
        place[np.lexsort((-exact, owner))] = np.arange(len(exact))  # stable: the earlier of equal terms wins
        kept = place - starts[owner] < keep
        numbers, exact, owner = numbers[kept], exact[kept], owner[kept]
        sizes = np.bincount(owner, minlength=len(sizes))
        starts = np.concatenate(([0], np.cumsum(sizes)))

    def per_query(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, values, len(sizes))

    # The sum of a query's weights, which every score stays below, is just under 2^31 units.
    heaviest = per_query(exact)
    scale = (2.0**31 - 4096 - 4 * sizes) / np.where(heaviest > 0, heaviest, 1.0)
    scaled = exact * scale[owner]
    # Error of integer scores: each contribution is rounded up by less than a unit; weights under one unit are
    # raised to one, so that every passage with one of the terms gets a score; single precision loses
    # 4 · 2^-24 of a contribution (kernels allows score / 2^21 for two passages), and 3 · 2^-24 more of a dense
    # term's contribution, because four of them are added before they are rounded.
    dense_weight = per_query(scaled * np.isin(numbers, dense))
    slack = sizes + 2 * per_query(scaled < 1) + np.ceil(6 * 2.0**-24 * dense_weight) + 3
    return Queries(
        terms,
        dense,
        starts,
        numbers,
        exact,
        np.maximum(scaled, 1).astype(np.float32),
        scale,
        slack.astype(np.int64),
    )


def rarity(total: int, frequency: int) -> float:
    """idf of a term that is in `frequency` of `total` passages (Lucene's)."""
    return math.log1p((total - frequency + 0.5) / (frequency + 0.5))


def lucene_length(lengths: np.ndarray) -> np.ndarray:
    """Lengths as Lucene stores them in one byte: exact below 40, with four significant bits above.

    Lucene's `SmallFloat.intToByte4`: the first 24 byte values are the lengths themselves; each other value encodes
    24 plus a number with three bits after its leading 1.
    """
    rest = np.maximum(lengths.astype(np.int64) - 24, 0)
    drop = np.maximum(np.frexp(rest.astype(np.float64))[1].astype(np.int64) - 4, 0)
    return np.where(lengths < 24, lengths, 24 + ((rest >> drop) << drop))


def find_terms(terms: Terms, wanted: Terms) -> np.ndarray:
    """Index in `terms` (sorted by hash) of each of `wanted`; ABSENT for terms that are not in it."""
    first = np.searchsorted(terms.hashes, wanted.hashes)
    return _find(first, terms.hashes, terms.ends, terms.data, wanted.hashes, wanted.ends, wanted.data)


@numba.njit(nogil=True, cache=True)
def _find(first, hashes, ends, data, wanted, wanted_ends, wanted_data):  # type: ignore[no-untyped-def]
    found = np.full(len(wanted), ABSENT, np.int64)
    for i in range(len(wanted)):
        begin = wanted_ends[i - 1] if i else 0
        size = wanted_ends[i] - begin
        at = first[i]
        while at < len(hashes) and hashes[at] == wanted[i]:
            start = np.int64(ends[at - 1]) if at else 0
            same = np.int64(ends[at]) - start == size
            if same:
                for j in range(size):
                    if data[start + j] != wanted_data[begin + j]:
                        same = False
                        break
            if same:
                found[i] = at
                break
            at += 1
    return found
