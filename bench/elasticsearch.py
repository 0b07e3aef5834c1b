"""Retrieval with Elasticsearch: the authors' way, ours, and the embedded engine, on the same passages and queries.

    python bench/elasticsearch.py --corpus 'corpus/*.jsonl.zst' --queries train.jsonl.zst --url http://127.0.0.1:9200
    python bench/elasticsearch.py … --url http://127.0.0.1:9200 --serve './bin/elasticsearch'

The names of its indexes on the server begin with `tlm-bench`; they are deleted at the end. Timed:

- single: the authors' way. Their code uses the `datasets` library, which creates an index with Elasticsearch's default
  settings that stores the texts, and sends one `search` per query: a `multi_match` for k complete hits, from a pool of
  four processes that is started afresh for every four queries.
- kept pool: the same with one pool for all queries.
- msearch: ours, from texts to ids and scores.
- embedded: the embedded engine with `norms: lucene`, from texts to ids and scores.

Rounds alternate between them, and the best round of each counts. The overlap is the mean share of the top 50 that both
msearch and embedded find. The last line is JSON, name → number.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# This file has the client's name, so its folder must come last in the search path of `import elasticsearch`.
sys.path.append(sys.path.pop(0))

import numpy as np
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk
from retrieval import quiet, read_texts, timed, write_corpus

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.config.retrieval import IndexSpec
from tlm.retrieval.elastic.client import connect
from tlm.retrieval.elastic.index import build_elastic_index
from tlm.retrieval.elastic.search import ElasticIndex
from tlm.retrieval.elastic.service import local_server
from tlm.retrieval.index import build_index
from tlm.retrieval.search import EmbeddedIndex, TopK

PREFIX = "tlm-bench"
SPEC = IndexSpec(norms="lucene")
PROCESSES = 4  # per pool, and queries per pool, as in the authors' code


class Single:
    """One query a request, from a pool of processes: the function that they run, and their client."""

    client: Elasticsearch
    index: str

    @classmethod
    def start(cls, url: str, index: str) -> None:
        """Initialise a process of the pool."""
        cls.client, cls.index = Elasticsearch(url, request_timeout=300), index

    @classmethod
    def search(cls, query_and_k: tuple[str, int]) -> tuple[list[int], list[float]]:
        """Ids and scores of one query's top k."""
        text, k = query_and_k
        query = {"multi_match": {"query": text, "fields": ["text"], "type": "cross_fields"}}
        hits = cls.client.search(index=cls.index, query=query, size=k)["hits"]["hits"]
        return [int(hit["_id"]) for hit in hits], [hit["_score"] for hit in hits]


def search_with_fresh_pools(url: str, index: str, queries: list[tuple[str, int]]) -> int:
    """The authors' loop; returns the number of answered queries."""
    context = multiprocessing.get_context("fork")
    answered = 0
    for first in range(0, len(queries), PROCESSES):
        with context.Pool(PROCESSES, Single.start, (url, index)) as pool:
            answered += len(pool.map(Single.search, queries[first : first + PROCESSES]))
    return answered


def load_as_authors(client: Elasticsearch, texts: list[str], index: str) -> None:
    """Create an index like `datasets`: its mapping, one bulk request after the other, the server's default settings."""
    mapping = {"properties": {"text": {"type": "text", "analyzer": "standard", "similarity": "BM25"}}}
    client.indices.create(index=index, settings={"number_of_shards": 1}, mappings=mapping)
    actions = ({"_id": str(number), "text": text} for number, text in enumerate(texts))
    for ok, answer in streaming_bulk(client, actions, index=index):
        if not ok:
            raise SystemExit(f"loading {index}: {answer}")
    client.indices.refresh(index=index)


def size_mb(client: Elasticsearch, index: str) -> float:
    """Megabytes of an index's segments."""
    rows = client.cat.segments(index=index, format="json", bytes="b", h="size")
    return sum(int(row["size"]) for row in rows) / 1e6


def overlap(first: TopK, second: TopK) -> float:
    """Mean over queries of the shared passages, as a share of the longer result."""
    shares = []
    for i in range(len(first.starts) - 1):
        a = first.passages[first.starts[i] : first.starts[i + 1]]
        b = second.passages[second.starts[i] : second.starts[i + 1]]
        if len(a) or len(b):
            shares.append(len(np.intersect1d(a, b)) / max(len(a), len(b)))
    return float(np.mean(shares))


def measure(
    ways: dict[str, Callable[[list[str], int], Any]], queries: list[str], k: int, rounds: int
) -> dict[str, float]:
    """Queries per second of each way: the best of alternating rounds, after one round to warm up."""
    best = dict.fromkeys(ways, 0.0)
    for round_ in range(rounds + 1):
        for name, search in ways.items():
            seconds, _ = timed(lambda s=search: s(queries, k))
            if round_:
                best[name] = max(best[name], len(queries) / seconds)
    return best


