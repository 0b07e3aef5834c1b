"""Load a corpus into an Elasticsearch index (corpus → index, for the backend `elasticsearch`).

The name of the index contains the digests of the corpus and of the mapping. A passage's ordinal is its `_id` and a
doc-value. Passages are only created, never overwritten: so loading again after a killed run, or two loaders at once,
completes the index without duplicates, and leaves no deleted documents that would count in the statistics of BM25. The
mapping's `_meta` records that an index is finished.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
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
from tlm.retrieval.elastic.client import connect, patiently, server_version
from tlm.retrieval.elastic.load import RANGE, load_missing
from tlm.retrieval.index import Parts, corpus_parts

ROUNDS = 3  # rounds of sending missing passages; a second is needed only if the server lost confirmed ones
_WINDOW = 10_000  # Elasticsearch's default of max_result_window


@dataclass(frozen=True)
class Target:
    """The index to build on the server."""

    name: str
    body: Mapping[str, Any]  # settings and mapping to create it with
    meta: Mapping[str, Any]  # its mapping's `_meta` without `complete`
    passages: int


def build_elastic_index(
    corpus_dir: Path, destination: Path, spec: IndexSpec, server: ElasticsearchSpec
) -> Manifest:
    """Load the corpus artifact at `corpus_dir` into an index, and write the artifact that names it.

    A finished index is reused, a half-loaded one completed. Raises TlmError if Elasticsearch does not support `spec`,
    the corpus is empty or its ids are not dense, the server refuses a request, or an index of that name has other
    contents.
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
            _settle(client, target, server)
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
                "server": server_version(client, server),
                **spec.model_dump(),
            },
            inputs={"corpus": corpus.digest},
        )


def _target(corpus: str, passages: int, spec: IndexSpec, server: ElasticsearchSpec) -> Target:
    stop_words: str | list[str] = "_none_"
    if spec.stop_words == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # slow to import, rarely needed

        stop_words = sorted(ENGLISH_STOP_WORDS)  # so that both engines remove the same stop words
    fixed = {
        "number_of_shards": server.shards,
        "similarity": {"tlm": {"type": "BM25", "k1": spec.k1, "b": spec.b}},
        "analysis": {"analyzer": {"tlm": {"type": "standard", "stopwords": stop_words}}},
    }
    mappings = {
        "dynamic": "strict",
        "_source": {"enabled": False},  # the corpus has the texts; a search returns ids and scores
        "properties": {
            # No positions: no query reads them.
            "text": {"type": "text", "analyzer": "tlm", "similarity": "tlm", "index_options": "freqs"},
            "passage": {"type": "long", "index": False},
        },
    }
    mapping = sha256_bytes(canonical_json([fixed, mappings]).encode())
    meta = {"corpus": corpus, "mapping": mapping, "passages": passages}
    loading = {
        "number_of_replicas": 0,
        "refresh_interval": "-1",
        "max_result_window": max(passages, _WINDOW),  # any K is one page
    }
    body = {"settings": {**fixed, **loading}, "mappings": {**mappings, "_meta": _marked(meta, False)}}
    return Target(f"{server.prefix}-{corpus[:16]}-{mapping[:8]}", body, meta, passages)


def _marked(meta: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    """`_meta` of an index that is finished (`complete`) or not."""
    return {"tlm": {**meta, "complete": complete}}


def held_meta(client: Elasticsearch, name: str, server: ElasticsearchSpec) -> dict[str, Any] | None:
    """`_meta` of an index; None if the index does not exist, empty if this pipeline did not create it."""
    found = patiently(
        f"looking for index {name}",
        server,
        lambda: client.options(ignore_status=404).indices.get_mapping(index=name),
    )
    if found.meta.status == 404:
        return None
    return dict(found.body.get(name, {}).get("mappings", {}).get("_meta", {}).get("tlm", {}))


def _find_or_create(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> bool:
    """Whether the index is finished. Creates the index if it does not exist."""
    held = held_meta(client, target.name, server)
    if held is None:
        _create(client, target, server)
        held = held_meta(client, target.name, server)
    return _checked(target, held)


def _checked(target: Target, held: dict[str, Any] | None) -> bool:
    """Whether the index is marked as finished. Raises TlmError if its `_meta` differs from that of `target`."""
    if held is None or {**held, "complete": None} != {**target.meta, "complete": None}:
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
            ):  # created by another loader, or by an earlier try
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
            f"index {target.name}: no node accepts its {server.shards} shards; is a disk above its watermark?"
            " GET /_cluster/allocation/explain names the cause"
        )


def _present(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> int:
    """Number of passages in the index."""
    patiently(f"refreshing {target.name}", server, lambda: client.indices.refresh(index=target.name))
    found = patiently(f"counting {target.name}", server, lambda: client.count(index=target.name))
    return int(found["count"])


def _missing(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> tuple[list[bool], int]:
    """For each range of RANGE passages, whether some are missing; and the number of passages in complete ranges."""
    ranges = -(-target.passages // RANGE)
    by_range = {"field": "passage", "interval": RANGE, "min_doc_count": 1}
    found = patiently(
        f"listing the passages of {target.name}",
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
    """Send the missing passages, check their number, and apply the settings of a finished index."""
    _set(client, target, {"refresh_interval": "-1", "number_of_replicas": 0}, server)
    for _ in range(ROUNDS):
        present = _present(client, target, server)
        if present == target.passages:
            break
        missing, there = _missing(client, target, server)
        if any(missing):
            load_missing(client, target.name, target.passages, parts, missing, there, server)
    present = _present(client, target, server)
    if present != target.passages:
        raise TlmError(
            f"index {target.name} holds {present:,} passages, the corpus {target.passages:,}; delete it"
            f" (DELETE /{target.name}) and build it again"
        )
    # If the index was deleted meanwhile, the server has created it again without the mapping.
    _checked(target, held_meta(client, target.name, server))
    if server.merge:
        _merge(client, target, server)
    _settle(client, target, server)
    patiently(
        f"marking {target.name} as complete",
        server,
        lambda: client.indices.put_mapping(index=target.name, meta=_marked(target.meta, True)),
    )


def _settle(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> None:
    """Apply the settings of a finished index."""
    _set(client, target, {"refresh_interval": None, "number_of_replicas": server.replicas}, server)


def _set(client: Elasticsearch, target: Target, settings: dict[str, Any], server: ElasticsearchSpec) -> None:
    patiently(
        f"settings of {target.name}",
        server,
        lambda: client.indices.put_settings(index=target.name, settings={"index": settings}),
    )


def _merge(client: Elasticsearch, target: Target, server: ElasticsearchSpec) -> None:
    """Merge each shard into one segment, which searches faster. Polls, since merging may outlast any time-out."""
    action = f"merging {target.name}"
    print(f"{action} into one segment a shard", file=sys.stderr, flush=True)
    task = patiently(
        action,
        server,
        lambda: client.indices.forcemerge(index=target.name, max_num_segments=1, wait_for_completion=False),
    )["task"]
    pause = 0.1
    while True:
        state = patiently(action, server, lambda: _task(client, task))
        if state.meta.status == 404 or state["completed"]:  # a restarted server has forgotten the task
            return
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def _task(client: Elasticsearch, task: str) -> ObjectApiResponse[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client warns that this API is a preview
        return client.options(ignore_status=404).tasks.get(task_id=task)
