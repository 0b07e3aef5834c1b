"""Top-k passages from an Elasticsearch index: the engine behind `stage.open_engine` for that backend.

Queries are analysed here, as for the embedded engine, and sent as one weighted term clause per distinct term, with many
queries per request and several requests at once. The server returns only ids and scores, ordered by score and then
passage id. Partial answers are refused and temporary failures retried; a query that still fails raises an error that
names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from elasticsearch import BadRequestError

from tlm.artifacts import canonical_json, read_manifest
from tlm.config.elasticsearch import ElasticsearchSpec, server_settings
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.analyser import Analysed, Texts, analyse_with, distinct_terms
from tlm.retrieval.elastic.client import TRANSIENT, connect, patiently, pause, reason
from tlm.retrieval.elastic.index import held_meta
from tlm.retrieval.queries import QueryFailed
from tlm.retrieval.search import TopK
from tlm.retrieval.weighting import rarity

CHUNK = 4096  # most queries per call of top_k; a killed run loses at most so many
POOL = 1 << 23  # most results held at once, over all queries: 100 MB
PAGE = 1 << 18  # most results of one request (more for a single query with a larger k)
CLAUSES = 1024  # clauses that every server accepts, whatever its heap
COUNTS = 512  # terms counted in one request

Search = dict[str, Any]


class ElasticIndex:
    """An index artifact of this backend, opened for searching the index that it names on the server."""

    def __init__(self, directory: Path, server: ElasticsearchSpec | None = None) -> None:
        """Connect to `server` (default: the server that the environment names; see `server_settings`).

        Raises TlmError if it is not reachable, or the index is missing, unfinished or of another corpus.
        """
        self.manifest = read_manifest(directory, "index")
        parameters = dict(self.manifest.parameters)
        if parameters.pop("backend") != "elasticsearch":
            raise TlmError(f"{directory}: not an index of Elasticsearch; build it again")
        self.name = parameters.pop("index")
        self.shards = int(parameters.pop("shards"))
        parameters.pop("server")
        self.spec = IndexSpec(**parameters)
        self.passages = int(self.manifest.counts["passages"])
        self.server = server or server_settings()
        self.client = connect(self.server)
        self._limit: int | None = None
        self._check(directory)

    def _check(self, directory: Path) -> None:
        again = f"build it again (snakemake --force {directory}/manifest.json)"
        held = held_meta(self.client, self.name, self.server)
        if held is None:
            raise TlmError(f"{directory}: the server has no index {self.name}; {again}")
        if held.get("corpus") != self.manifest.inputs["corpus"]:
            raise TlmError(f"{directory}: index {self.name} on the server is of another corpus; {again}")
        found = patiently("counting", self.server, lambda: self.client.count(index=self.name))["count"]
        if not held.get("complete") or found != self.passages:
            raise TlmError(
                f"{directory}: index {self.name} on the server is unfinished, {found:,} of {self.passages:,}"
                f" passages; {again}"
            )

    def chunk(self, k: int) -> int:
        """How many queries to search at once."""
        return min(max(POOL // k, 1), CHUNK)

    def top_k(self, texts: Texts, k: int, threads: int, *, terms: int | None = None) -> TopK:
        """The best k passages of every text; see `stage.Engine`. `threads` has no effect: the server searches.

        Scores are Elasticsearch's divided by the constant k1 + 1, like those of the embedded engine. A query with more
        distinct terms than the server accepts clauses keeps the terms of highest qtf · idf (`counts` counts such
        queries). Raises QueryFailed for a query that the server does not answer.
        """
        queries = self._queries(analyse_with(texts, self.spec), terms)
        page = {
            "size": k,
            "track_total_hits": False,
            "_source": False,
            "stored_fields": "_none_",
            "sort": [{"_score": "desc"}, {"passage": "asc"}],
        }
        searches = ({**page, "query": query} for query in queries)
        per = max(min(self.server.queries_per_request, PAGE // k), 1)
        progress = Progress(f"search {len(texts):,} queries", len(texts), "queries")
        passages, scores = [], []
        for answer in self._answers(searches, per, "responses.hits.hits.sort"):
            rows = [hit["sort"] for hit in answer.get("hits", {}).get("hits", [])]
            found = np.array(rows, np.float64).reshape(-1, 2)
            scores.append((found[:, 0] / (self.spec.k1 + 1)).astype(np.float32))
            passages.append(found[:, 1].astype(np.int64))
            progress.add()
        progress.finish()
        starts = np.concatenate(([0], np.cumsum([len(each) for each in passages]))).astype(np.int64)
        if not passages:
            return TopK(starts, np.zeros(0, np.int64), np.zeros(0, np.float32))
        return TopK(starts, np.concatenate(passages), np.concatenate(scores))

    def counts(self, texts: Texts, terms: int | None) -> dict[str, int]:
        """Number of queries cut to the server's clause limit, and that limit if there are any."""
        sizes = np.diff(distinct_terms(analyse_with(texts, self.spec))[2])
        wanted = sizes if terms is None else np.minimum(sizes, terms)
        limit = self._clauses(int(wanted.max(initial=0)))
        cut = int(np.count_nonzero(wanted > limit))
        return {"queries_cut_to_clause_limit": cut, **({"clause_limit": limit} if cut else {})}

    def _queries(self, analysed: Analysed, keep: int | None) -> Iterator[Search]:
        """Every text as a query: at most `keep` of its distinct terms, each weighted by its number of occurrences."""
        found, times, starts = distinct_terms(analysed)
        strings = analysed.terms.strings()
        most = int(np.diff(starts).max(initial=0))
        limit = min(self._clauses(most if keep is None else min(most, keep)), keep or most)
        weights = self._weights(strings, found, times, starts, limit)
        for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            entries = list(range(begin, end))
            if len(entries) > limit:  # stable: the earlier of equal terms is kept, as in the embedded engine
                entries = sorted(entries, key=lambda i: -weights[found[i]] * times[i])[:limit]
            clauses = [
                {"term": {"text": {"value": strings[found[i]], "boost": int(times[i])}}} for i in entries
            ]
            yield {"bool": {"should": clauses}} if clauses else {"match_none": {}}

    def _weights(
        self, strings: list[str], found: np.ndarray, times: np.ndarray, starts: np.ndarray, limit: int
    ) -> np.ndarray:
        """idf of the terms that occur in queries of more than `limit` distinct terms; 0 for the others."""
        weights = np.zeros(len(strings))
        sizes = np.diff(starts)
        needed = np.unique(found[np.repeat(sizes > limit, sizes)])
        searches = (
            {"size": 0, "track_total_hits": True, "query": {"term": {"text": strings[i]}}} for i in needed
        )
        try:
            answers = self._answers(searches, COUNTS, "responses.hits.total.value")
            frequencies = [answer["hits"]["total"]["value"] for answer in answers]
        except QueryFailed as error:  # a count of term frequencies failed, not a query
            raise TlmError(str(error)) from None
        weights[needed] = [rarity(self.passages, frequency) for frequency in frequencies]
        return weights

    def _clauses(self, most: int) -> int:
        """The largest number of clauses per query that the server accepts, tested up to `most`.

        The limit depends on the server's heap, and only the error for a larger query states it.
        """
        if most <= CLAUSES:
            return CLAUSES
        if self._limit is None or self._limit < most:
            self._limit = self._find_clause_limit(most)
        return self._limit

    def _find_clause_limit(self, most: int) -> int:
        clauses = [{"term": {"text": f"t{i}"}} for i in range(most)]

        def probe() -> int:
            try:
                self.client.search(index=self.name, size=0, query={"bool": {"should": clauses}})
            except BadRequestError as error:
                if limit := re.search(r"maxClauseCount is set to (\d+)", canonical_json(error.body)):
                    return int(limit[1])
                raise
            return most

        return patiently("asking for the limit of clauses", self.server, probe)

    def _answers(self, searches: Iterator[Search], per: int, wanted: str) -> Iterator[dict[str, Any]]:
        """The answers to all searches, in order; requests of `per` searches, several at once."""
        stop = Event()
        with ThreadPoolExecutor(self.server.requests_in_flight) as pool:
            waiting = []
            try:
                for first, batch in _batches(searches, per):
                    waiting.append(pool.submit(self._request, first, batch, wanted, stop))
                    if len(waiting) > self.server.requests_in_flight:
                        yield from waiting.pop(0).result()
                while waiting:
                    yield from waiting.pop(0).result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _request(
        self, first: int, searches: Sequence[Search], wanted: str, stop: Event
    ) -> list[dict[str, Any]]:
        """Send one request, and its temporarily failed searches again, until all have answers."""
        lines = [canonical_json(search).encode() for search in searches]
        answers: dict[int, dict[str, Any]] = {}
        left = list(range(len(searches)))
        kept = f"{wanted},responses.status,responses.error,responses.timed_out,responses._shards.failed"
        action = f"searching {self.name}"
        for attempt in count(1):
            body = [line for i in left for line in (self._header, lines[i])]
            found = patiently(action, self.server, lambda: self._msearch(body, kept), stop=stop)  # noqa: B023
            trouble = "fewer answers than searches" if len(found) != len(left) else ""
            for i, answer in zip(left, found, strict=False):
                why = _failure(answer)
                if why is None:
                    answers[i] = answer
                elif answer.get("status") in TRANSIENT or "error" not in answer:
                    trouble = why
                else:
                    raise QueryFailed(first + i, f"{action}: Elasticsearch answers {why}")
            left = [i for i in left if i not in answers]
            if not left:
                return [answers[i] for i in range(len(searches))]
            try:
                pause(action, self.server, attempt, trouble, stop)
            except TlmError as error:
                raise QueryFailed(first + left[0], str(error)) from None
        raise AssertionError

    @property
    def _header(self) -> bytes:
        """The header line of every search. With several shards, the server first sums their term statistics."""
        kind = "dfs_query_then_fetch" if self.shards > 1 else "query_then_fetch"
        return canonical_json({"search_type": kind, "allow_partial_search_results": False}).encode()

    def _msearch(self, body: list[bytes], kept: str) -> list[dict[str, Any]]:
        answer = self.client.msearch(index=self.name, searches=body, filter_path=kept)  # type: ignore[arg-type]
        return list(answer["responses"])


def _batches(searches: Iterator[Search], size: int) -> Iterator[tuple[int, list[Search]]]:
    """Groups of `size` searches, each with the number of its first search."""
    held: list[Search] = []
    first = 0
    for search in searches:
        held.append(search)
        if len(held) == size:
            yield first, held
            first, held = first + size, []
    if held:
        yield first, held


def _failure(answer: dict[str, Any]) -> str | None:
    """Why an answer is unusable: an error, or a partial result; None if it is complete."""
    if "error" in answer:
        return f"{answer.get('status')} {reason(answer['error'])}"
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
        return "some shards did not answer"
    return None if answer.get("status") == 200 else f"status {answer.get('status')}"
