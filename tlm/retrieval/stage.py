"""The retrieval stage: the top-k passages of every training text, with scores (index + task → retrieval).

Queries are searched in chunks of bounded memory; a run that was killed continues after its last finished chunk. On a
cluster several jobs can each search a share of the index's blocks (`retrieve_share`), and `retrieve(shares=…)` joins
their results; the artifact is the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import (
    Manifest,
    atomic_file,
    canonical_json,
    read_manifest,
    sha256_bytes,
    staged_directory,
    write_manifest,
)
from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.config.retrieval import RetrievalSpec
from tlm.errors import TlmError
from tlm.retrieval.analyser import Texts
from tlm.retrieval.queries import QueryFailed, query_texts, training_texts
from tlm.retrieval.search import EmbeddedIndex, TopK

SCHEMA = pa.schema(
    [("query_id", pa.int64()), ("rank", pa.int32()), ("passage_id", pa.int64()), ("score", pa.float32())]
)
SHARE_SCHEMA = pa.schema([("query", pa.int64()), ("key", pa.uint64())])
_SAMPLE = 200  # sample size for measuring the loss of shortened queries


class Engine(Protocol):
    """What a retrieval backend must do."""

    passages: int

    def chunk(self, k: int) -> int:
        """How many queries to search at once."""

    def top_k(self, texts: Texts, k: int, threads: int, *, terms: int | None = None) -> TopK:
        """The best k passages of every text: score descending, passage id ascending; exact.

        With `terms`, each text is reduced to its `terms` distinct terms of highest qtf · idf.
        """

    def counts(self, texts: Texts, terms: int | None) -> dict[str, int]:
        """Counts of the queries that the engine must shorten, for the manifest."""


def open_engine(index_dir: Path, server: ElasticsearchSpec | None = None) -> Engine:
    """The engine that built the index at `index_dir`. `server`: the connection to Elasticsearch, if that built it.

    Raises TlmError if this version has no such engine.
    """
    backend = read_manifest(index_dir, "index").parameters["backend"]
    if backend == "embedded":
        return EmbeddedIndex(index_dir)
    if backend == "elasticsearch":
        from tlm.retrieval.elastic.search import ElasticIndex  # slow to import, rarely needed

        return ElasticIndex(index_dir, server)
    raise TlmError(f"{index_dir}: built by {backend!r}, which this version does not know; build it again")


@dataclass(frozen=True)
class _Job:
    """A checked retrieval: its queries, settings and inputs."""

    spec: RetrievalSpec
    inputs: dict[str, str]
    ids: np.ndarray
    full: pa.Array
    texts: pa.Array
    counts: dict[str, int]

    @property
    def key(self) -> str:
        """A digest of the job, so that chunk files of another job are not reused."""
        return sha256_bytes(canonical_json([self.spec.model_dump(), self.inputs]).encode())[:16]

    def chunks(self, size: int) -> Iterator[tuple[str, slice]]:
        """Name and queries of every chunk."""
        for number, first in enumerate(range(0, len(self.ids), size)):
            yield f"{self.key}-{number:05d}.parquet", slice(first, first + size)


def _job(engine: Engine, index_dir: Path, task_dir: Path, spec: RetrievalSpec) -> _Job:
    index = read_manifest(index_dir, "index")
    for name, value in spec.index.model_dump().items():
        if index.parameters.get(name) != value:
            built = index.parameters.get(name)
            raise TlmError(f"{index_dir}: built with {name} = {built}, {value} is configured; build it again")
    if spec.k > engine.passages:
        raise TlmError(
            f"k is {spec.k}, but the corpus has only {engine.passages} passages; choose a smaller k "
            "(the largest of the scales' k, per_task and sweeps, and of the variants')"
        )
    queries = training_texts(task_dir)
    texts, counts = query_texts(queries.texts, spec.query)
    inputs = {"index": index.digest, "task": queries.task}
    return _Job(spec, inputs, queries.ids, queries.texts, texts, counts)


def retrieve(
    index_dir: Path,
    task_dir: Path,
    destination: Path,
    spec: RetrievalSpec,
    threads: int,
    shares: Sequence[Path] = (),
    server: ElasticsearchSpec | None = None,
) -> Manifest:
    """Write `topk.parquet` (query_id, rank from 1, passage_id, score), sorted by query and rank.

    Queries are the training texts alone. `shares`: folders of all shares, whose results are joined instead of
    searching. `server`: the connection to Elasticsearch. Raises TlmError if k exceeds the corpus, the index was built
    with other settings than `spec.index`, or the shares belong to another retrieval.
    """
    engine = open_engine(index_dir, server)
    job = _job(engine, index_dir, task_dir, spec)
    if shares:
        _check_shares(shares, job)
    with staged_directory(destination, resume=True) as working:
        names: list[str] = []
        for name, part in _left(working, job, engine.chunk(spec.k), names):
            if shares:
                assert isinstance(engine, EmbeddedIndex)
                files = [share / name for share in shares]
                found = engine.gather(job.texts[part], spec.k, threads, files, terms=spec.query.terms)
            else:
                found = _searched(engine, job, part, threads)
            _write(working / name, found, job.ids[part])
        loss = (
            {} if spec.query.mode == "text" and spec.query.drop_over is None else _loss(engine, job, threads)
        )
        counts = _join([working / name for name in names], working / "topk.parquet", job)
        return write_manifest(
            working,
            "retrieval",
            counts={**counts, **job.counts, **engine.counts(job.texts, spec.query.terms), **loss},
            parameters=spec.model_dump(),
            inputs=job.inputs,
        )


def retrieve_share(
    index_dir: Path,
    task_dir: Path,
    destination: Path,
    spec: RetrievalSpec,
    threads: int,
    share: tuple[int, int],
) -> Manifest:
    """Search share i of n of the index's blocks; `retrieve(shares=…)` joins all shares."""
    engine = open_engine(index_dir)
    if not isinstance(engine, EmbeddedIndex):
        raise TlmError(f"{index_dir}: only the embedded engine shares its blocks out over jobs")
    number, of = share
    if not 0 <= number < of:
        raise TlmError(f"share {number}/{of}: shares of {of} are 0 to {of - 1}")
    job = _job(engine, index_dir, task_dir, spec)
    with staged_directory(destination, resume=True) as working:
        for name, part in _left(working, job, engine.chunk(spec.k), []):
            queries, keys = engine.share(job.texts[part], spec.k, threads, share, terms=spec.query.terms)
            with atomic_file(working / name) as temporary:
                pq.write_table(pa.table([queries, keys], schema=SHARE_SCHEMA), temporary, compression="zstd")
        return write_manifest(
            working,
            "retrieval-share",
            counts={},
            parameters={**spec.model_dump(), "share": number, "of": of, "job": job.key},
            inputs=job.inputs,
        )


