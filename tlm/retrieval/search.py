"""Exact BM25 over the blocks of an index: top-k passages for a batch of queries.

All queries are known in advance, so the blocks stream past them once: memory is one block, the queries and
queries × k results, whatever the size of the corpus. A score is Lucene's BM25 (without the constant k1 + 1):

    idf · qtf · tf / (tf + k1 · (1 - b + b · length / mean length)),  idf = ln(1 + (N - df + 0.5) / (df +
    0.5))

summed over the query's distinct terms. Order: score in double precision descending, passage id ascending.
Passages without any of the query's terms are not results.

Three steps: document frequencies of the queries' terms over all blocks; candidates, scored fast in 32-bit
integers (`kernels`); and for candidates that integers cannot order, their scores in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa

from tlm.artifacts import read_manifest
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval import kernels
from tlm.retrieval.analyser import Terms, analyse_with, distinct_terms
from tlm.retrieval.blocks import PASSAGES, Block, open_block
from tlm.retrieval.kernels import ABSENT, GROUP, SLICE

SPARE = 512  # results held per query beyond 2 k, so that a small k is not cut down too often
DENSE_SHARE = 0.05  # from this share of passages on, a sweep over all is cheaper than a list (measured)
DENSE_TERMS = 128  # at most so many, the most frequent: 32 MiB of a block
POOL = 1 << 26  # results held at once, over all queries: 512 MiB


@dataclass(frozen=True)
class TopK:
    """Results: query i has `passages[starts[i]:starts[i + 1]]`, best first, and as many scores."""

    starts: np.ndarray  # int64, queries + 1
    passages: np.ndarray  # int64
    scores: np.ndarray  # float32

    def with_query(self, q: int, other: TopK) -> TopK:
        """These results, with those of query q replaced by the only query's of `other`."""
        low, high = self.starts[q], self.starts[q + 1]
        sizes = np.diff(self.starts)
        sizes[q] = len(other.passages)
        return TopK(
            np.concatenate(([0], np.cumsum(sizes))),
            np.concatenate((self.passages[:low], other.passages, self.passages[high:])),
            np.concatenate((self.scores[:low], other.scores, self.scores[high:])),
        )


@dataclass(frozen=True)
class Queries:
    """Analysed and weighted queries: query i has the entries starts[i]:starts[i + 1], one per distinct term."""

    terms: Terms  # distinct terms of all queries, sorted by hash
    dense: np.ndarray  # int64: those that are scored as rows
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


