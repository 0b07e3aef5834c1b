"""Exact BM25 over the blocks of an index: top-k passages for a batch of queries.

All queries are known in advance, so the blocks stream past them once: memory is one block, the queries and
queries × k results, whatever the size of the corpus. A score is Lucene's BM25 (without the constant k1 + 1):

    idf · qtf · tf / (tf + k1 · (1 - b + b · length / mean length)),  idf = ln(1 + (N - df + 0.5) / (df + 0.5))

summed over the query's distinct terms, in double precision. Order: score descending, passage id ascending.
Passages without any of the query's terms are not results.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa

from tlm.artifacts import read_manifest
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.analyser import Terms, analyse_with, distinct_terms
from tlm.retrieval.blocks import PASSAGES, Block, open_block


@dataclass(frozen=True)
class TopK:
    """Results: query i has `passages[starts[i]:starts[i + 1]]`, best first, and as many scores."""

    starts: np.ndarray  # int64, queries + 1
    passages: np.ndarray  # int64
    scores: np.ndarray  # float32


@dataclass(frozen=True)
class _Queries:
    """Query i holds the distinct terms `numbers[starts[i]:starts[i + 1]]`, each `times` times."""

    terms: Terms
    numbers: np.ndarray
    times: np.ndarray
    starts: np.ndarray


class EmbeddedIndex:
    """An index artifact, opened for searching."""

    def __init__(self, directory: Path) -> None:
        self.manifest = read_manifest(directory, "index")
        parameters = dict(self.manifest.parameters)
        if parameters.pop("backend") != "embedded":
            raise TlmError(f"{directory}: not an index of the embedded engine; build it again")
        parameters.pop("engine")
        self.spec = IndexSpec(**parameters)
        self.blocks = [directory / name for name in sorted(self.manifest.files)]
        self.passages = int(self.manifest.counts["passages"])

    def top_k(self, texts: pa.Array | Sequence[str], k: int, threads: int) -> TopK:
        """The best k passages of every text, fewer where fewer share a term with it.

        Results do not depend on the number of threads, and those of a smaller k are a prefix of a larger one's.
        """
        queries = self._analyse(texts)
        weights = queries.times * self._idf(queries)[queries.numbers]
        best: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0, np.int64))] * (
            len(queries.starts) - 1
        )
        order = np.argsort(-np.diff(queries.starts), kind="stable")
        batches = [order[i::threads] for i in range(threads)]  # long and short ones in each
        progress = Progress("search", len(self.blocks), "blocks")
        with ThreadPoolExecutor(threads) as pool:
            for number, path in enumerate(self.blocks):
                block = open_block(path)
                local = find_terms(block.terms, queries.terms)[queries.numbers]
                impacts = self._impacts(block)
                starts = block.starts

                def work(batch: np.ndarray) -> None:
                    for query in batch:  # noqa: B023
                        span = slice(queries.starts[query], queries.starts[query + 1])
                        scores = _accumulate(
                            local[span],  # noqa: B023
                            weights[span],
                            starts,  # noqa: B023
                            block.documents,  # noqa: B023
                            impacts,  # noqa: B023
                            len(block.lengths),  # noqa: B023
                        )
                        best[query] = _merge(best[query], scores, number * PASSAGES, k)  # noqa: B023

                list(pool.map(work, batches))
                progress.add()
        progress.finish()
        sizes = [len(passages) for _, passages in best]
        return TopK(
            np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))),
            np.concatenate([np.empty(0, np.int64), *(passages for _, passages in best)]),
            np.concatenate([np.empty(0), *(scores for scores, _ in best)]).astype(np.float32),
        )

    def _analyse(self, texts: pa.Array | Sequence[str]) -> _Queries:
        analysed = analyse_with(texts, self.spec)
        numbers, times, starts = distinct_terms(analysed)
        return _Queries(analysed.terms, numbers, times, starts)

    def _idf(self, queries: _Queries) -> np.ndarray:
        """Inverse document frequency of every term of the queries, summed over all blocks."""
        frequencies = np.zeros(len(queries.terms), np.int64)
        for path in self.blocks:
            block = open_block(path)
            local = find_terms(block.terms, queries.terms)
            frequencies += np.append(block.frequencies, 0)[local].astype(np.int64)  # -1 is the appended 0
        total = self.passages
        if self.spec.norms == "lucene":  # Lucene counts the documents that have the field
            total = int(self.manifest.counts["passages_with_words"])
        return np.log1p((total - frequencies + 0.5) / (frequencies + 0.5))

    def _impacts(self, block: Block) -> np.ndarray:
        """float64 [postings]: tf / (tf + norm) of every posting."""
        lengths = block.lengths.astype(np.float64)
        total = self.passages
        if self.spec.norms == "lucene":
            lengths = lucene_length(block.lengths).astype(np.float64)
            total = int(self.manifest.counts["passages_with_words"])
        mean = self.manifest.counts["words"] / max(total, 1) or 1.0
        norms = self.spec.k1 * (1 - self.spec.b + self.spec.b * lengths / mean)
        counts = block.counts.astype(np.float64)
        counts[block.large_at] = block.large
        return counts / (counts + norms[block.documents])


def lucene_length(lengths: np.ndarray) -> np.ndarray:
    """Lengths as Lucene keeps them in one byte: exact below 40, above with four significant bits.

    Lucene's `SmallFloat.intToByte4`: 24 values are free of loss; the rest is a float with three bits of mantissa.
    """
    lengths = lengths.astype(np.int64)
    shifted = np.maximum(lengths - 24, 0)
    bits = np.zeros(len(lengths), np.int64)
    rest = shifted.copy()
    while rest.any():
        bits += rest > 0
        rest >>= 1
    drop = np.maximum(bits - 4, 0)
    return np.where(lengths < 24, lengths, 24 + ((shifted >> drop) << drop))


def find_terms(terms: Terms, wanted: Terms) -> np.ndarray:
    """Number in `terms` (sorted by hash) of each of `wanted`; -1 where there is none."""
    return _find(
        terms.hashes, terms.ends.astype(np.int64), terms.data, wanted.hashes, wanted.ends, wanted.data
    )


@numba.njit(nogil=True, cache=True)
def _find(hashes, ends, data, wanted, wanted_ends, wanted_data):  # type: ignore[no-untyped-def]
    found = np.full(len(wanted), -1, np.int64)
    first = np.searchsorted(hashes, wanted)
    for i in range(len(wanted)):
        begin = wanted_ends[i - 1] if i else 0
        size = wanted_ends[i] - begin
        at = first[i]
        while at < len(hashes) and hashes[at] == wanted[i]:
            start = ends[at - 1] if at else 0
            same = ends[at] - start == size
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


@numba.njit(nogil=True, cache=True)
def _accumulate(local, weights, starts, documents, impacts, passages):  # type: ignore[no-untyped-def]
    scores = np.zeros(passages)
    for i in range(len(local)):
        if local[i] >= 0:
            for posting in range(starts[local[i]], starts[local[i] + 1]):
                scores[documents[posting]] += weights[i] * impacts[posting]
    return scores


def _merge(
    best: tuple[np.ndarray, np.ndarray], scores: np.ndarray, first: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best k of `best` and a block's `scores`; passages of the block have higher ids than those in `best`."""
    held, ids = best
    bar = held[-1] if len(held) == k else 0.0
    fresh = np.flatnonzero(scores > bar)
    if not len(fresh):
        return best
    scores = np.concatenate((held, scores[fresh]))
    ids = np.concatenate((ids, fresh + first))
    order = np.argsort(-scores, kind="stable")[:k]
    return scores[order], ids[order]