def _check_shares(shares: Sequence[Path], job: _Job) -> None:
    held = [read_manifest(share, "retrieval-share").parameters for share in shares]
    for share, parameters in zip(shares, held, strict=True):
        if parameters["job"] != job.key:
            raise TlmError(f"{share}: a share of another retrieval; search it again")
    if sorted(parameters["share"] for parameters in held) != list(range(held[0]["of"])):
        raise TlmError(f"{len(shares)} shares given, {held[0]['of']} different ones are needed")


def _left(working: Path, job: _Job, size: int, names: list[str]) -> Iterator[tuple[str, slice]]:
    """The unfinished chunks. Appends the names of all chunks to `names`, and removes files of other jobs."""
    chunks = list(job.chunks(size))
    names += [name for name, _ in chunks]
    for path in working.iterdir():
        if path.name not in names:
            path.unlink()
    for name, part in chunks:
        if not (working / name).exists():
            yield name, part


def _searched(engine: Engine, job: _Job, part: slice, threads: int) -> TopK:
    try:
        return engine.top_k(job.texts[part], job.spec.k, threads, terms=job.spec.query.terms)
    except QueryFailed as error:
        raise TlmError(f"the query of row_id {job.ids[part][error.query]}: {error}") from None


def _write(path: Path, found: TopK, ids: np.ndarray) -> None:
    sizes = np.diff(found.starts)
    rank = (np.arange(len(found.passages)) - np.repeat(found.starts[:-1], sizes) + 1).astype(np.int32)
    columns = [np.repeat(ids, sizes), rank, found.passages, found.scores]
    with atomic_file(path) as temporary:
        pq.write_table(pa.table(columns, schema=SCHEMA), temporary, **_PARQUET)


# Ids and scores rarely repeat, so a dictionary would only cost time.
_PARQUET: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["query_id", "rank"]}


def _join(chunks: list[Path], destination: Path, job: _Job) -> dict[str, int]:
    """Join the chunks into one file and remove them; returns its counts."""
    per_query = np.zeros(int(job.ids.max()) + 1, np.int64)
    with atomic_file(destination) as temporary, pq.ParquetWriter(temporary, SCHEMA, **_PARQUET) as writer:
        for chunk in chunks:
            file = pq.ParquetFile(chunk)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                per_query += np.bincount(table["query_id"].to_numpy(), minlength=len(per_query))
                writer.write_table(table)
    for chunk in chunks:
        chunk.unlink()
    found = per_query[job.ids]
    return {
        "queries": len(found),
        "rows": int(found.sum()),
        "queries_with_fewer_than_k": int(np.count_nonzero(found < job.spec.k)),
        "queries_without_result": int(np.count_nonzero(found == 0)),
    }


def _loss(engine: Engine, job: _Job, threads: int) -> dict[str, Any]:
    """The share of the whole text's top k that shortened queries find, measured on a sample."""
    sample = np.unique(np.linspace(0, len(job.ids) - 1, _SAMPLE).astype(np.int64))
    full = engine.top_k(job.full.take(pa.array(sample)), job.spec.k, threads)
    short = engine.top_k(job.texts.take(pa.array(sample)), job.spec.k, threads, terms=job.spec.query.terms)
    shares = []
    for i in range(len(sample)):
        wanted = full.passages[full.starts[i] : full.starts[i + 1]]
        got = short.passages[short.starts[i] : short.starts[i + 1]]
        if len(wanted):
            shares.append(len(np.intersect1d(wanted, got)) / len(wanted))
    mean = round(float(np.mean(shares)), 4) if shares else None
    return {"overlap_with_whole_text": {"queries": len(shares), "k": job.spec.k, "mean": mean}}