@dataclass(frozen=True)
class Candidates:
    """What may be in the top k: keys[i, :sizes[i]] of query i, as kernels.score_block leaves them."""

    keys: np.ndarray  # uint64 [queries, capacity]
    sizes: np.ndarray  # int64
    least: np.ndarray  # int64


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
        # Lucene counts the documents that have the field; elsewhere an empty passage is a passage.
        lucene = self.spec.norms == "lucene"
        self.total = int(self.manifest.counts["passages_with_words"]) if lucene else self.passages
        self.mean_length = self.manifest.counts["words"] / max(self.total, 1) or 1.0

    def top_k(self, texts: pa.Array | Sequence[str], k: int, threads: int) -> TopK:
        """The best k passages of every text, fewer where fewer share a term with it.

        Results do not depend on the number of threads, and those of a smaller k are a prefix of a larger
        one's.
        """
        queries = self.prepare(texts)
        with ThreadPoolExecutor(threads) as pool:
            return self.ranked(queries, self.candidates(queries, k, threads, pool), k, threads, pool)

    def chunk(self, k: int) -> int:
        """How many queries can be searched at once in bounded memory."""
        return max(POOL // (2 * k + SPARE), 1)

    def document_frequencies(self, terms: Terms) -> np.ndarray:
        """int64: passages of the corpus that hold each term."""
        frequencies = np.zeros(len(terms), np.int64)
        for path in self.blocks:
            block = open_block(path)
            found = find_terms(block.terms, terms)
            frequencies += np.append(block.frequencies, 0)[found]  # ABSENT reads the appended 0
        return frequencies

    def prepare(self, texts: pa.Array | Sequence[str]) -> Queries:
        """Analyse the texts and weigh their terms."""
        analysed = analyse_with(texts, self.spec)
        found, times, starts = distinct_terms(analysed)
        order = np.argsort(analysed.terms.hashes, kind="stable")
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        terms, numbers = analysed.terms.take(order), rank[found]
        frequencies = self.document_frequencies(terms)
        idf = np.log1p((self.total - frequencies + 0.5) / (frequencies + 0.5))
        frequent = np.argsort(-frequencies, kind="stable")[:DENSE_TERMS]
        dense = np.sort(frequent[frequencies[frequent] >= max(DENSE_SHARE * self.passages, 1)])
        exact = times * idf[numbers]
        sizes = np.diff(starts)
        owner = np.repeat(np.arange(len(sizes)), sizes)

        def per_query(values: np.ndarray) -> np.ndarray:
            return np.bincount(owner, values, len(sizes))

        # The sum of a query's weights, which no score reaches, comes to just under 2^31 units.
        scale = (2.0**31 - 4096 - 4 * sizes) / np.maximum(per_query(exact), 1e-300)
        scaled = exact * scale[owner]
        # What integers can be wrong by: each contribution is rounded up by less than a unit; weights under a
        # unit are raised to one, so that every passage with one of the terms gets a score; single precision
        # loses 4 · 2^-24 of a contribution (which kernels takes off as score / 2^21, for two passages), and
        # 3 · 2^-24 more of a dense term's, four of which are added before they are rounded.
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

    def candidates(
        self,
        queries: Queries,
        k: int,
        threads: int,
        pool: ThreadPoolExecutor,
        blocks: range | None = None,
        capacity: int | None = None,
    ) -> Candidates:
        """Score `blocks` (all by default) for all queries."""
        blocks = range(len(self.blocks)) if blocks is None else blocks
        capacity = capacity or 2 * k + SPARE
        held = Candidates(
            np.empty((len(queries), capacity), np.uint64),
            np.zeros(len(queries), np.int64),
            np.ones(len(queries), np.int64),
        )
        order = np.argsort(-np.diff(queries.starts), kind="stable").astype(np.int64)
        parts = min(4 * threads, max(len(queries), 1))
        batches = [order[i::parts] for i in range(parts)]  # long and short ones in each
        progress = Progress(f"search {len(queries):,} queries", len(blocks), "blocks")
        with ThreadPoolExecutor(1) as reader:
            upcoming = [reader.submit(self._load, number, queries) for number in blocks[:1]]
            for position, number in enumerate(blocks):
                lists, arrays = upcoming.pop().result()
                upcoming = [
                    reader.submit(self._load, n, queries) for n in blocks[position + 1 : position + 2]
                ]

                def score(
                    batch: np.ndarray,
                    lists: np.ndarray = lists,
                    arrays: tuple[np.ndarray, ...] = arrays,
                    first: int = number * PASSAGES,
                ) -> None:
                    what = (batch, queries.starts, lists, queries.weights, queries.slack, k, first)
                    kernels.score_block(*what, *arrays, held.keys, held.sizes, held.least)

                list(pool.map(score, batches))
                progress.add()
        progress.finish()
        return held

    def _load(self, number: int, queries: Queries) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """A block laid out for `queries`: each entry's list in it, and the arrays of kernels.expand."""
        block = open_block(self.blocks[number])
        found = find_terms(block.terms, queries.terms)
        dense_row = np.full(len(found), -1, np.int64)
        dense_row[queries.dense] = np.arange(len(queries.dense))
        present = np.flatnonzero(found != ABSENT)
        dense_row = dense_row[present]
        lists = np.full(len(found), ABSENT, np.int32)
        sparse = present[dense_row < 0]
        lists[sparse] = np.arange(len(sparse))
        lists[present[dense_row >= 0]] = -2 - dense_row[dense_row >= 0]
        starts = block.starts
        begins, ends = starts[found[present]], starts[found[present] + 1]
        slices = -(-len(block.lengths) // SLICE)
        size = int((ends - begins)[dense_row < 0].sum())
        bounds = np.zeros((slices, len(sparse) + 1), np.int64)
        local, impacts = np.empty(size, np.uint16), np.empty(size, np.float32)
        dense = np.zeros((slices, len(queries.dense), SLICE), np.float32)
        counts = block.counts
        if len(block.large):
            counts = counts.astype(np.uint32)
            counts[block.large_at] = block.large
        norms = self._norms(block)
        kernels.expand(block.documents, counts, norms, begins, ends, dense_row, bounds, local, impacts, dense)
        return lists[queries.numbers], (bounds, local, impacts, dense)

    def _norms(self, block: Block) -> np.ndarray:
        """float64 [passages]: k1 · (1 - b + b · length / mean length)."""
        lengths = lucene_length(block.lengths) if self.spec.norms == "lucene" else block.lengths
        return self.spec.k1 * (1 - self.spec.b + self.spec.b * lengths.astype(np.float64) / self.mean_length)

    def ranked(
        self, queries: Queries, held: Candidates, k: int, threads: int, pool: ThreadPoolExecutor
    ) -> TopK:
        """The top k in order, from candidates over all blocks. Uses up `held`.

        A query with more results too close to tell apart than were held is searched again, holding all.
        """
        crowded = np.flatnonzero(held.sizes < 0)
        held.sizes[crowded] = 0
        found = self._ordered(queries, held, k, pool)
        for q in crowded.tolist():
            alone = queries.only(q)
            everything = self.candidates(alone, k, threads, pool, capacity=self.passages + GROUP)
            found = found.with_query(q, self._ordered(alone, everything, k, pool))
        return found

    def _ordered(self, queries: Queries, held: Candidates, k: int, pool: ThreadPoolExecutor) -> TopK:
        """The top k in order, from all candidates."""
        keys, sizes, slack = held.keys, held.sizes, queries.slack
        batches = np.array_split(np.arange(len(queries)), 16)
        counts = np.zeros(len(queries), np.int64)

        def settle(batch: np.ndarray) -> None:
            for q in batch:
                sizes[q], _ = kernels.shrink(keys[q], sizes[q], k, slack[q])
                keys[q, : sizes[q]].sort()
            kernels.count_unsure(batch, keys, sizes, slack, counts)

        list(pool.map(settle, batches))
        starts = np.concatenate(([0], np.cumsum(np.minimum(sizes, k))))
        found = TopK(starts, np.empty(starts[-1], np.int64), np.empty(starts[-1], np.float32))
        places = np.concatenate(([0], np.cumsum(counts)))
        rank, run = np.empty(places[-1], np.int32), np.empty(places[-1], np.int64)
        passages = np.empty(places[-1], np.int64)

        def write(batch: np.ndarray) -> None:
            kernels.write_results(batch, keys, sizes, k, queries.scale, starts, found.passages, found.scores)
            kernels.list_unsure(batch, keys, sizes, slack, places, rank, passages, run)

        list(pool.map(write, batches))
        # A run of results, each close to the next, is put in the order of exact scores.
        owner = np.repeat(np.arange(len(queries), dtype=np.int32), counts)
        scores = self._exact(queries, owner, passages, pool)
        order = np.lexsort((passages, -scores, run))[rank < k]
        into = starts[owner[rank < k]] + rank[rank < k]
        found.passages[into], found.scores[into] = passages[order], scores[order]
        return found

    def _exact(
        self, queries: Queries, owner: np.ndarray, passages: np.ndarray, pool: ThreadPoolExecutor
    ) -> np.ndarray:
        """float64 scores of the given (query, passage) pairs."""
        out = np.zeros(len(passages))
        order = np.argsort(passages, kind="stable")
        blocks = passages[order] // PASSAGES
        for number in np.unique(blocks).tolist():
            mine = order[np.searchsorted(blocks, number) : np.searchsorted(blocks, number + 1)]
            block = open_block(self.blocks[number])
            terms = find_terms(block.terms, queries.terms)[queries.numbers]
            arrays = (
                block.starts,
                block.documents,
                block.counts,
                block.large_at,
                block.large,
                self._norms(block),
            )

            def score(
                some: np.ndarray,
                terms: np.ndarray = terms,
                arrays: tuple[np.ndarray, ...] = arrays,
                first: int = number * PASSAGES,
            ) -> None:
                part = np.empty(len(some))
                local = passages[some] - first
                kernels.exact_scores(owner[some], local, queries.starts, terms, queries.exact, *arrays, part)
                out[some] = part

            list(pool.map(score, np.array_split(mine, 8)))
        return out


def lucene_length(lengths: np.ndarray) -> np.ndarray:
    """Lengths as Lucene keeps them in one byte: exact below 40, above with four significant bits.

    Lucene's `SmallFloat.intToByte4`: the first 24 values stand for themselves, the others for 24 plus a
    number with three bits behind its leading one.
    """
    rest = np.maximum(lengths.astype(np.int64) - 24, 0)
    drop = np.maximum(np.frexp(rest.astype(np.float64))[1].astype(np.int64) - 4, 0)
    return np.where(lengths < 24, lengths, 24 + ((rest >> drop) << drop))


def find_terms(terms: Terms, wanted: Terms) -> np.ndarray:
    """Number in `terms` (sorted by hash) of each of `wanted`; ABSENT where there is none."""
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