def run(args: argparse.Namespace, spec: ElasticsearchSpec, scratch: Path) -> dict[str, float]:
    """Load, search, compare; name → number."""
    texts = list(read_texts(args.corpus))[: args.passages]
    queries = list(read_texts(args.queries))
    queries = queries[:: max(len(queries) // args.sample, 1)][: args.sample]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} passages, {megabytes:.0f} MB; {len(queries)} queries", flush=True)
    numbers: dict[str, float] = {
        "passages": len(texts),
        "queries": len(queries),
        "cores": os.cpu_count() or 1,
    }
    client = connect(spec)
    corpus = write_corpus(texts, scratch / "corpus")
    theirs = f"{PREFIX}-authors"
    with contextlib.ExitStack() as last:
        last.callback(clear, client)
        clear(client)
        seconds, manifest = timed(lambda: build_elastic_index(corpus, scratch / "index", SPEC, spec))
        ours = str(manifest.parameters["index"])
        numbers["load_passages_s"] = round(len(texts) / seconds)
        numbers["bytes_per_passage"] = round(size_mb(client, ours) * 1e6 / len(texts), 1)
        seconds, _ = timed(lambda: load_as_authors(client, texts, theirs))
        numbers["authors_load_passages_s"] = round(len(texts) / seconds)
        numbers["authors_bytes_per_passage"] = round(size_mb(client, theirs) * 1e6 / len(texts), 1)
        seconds, _ = timed(lambda: build_index(corpus, scratch / "embedded", SPEC, args.threads))
        numbers["embedded_build_passages_s"] = round(len(texts) / seconds)
        elastic, embedded = ElasticIndex(scratch / "index", spec), EmbeddedIndex(scratch / "embedded")
        # An empty process forks the fresh pools: forking this large process would cost more.
        lean = last.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
        kept = last.enter_context(
            multiprocessing.get_context("spawn").Pool(PROCESSES, Single.start, (spec.url, theirs))
        )
        ways: dict[str, Callable[[list[str], int], Any]] = {
            "single": lambda texts, k: lean.submit(
                search_with_fresh_pools, spec.url, theirs, [(text, k) for text in texts]
            ).result(),
            "kept pool": lambda texts, k: kept.map(Single.search, [(text, k) for text in texts], chunksize=1),
            "msearch": lambda texts, k: elastic.top_k(texts, k, 1),
            "embedded": lambda texts, k: embedded.top_k(texts, k, args.threads),
        }
        for k in args.k:
            some = queries[: max(len(queries) * 50 // max(k, 50), 30)] if k > 500 else queries
            rates = measure(ways, some, k, args.rounds)
            for name, rate in rates.items():
                print(f"k = {k}: {name}: {rate:.1f} queries/s", flush=True)
            numbers[f"msearch_queries_s_k{k}"] = round(rates["msearch"], 1)
            numbers[f"msearch_vs_single_k{k}"] = round(rates["msearch"] / rates["single"], 2)
            numbers[f"msearch_vs_kept_pool_k{k}"] = round(rates["msearch"] / rates["kept pool"], 2)
            numbers[f"embedded_vs_msearch_k{k}"] = round(rates["embedded"] / rates["msearch"], 2)
        with quiet():
            both = [elastic.top_k(queries, 50, 1), embedded.top_k(queries, 50, args.threads)]
        # The authors' script retrieves 50 passages per query.
        numbers["msearch_vs_single"] = numbers[f"msearch_vs_single_k{args.k[0]}"]
        numbers["overlap50"] = round(overlap(*both), 4)
    return numbers


def clear(client: Elasticsearch) -> None:
    """Delete the indexes of this benchmark."""
    names = [each["index"] for each in client.cat.indices(index=f"{PREFIX}-*", format="json")]
    for name in names:
        client.indices.delete(index=name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", required=True, help="files with a field `text` (glob)")
    parser.add_argument("--queries", required=True, help="files with the queries, likewise")
    parser.add_argument(
        "--url", default="http://127.0.0.1:9200", help="address of the server, which must need no password"
    )
    parser.add_argument("--serve", help="command that starts a server at that address for this run")
    parser.add_argument("--passages", type=int, help="most passages to read")
    parser.add_argument("--sample", type=int, default=300, help="queries; fewer above k = 500")
    parser.add_argument("--k", type=int, nargs="+", default=[50, 500, 5000], help="passages a query")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the embedded engine")
    args = parser.parse_args()
    spec = ElasticsearchSpec(url=args.url, prefix=PREFIX)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as server:
        if args.serve:
            server.enter_context(local_server(args.serve, spec))
        numbers = run(args, spec, Path(scratch))
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
