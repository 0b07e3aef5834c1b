"""Exact BM25 over the blocks of an index: top-k passages for a batch of queries.

All queries are known in advance, so each block is read once: memory holds one block, the queries and queries × k
results, whatever the size of the corpus. A score is Lucene's BM25 (without the constant k1 + 1), summed over the
query's distinct terms:

    idf · qtf · tf / (tf + k1 · (1 - b + b · length / mean length)),  idf = ln(1 + (N - df + 0.5) / (df + 0.5))

Order: score in double precision descending, passage id ascending. Passages without any of the query's terms are not
results.

Three steps: count the document frequencies of the queries' terms over all blocks; score all passages in 32-bit
integers to find the candidates (`kernels`); score those candidates in double precision that integers cannot order.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval import kernels
from tlm.retrieval.analyser import Terms, Texts
from tlm.retrieval.blocks import PASSAGES, Block, open_block
from tlm.retrieval.kernels import ABSENT, GROUP, SLICE
from tlm.retrieval.weighting import Queries, find_terms, lucene_length, weigh

SPARE = 512  # results held per query beyond 2 k, so that results of a small k are not shrunk too often
POOL = 1 << 26  # results held at once, over all queries: 512 MiB
CHUNK = 8192  # most queries searched at once; a killed run loses at most so many


@dataclass(frozen=True)
class TopK:
    """Results: query i has `passages[starts[i]:starts[i + 1]]`, best first, and as many scores."""

    starts: np.ndarray  # int64, queries + 1
    passages: np.ndarray  # int64
    scores: np.ndarray  # float32

    def with_query(self, q: int, other: TopK) -> TopK:
        """These results, with those of query q replaced by the results of the only query in `other`."""
        low, high = self.starts[q], self.starts[q + 1]
        sizes = np.diff(self.starts)
        sizes[q] = len(other.passages)
        return TopK(
            np.concatenate(([0], np.cumsum(sizes))),
            np.concatenate((self.passages[:low], other.passages, self.passages[high:])),
            np.concatenate((self.scores[:low], other.scores, self.scores[high:])),
        )


@dataclass(frozen=True)
class Candidates:
    """Passages that may be in the top k: keys[i, :sizes[i]] of query i, in the form of kernels.score_block."""

    keys: np.ndarray  # uint64 [queries, capacity]
    sizes: np.ndarray  # int64
    least: np.ndarray  # int64

    @staticmethod
    def none(queries: int, capacity: int) -> Candidates:
        """Empty arrays for the candidates of `queries` queries."""
        keys = np.empty((queries, capacity), np.uint64)
        return Candidates(keys, np.zeros(queries, np.int64), np.ones(queries, np.int64))


@dataclass(frozen=True)
class _Loaded:
    """A block laid out for queries: the list of every entry (see score_block), and the arrays of kernels.expand."""

    lists: np.ndarray
    bounds: np.ndarray
    local: np.ndarray
    impacts: np.ndarray
    dense: np.ndarray


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
        # Lucene counts only documents with a term in the field; with exact lengths empty passages count too.
        lucene = self.spec.norms == "lucene"
        self.total = int(self.manifest.counts["passages_with_words"]) if lucene else self.passages
        self.mean_length = self.manifest.counts["words"] / max(self.total, 1) or 1.0

    def top_k(self, texts: Texts, k: int, threads: int, *, terms: int | None = None) -> TopK:
        """The best k passages of every text, or fewer if fewer share a term with it.

        With `terms`, each text is reduced to its `terms` distinct terms of highest qtf · idf. Results do not depend on
        the number of threads, and the results of a smaller k are a prefix of those of a larger k.
        """
        queries = self._weigh(texts, terms)
        with ThreadPoolExecutor(threads) as pool:
            return self.ranked(queries, self.candidates(queries, k, threads, pool), k, threads, pool)

    def share(
        self, texts: Texts, k: int, threads: int, share: tuple[int, int], *, terms: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Candidates from blocks i, i + n, …: query numbers and keys, for `gather`. Key 0 marks sizes[q] = -1."""
        queries = self._weigh(texts, terms)
        with ThreadPoolExecutor(threads) as pool:
            blocks = range(share[0], len(self.blocks), share[1])
            held = self.candidates(queries, k, threads, pool, blocks)
        keys = []
        for q in range(len(queries)):
            size, _ = kernels.shrink(held.keys[q], max(held.sizes[q], 0), k, queries.slack[q])
            keys.append(np.sort(held.keys[q, :size]) if held.sizes[q] >= 0 else np.zeros(1, np.uint64))
        return np.repeat(np.arange(len(keys)), [len(each) for each in keys]), np.concatenate(keys)

    def gather(
        self, texts: Texts, k: int, threads: int, files: Sequence[Path], *, terms: int | None = None
    ) -> TopK:
        """The top k, from Parquet files (query, key) with the results of `share` for all shares."""
        queries = self._weigh(texts, terms)
        held = Candidates.none(len(queries), 2 * k + SPARE)
        for path in files:
            table = pq.read_table(path)
            starts = np.searchsorted(table["query"].to_numpy(), np.arange(len(queries) + 1))
            kernels.add_keys(starts, table["key"].to_numpy(), k, queries.slack, held.keys, held.sizes)
        with ThreadPoolExecutor(threads) as pool:
            return self.ranked(queries, held, k, threads, pool)

    def chunk(self, k: int) -> int:
        """How many queries can be searched at once in bounded memory."""
        return min(max(POOL // (2 * k + SPARE), 1), CHUNK)

    def counts(self, texts: Texts, terms: int | None) -> dict[str, int]:
        """Always empty: this engine never shortens queries."""
        return {}

    def _weigh(self, texts: Texts, terms: int | None) -> Queries:
        return weigh(texts, self.spec, self.total, self.document_frequencies, terms)

    def document_frequencies(self, terms: Terms) -> np.ndarray:
        """int64: passages of the corpus that hold each term."""
        frequencies = np.zeros(len(terms), np.int64)
        for path in self.blocks:
            block = open_block(path)
            found = find_terms(block.terms, terms)
            frequencies += np.append(block.frequencies, 0)[found]  # ABSENT reads the appended 0
        return frequencies

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
        held = Candidates.none(len(queries), capacity or 2 * k + SPARE)
        order = np.argsort(-np.diff(queries.starts), kind="stable").astype(np.int64)
        parts = min(4 * threads, max(len(queries), 1))
        batches = [order[i::parts] for i in range(parts)]  # each with long and short queries
        progress = Progress(f"search {len(queries):,} queries", len(blocks), "blocks")
        with ThreadPoolExecutor(1) as reader:
            upcoming = [reader.submit(self._load, number, queries) for number in blocks[:1]]
            for position, number in enumerate(blocks):
                loaded = upcoming.pop().result()
                upcoming = [
                    reader.submit(self._load, n, queries) for n in blocks[position + 1 : position + 2]
                ]
                score = partial(_score, queries, loaded, number * PASSAGES, k, held)
                list(pool.map(score, batches))
                progress.add()
        progress.finish()
        return held

    def _load(self, number: int, queries: Queries) -> _Loaded:
        """A block laid out for `queries`."""
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
        return _Loaded(lists[queries.numbers], bounds, local, impacts, dense)

    def _norms(self, block: Block) -> np.ndarray:
        """float64 [passages]: k1 · (1 - b + b · length / mean length)."""
        lengths = lucene_length(block.lengths) if self.spec.norms == "lucene" else block.lengths
        return self.spec.k1 * (1 - self.spec.b + self.spec.b * lengths.astype(np.float64) / self.mean_length)

    def ranked(
        self, queries: Queries, held: Candidates, k: int, threads: int, pool: ThreadPoolExecutor
    ) -> TopK:
        """The top k in order, from candidates over all blocks. Overwrites `held`.

        A query whose candidates did not fit (sizes[q] = -1) is searched again with room for all passages.
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
        # A run of results, each close to the next, is sorted by exact score.
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
            score = partial(_exact, queries, block, terms, self._norms(block))
            pieces = np.array_split(mine, 8)
            locals_ = [passages[piece] - number * PASSAGES for piece in pieces]
            for piece, scores in zip(
                pieces, pool.map(score, [owner[p] for p in pieces], locals_), strict=True
            ):
                out[piece] = scores
        return out


def _score(
    queries: Queries, loaded: _Loaded, first: int, k: int, held: Candidates, batch: np.ndarray
) -> None:
    kernels.score_block(
        batch,
        queries.starts,
        loaded.lists,
        queries.weights,
        queries.slack,
        k,
        first,
        loaded.bounds,
        loaded.local,
        loaded.impacts,
        loaded.dense,
        held.keys,
        held.sizes,
        held.least,
    )


def _exact(
    queries: Queries,
    block: Block,
    terms: np.ndarray,
    norms: np.ndarray,
    owner: np.ndarray,
    passages: np.ndarray,
) -> np.ndarray:
    scores = np.empty(len(owner))
    kernels.exact_scores(
        owner,
        passages,
        queries.starts,
        terms,
        queries.exact,
        block.starts,
        block.documents,
        block.counts,
        block.large_at,
        block.large,
        norms,
        scores,
    )
    return scores
