"""Load a corpus into an Elasticsearch index (corpus → index, for the backend `elasticsearch`).

The index is named by what it holds and how: the corpus's digest and that of the mapping. A passage's ordinal is
its `_id` and a doc-value, and passages are only ever created, never overwritten; so that loading again, from a
killed run or by two loaders at once, completes the index and doubles nothing, and no deleted document is left
that would count in the statistics of BM25. A finished index says so in its mapping's `_meta`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from elastic_transport import ObjectApiResponse
from elasticsearch import BadRequestError, Elasticsearch

from tlm.artifacts import (
    Manifest,
    canonical_json,
    read_manifest,
    sha256_bytes,
    staged_directory,
    write_manifest,
)
from tlm.config.elasticsearch import ElasticsearchSpec, check_supported
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.elastic import client as server_client
from tlm.retrieval.elastic.client import TRANSIENT, blocked, connect, is_blocked, patiently, reason
from tlm.retrieval.index import Parts, block_texts, corpus_parts

RANGE = 16_384  # passages: what is missing of an index is found, and sent again, in ranges of so many
ROUNDS = 3  # of sending what is missing: the second only has work if the server lost what it had confirmed
_WINDOW = 10_000  # Elasticsearch's default of max_result_window


@dataclass(frozen=True)
class Target:
    """The index that is wanted on the server."""

    name: str
    body: Mapping[str, Any]  # settings and mapping to create it with
    meta: Mapping[str, Any]  # its mapping's `_meta`, but for `complete`
    passages: int

    def marked(self, complete: bool) -> dict[str, Any]:
        """`_meta` of the index."""
        return {"tlm": {**self.meta, "complete": complete}}


def build_elastic_index(
    corpus_dir: Path, destination: Path, spec: IndexSpec, server: ElasticsearchSpec
) -> Manifest:
    """Bring the corpus artifact at `corpus_dir` into an index, and write the artifact that names it.

    A finished index is taken as it is, a half-loaded one completed. Raises TlmError if Elasticsearch cannot do
    what `spec` asks, the corpus is empty or its ids are not dense, the server refuses, or an index of the name
    holds something else.
    """
    try:
        check_supported(spec)
    except ValueError as error:
        raise TlmError(str(error)) from None
    corpus = read_manifest(corpus_dir, "corpus")
    parts = corpus_parts(corpus_dir, corpus)
    passages = sum(rows for _, _, rows in parts)
    if not passages:
        raise TlmError(f"{corpus_dir}: the corpus holds no passages; there is nothing to index")
    target = _target(corpus.digest, passages, spec, server)
    client = connect(server)
    with staged_directory(destination) as working:
        complete = _find_or_create(client, target, server)
        if complete and _present(client, target, server) == passages:
            print(f"index {target.name}: complete on the server, {passages:,} passages", flush=True)
        else:
            _complete(client, target, parts, server)
        return write_manifest(
            working,
            "index",
            counts={"passages": passages},
            parameters={
                "backend": "elasticsearch",
                "index": target.name,
                "shards": server.shards,
                "server": server_client.server_version(client, server),
                **spec.model_dump(),
            },
            inputs={"corpus": corpus.digest},
        )


def _target(corpus: str, passages: int, spec: IndexSpec, server: ElasticsearchSpec) -> Target:
    stop_words: str | list[str] = "_none_"
    if spec.stop_words == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # loaded only where it is wanted

        stop_words = sorted(ENGLISH_STOP_WORDS)  # ours, so that both engines leave out the same words
    fixed = {
        "number_of_shards": server.shards,
        "similarity": {"tlm": {"type": "BM25", "k1": spec.k1, "b": spec.b}},
        "analysis": {"analyzer": {"tlm": {"type": "standard", "stopwords": stop_words}}},
    }
    mappings = {
        "dynamic": "strict",
        "_source": {"enabled": False},  # the corpus keeps the texts; a search needs ids and scores
        "properties": {
            # Without positions, which no query of ours reads.
            "text": {"type": "text", "analyzer": "tlm", "similarity": "tlm", "index_options": "freqs"},
            "passage": {"type": "long", "index": False},
        },
    }
    mapping = sha256_bytes(canonical_json([fixed, mappings]).encode())
    meta = {"corpus": corpus, "mapping": mapping, "passages": passages}
    target = Target(f"{server.prefix}-{corpus[:16]}-{mapping[:8]}", {}, meta, passages)
    loading = {
        "number_of_replicas": 0,
        "refresh_interval": "-1",
        "max_result_window": max(passages, _WINDOW),  # any K is one page
    }
    body = {"settings": {**fixed, **loading}, "mappings": {**mappings, "_meta": target.marked(False)}}
    return Target(target.name, body, meta, passages)


def held_meta(client: Elasticsearch, name: str, server: ElasticsearchSpec) -> dict[str, Any] | None:
    """What an index says of itself; None if there is none, empty if it is not one of ours."""
    found = patiently(
        f"looking for index {name}",
        server,
        lambda: client.options(ignore_status=404).indices.get_mapping(index=name),
    )
    if found.meta.status == 404:
        return None
    return dict(found.body.get(name, {}).get("mappings", {}).get("_meta", {}).get("tlm", {}))


def _find_or_create(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> bool:
    """Whether the index is there and finished; one that is not there is created."""
    held = held_meta(client, target.name, server)
    if held is None:
        _create(client, target, server)
        held = held_meta(client, target.name, server) or {}
    if {**held, "complete": None} != {**target.meta, "complete": None}:
        raise TlmError(
            f"index {target.name} on the server is not that of this corpus and these settings; delete it there"
            f" (DELETE /{target.name}) or set another retrieval.elasticsearch.prefix"
        )
    return bool(held["complete"])


def _create(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> None:
    def create() -> None:
        try:
            client.indices.create(index=target.name, **target.body)
        except BadRequestError as error:
            if (
                error.error != "resource_already_exists_exception"
            ):  # another loader was faster, or this try's last
                raise

    patiently(f"creating index {target.name}", server, create)
    health = patiently(
        f"waiting for index {target.name}",
        server,
        lambda: client.options(ignore_status=408).cluster.health(
            index=target.name, wait_for_status="yellow", timeout="60s"
        ),
    )
    if health["timed_out"]:
        raise TlmError(
            f"index {target.name}: no node takes its {server.shards} shards; is a disk above its watermark?"
            " GET /_cluster/allocation/explain says why"
        )


def _present(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> int:
    """Passages that the index holds."""
    patiently(f"refreshing {target.name}", server, lambda: client.indices.refresh(index=target.name))
    found = patiently(f"counting {target.name}", server, lambda: client.count(index=target.name))
    return int(found["count"])


def _missing(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> tuple[list[bool], int]:
    """Which ranges of RANGE passages the index does not hold in full, and how many passages the others have."""
    ranges = -(-target.passages // RANGE)
    by_range = {"field": "passage", "interval": RANGE, "min_doc_count": 1}
    found = patiently(
        f"looking for what {target.name} holds",
        server,
        lambda: client.search(
            index=target.name,
            size=0,
            aggs={"ranges": {"histogram": by_range}},
            allow_partial_search_results=False,
        ),
    )
    missing = [True] * ranges
    there = 0
    for bucket in found["aggregations"]["ranges"]["buckets"]:
        number = int(bucket["key"]) // RANGE
        if bucket["doc_count"] == min(RANGE, target.passages - number * RANGE):
            missing[number] = False
            there += bucket["doc_count"]
    return missing, there


def _complete(client: Elasticsearch, target: Target, parts: Parts, server: ElasticsearchSpec) -> None:
    """Send what is missing, check the count, and give the index the settings of its life."""
    settings = {"refresh_interval": "-1", "number_of_replicas": 0}
    _set(client, target, settings, server)
    for _ in range(ROUNDS):
        present = _present(client, target, server)
        if present == target.passages:
            break
        missing, there = _missing(client, target, server)
        if any(missing):
            _load(client, target, parts, missing, there, server)
    present = _present(client, target, server)
    if present != target.passages:
        raise TlmError(
            f"index {target.name} holds {present:,} passages, the corpus {target.passages:,}; delete it"
            f" (DELETE /{target.name}) and build it again"
        )
    if server.merge:
        _merge(client, target, server)
    _set(client, target, {"refresh_interval": None, "number_of_replicas": server.replicas}, server)
    patiently(
        f"marking {target.name} as complete",
        server,
        lambda: client.indices.put_mapping(index=target.name, meta=target.marked(True)),
    )


def _set(client: Elasticsearch, target: Target, settings: dict[str, Any], server: ElasticsearchSpec) -> None:
    patiently(
        f"settings of {target.name}",
        server,
        lambda: client.indices.put_settings(index=target.name, settings={"index": settings}),
    )


def _load(
    client: Elasticsearch,
    target: Target,
    parts: Parts,
    missing: list[bool],
    there: int,
    server: ElasticsearchSpec,
) -> None:
    """Send the passages of the missing ranges, in requests of `bulk_bytes`, `bulk_threads` at a time."""
    progress = Progress(f"load {target.name}", target.passages, "passages")
    progress.skip(there)
    with ThreadPoolExecutor(server.bulk_threads) as pool:
        waiting: set[Future[int]] = set()
        try:
            for chunk in _chunks(parts, missing, server.bulk_bytes):
                waiting.add(pool.submit(_send, client, target.name, chunk, server))
                while len(waiting) > server.bulk_threads:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    progress.add(sum(future.result() for future in done))
            progress.add(sum(future.result() for future in waiting))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.finish()


def _chunks(parts: Parts, missing: list[bool], size: int) -> Iterator[list[bytes]]:
    """Requests of at most `size` bytes (one passage may be longer): two lines a passage, what to do and the text."""
    lines: list[bytes] = []
    held = 0
    for number, texts in block_texts(parts, missing, RANGE):
        for ordinal, text in enumerate(texts.to_pylist(), number * RANGE):
            action = b'{"create":{"_id":"%d"}}' % ordinal
            source = f'{{"passage":{ordinal},"text":{json.dumps(text, ensure_ascii=False)}}}'.encode()
            if lines and held + len(action) + len(source) + 2 > size:
                yield lines
                lines, held = [], 0
            lines += [action, source]
            held += len(action) + len(source) + 2
    if lines:
        yield lines


def _send(client: Elasticsearch, name: str, lines: list[bytes], server: ElasticsearchSpec) -> int:
    """Create the passages of one request, those that the server refuses for load again; how many there were.

    One that is there already (409) was created by an earlier run, or by a request whose answer was lost.
    """
    what = f"loading {name}"
    left = lines
    for attempt in count(1):
        answer = patiently(what, server, lambda: _bulk(client, name, left))  # noqa: B023
        refused: list[bytes] = []
        trouble = ""
        items = answer["items"]
        for place, item in enumerate(items):
            status, error = item["create"]["status"], item["create"].get("error", {})
            if status in (200, 201, 409):
                continue
            if is_blocked(error):
                raise TlmError(blocked(what, error))
            if status not in TRANSIENT:
                raise TlmError(f"{what}: passage {left[2 * place].decode()} is refused ({reason(error)})")
            refused += left[2 * place : 2 * place + 2]
            trouble = f"{status} {reason(error)}"
        if not refused:
            return len(lines) // 2
        server_client.wait(what, server, attempt, trouble)
        left = refused
    raise AssertionError


def _bulk(client: Elasticsearch, name: str, lines: list[bytes]) -> Mapping[str, Any]:
    kept = "items.create.status,items.create.error"
    return client.bulk(index=name, operations=lines, filter_path=kept).body  # type: ignore[arg-type]


def _merge(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> None:
    """One segment a shard: fewer places to look. It may take longer than any time-out: the server is polled."""
    what = f"merging {target.name}"
    print(f"{what} into one segment a shard", file=sys.stderr, flush=True)
    task = patiently(
        what,
        server,
        lambda: client.indices.forcemerge(index=target.name, max_num_segments=1, wait_for_completion=False),
    )["task"]
    pause = 0.1
    while True:
        state = patiently(what, server, lambda: _task(client, task))
        if state.meta.status == 404 or state["completed"]:  # a server that was restarted knows it no more
            return
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def _task(client: Elasticsearch, task: str) -> ObjectApiResponse[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that this part of the server's interface is a preview
        return client.options(ignore_status=404).tasks.get(task_id=task)
