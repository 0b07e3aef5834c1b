"""The retrieval stage: the top-k passages of every training text, with scores (index + task → retrieval)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import RetrievalSpec
from tlm.errors import TlmError
from tlm.retrieval.queries import training_texts
from tlm.retrieval.search import EmbeddedIndex, TopK

SCHEMA = pa.schema(
    [("query_id", pa.int64()), ("rank", pa.int32()), ("passage_id", pa.int64()), ("score", pa.float32())]
)


class Engine(Protocol):
    """What a retrieval backend must do."""

    passages: int

    def top_k(self, texts: pa.Array, k: int, threads: int) -> TopK:
        """The best k passages of every text: score descending, passage id ascending; exact."""


def open_engine(index_dir: Path) -> Engine:
    """The engine that built the index at `index_dir`. Raises TlmError if this version has no such engine."""
    backend = read_manifest(index_dir, "index").parameters["backend"]
    if backend == "embedded":
        return EmbeddedIndex(index_dir)
    raise TlmError(f"{index_dir}: built by {backend!r}, which this version does not know; build it again")


def retrieve(
    index_dir: Path, task_dir: Path, destination: Path, spec: RetrievalSpec, threads: int
) -> Manifest:
    """Write `topk.parquet` (query_id, rank from 1, passage_id, score), sorted by query and rank.

    Queries are the training texts alone. Raises TlmError if k exceeds the corpus or the index was built with
    other settings than `spec.index`.
    """
    index = read_manifest(index_dir, "index")
    for name, value in spec.index.model_dump().items():
        if index.parameters.get(name) != value:
            built = index.parameters.get(name)
            raise TlmError(f"{index_dir}: built with {name} = {built}, {value} is configured; build it again")
    engine = open_engine(index_dir)
    if spec.k > engine.passages:
        raise TlmError(
            f"k is {spec.k}, but the corpus has only {engine.passages} passages; choose a smaller k"
        )
    queries = training_texts(task_dir)
    found = engine.top_k(queries.texts, spec.k, threads)
    sizes = np.diff(found.starts)
    with staged_directory(destination) as working:
        table = pa.table(
            [
                np.repeat(queries.ids, sizes),
                (np.arange(len(found.passages)) - np.repeat(found.starts[:-1], sizes) + 1).astype(np.int32),
                found.passages,
                found.scores,
            ],
            schema=SCHEMA,
        )
        pq.write_table(table, working / "topk.parquet", compression="zstd")
        return write_manifest(
            working,
            "retrieval",
            counts={
                "queries": len(sizes),
                "rows": table.num_rows,
                "queries_with_fewer_than_k": int(np.count_nonzero(sizes < spec.k)),
                "queries_without_result": int(np.count_nonzero(sizes == 0)),
            },
            parameters=spec.model_dump(),
            inputs={"index": index.digest, "task": queries.task},
        )
