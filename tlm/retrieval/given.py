"""Given selections: external data that were selected elsewhere, read from files of a source.

Place in the flow: source → here → tokens, in place of a corpus, an index and a retrieval. The paper's authors released
their selections as such files (`selections:` of config/corpora.yaml); any file with a column of text will do. The
artifact is that of `tlm.retrieval.selection`: a passage that occurs in several rows is kept once, with its best rank.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import GivenSelector
from tlm.errors import TlmError
from tlm.formats.files import find
from tlm.formats.registry import format_of, read_chunks
from tlm.formats.tables import ABSENT, TableOptions, as_text
from tlm.retrieval.queries import training_texts
from tlm.retrieval.selectors import SCHEMA, ExcludedPassages, word_counts
from tlm.text import clean

_ROWS = 8192  # rows read at a time
_UNRANKED = np.iinfo(np.int32).max


def build_given(spec: GivenSelector, source_dir: Path, task_dir: Path, destination: Path) -> Manifest:
    """Write the selection that the files of `source_dir` hold.

    Raises TlmError naming file and row: a column that does not exist, a rank, score or query of the wrong form; and if
    no row holds a text.
    """
    queries = Queries(task_dir)
    rows = Rows.of(spec, source_dir, queries)
    kept = rows.merged()
    size = words = 0
    with staged_directory(destination) as working:
        with pq.ParquetWriter(working / "passages.parquet", SCHEMA, compression="zstd") as writer:
            for batch in _batches(spec, source_dir, kept):
                writer.write_batch(batch)
                size += pc.sum(pc.binary_length(batch.column("text"))).as_py()
                words += int(word_counts(batch.column("text")).sum())
        return write_manifest(
            working,
            "selection",
            counts={
                "passages": len(kept.first),
                "bytes": size,
                "words": words,
                "rows": len(rows.digests),
                "rows_without_text": rows.empty,
                "queries_not_found": queries.not_found,
            },
            parameters=spec.model_dump(),
            inputs={"source": read_manifest(source_dir, "source").digest, "task": queries.task},
        )


def without_contaminated(whole_dir: Path, excluded: ExcludedPassages, destination: Path) -> Manifest:
    """Write the given selection in `whole_dir` without the passages that its audits found.

    Raises TlmError if none is left.
    """
    whole = read_manifest(whole_dir, "selection")
    passages = size = words = 0
    with staged_directory(destination) as working:
        with pq.ParquetWriter(working / "passages.parquet", SCHEMA, compression="zstd") as writer:
            for batch in pq.ParquetFile(whole_dir / "passages.parquet").iter_batches(_ROWS):
                left = batch.filter(pa.array(excluded.allowed(batch.column("passage_id").to_numpy())))
                writer.write_batch(left)
                passages += len(left)
                size += pc.sum(pc.binary_length(left.column("text"))).as_py() or 0
                words += int(word_counts(left.column("text")).sum())
        if not passages:
            raise TlmError(f"{whole_dir}: every passage shares text with dev or test; nothing is left")
        return write_manifest(
            working,
            "selection",
            counts={"passages": passages, "bytes": size, "words": words},
            parameters={**whole.parameters, "exclude": "contaminated"},
            inputs={
                "whole": whole.digest,
                **{f"audit/{task}": digest for task, digest in excluded.audits.items()},
            },
        )


class Queries:
    """The task's training rows, to check and find the queries that a file names."""

    def __init__(self, task_dir: Path) -> None:
        found = training_texts(task_dir)
        self.task = found.task
        self.ids = set(found.ids.tolist())
        self.not_found = 0
        self._by_text = dict(zip(map(clean, found.texts.to_pylist()), found.ids.tolist(), strict=True))

    def id_of(self, value: Any, where: str, column: str) -> int:
        """The row id of a query, which is a row id or a training text; -1 for no query, and for another text.

        Raises TlmError for a number that is no training row's id.
        """
        text = as_text(value, where, column)
        if text is None:
            return -1
        try:
            number = int(text)
        except ValueError:
            found = self._by_text.get(clean(text), -1)
            self.not_found += found < 0
            return found
        if number not in self.ids:
            raise TlmError(
                f"{where}: column {column!r}: {number} is the row_id of no training row of the task; give row_ids of"
                " its train.parquet, or the training texts themselves"
            )
        return number


@dataclass(frozen=True)
class Kept:
    """The distinct passages, in the order of their first rows: that row, best rank, its score and query, and number of
    queries."""

    first: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    query_id: np.ndarray
    queries: np.ndarray


@dataclass(frozen=True)
class Rows:
    """One value for each row with a text: digest of the passage, rank (0 for none), score and query."""

    digests: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    query_id: np.ndarray
    ranked: bool
    empty: int

    @classmethod
    def of(cls, spec: GivenSelector, source_dir: Path, queries: Queries) -> Rows:
        """Read all files, without keeping their texts."""
        digests, rank, score, query = array("Q"), array("i"), array("f"), array("q")
        left_out: Counter[str] = Counter()
        ranked = False
        for where, text, values in _rows(spec, source_dir):
            if not text:
                left_out["empty"] += 1
                continue
            named = {name: value for name, value in values.items() if value is not ABSENT}
            ranked = ranked or bool(named)
            digests.append(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))
            rank.append(_rank(named.get("rank"), where, spec))
            score.append(_score(named.get("score"), where, spec))
            query.append(queries.id_of(named.get("query"), where, spec.query or "query"))
        if not digests:
            raise TlmError(f"{source_dir}: no row of {spec.files!r} holds a text")
        return cls(
            digests=np.array(digests),
            rank=np.array(rank),
            score=np.array(score),
            query_id=np.array(query),
            ranked=ranked,
            empty=left_out["empty"],
        )

    def merged(self) -> Kept:
        """Each passage once: the row of the best rank counts, the lowest query of equals."""
        _, first, inverse, counts = np.unique(
            self.digests, return_index=True, return_inverse=True, return_counts=True
        )
        rank = np.where(self.rank > 0, self.rank, _UNRANKED)
        order = np.lexsort((self.query_id, rank, inverse))
        best = order[np.concatenate(([0], np.cumsum(counts)[:-1]))]
        in_order = np.argsort(first)
        best = best[in_order]
        return Kept(
            first=first[in_order],
            rank=self.rank[best],
            score=self.score[best],
            query_id=self.query_id[best],
            queries=counts[in_order] if self.ranked else np.zeros(len(best), np.int64),
        )


def _rows(spec: GivenSelector, source_dir: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Place, clean text ("" for none), and rank, score and query (ABSENT where the file has no such column)."""
    declared = {"rank": spec.rank, "score": spec.score, "query": spec.query}
    required = tuple(dict.fromkeys([spec.text, *(name for name in declared.values() if name)]))
    options = TableOptions(kind=spec.kind, encodings=tuple(spec.encodings), required=required)
    for file in find(source_dir, spec.files):
        format_of(file, spec.kind, columns=True)
        for chunk in read_chunks(file, options, _ROWS):
            texts = chunk.values(spec.text)
            others = [chunk.values(name or default) for default, name in declared.items()]
            for number, text, *values in zip(chunk.numbers, texts, *others, strict=True):
                where = f"{file}: row {number}"
                yield (
                    where,
                    clean(as_text(text, where, spec.text) or ""),
                    dict(zip(declared, values, strict=True)),
                )


def _batches(spec: GivenSelector, source_dir: Path, kept: Kept) -> Iterator[pa.RecordBatch]:
    """The kept passages with dense ids, read from the files a second time."""
    texts: list[str] = []
    done = 0
    filled = (text for _, text, _ in _rows(spec, source_dir) if text)
    for number, text in enumerate(filled):
        if done + len(texts) < len(kept.first) and number == kept.first[done + len(texts)]:
            texts.append(text)
        if len(texts) == _ROWS:
            yield _batch(spec, kept, done, texts)
            done += len(texts)
            texts = []
    if texts:
        yield _batch(spec, kept, done, texts)


def _batch(spec: GivenSelector, kept: Kept, start: int, texts: Sequence[str]) -> pa.RecordBatch:
    part = slice(start, start + len(texts))
    columns = [
        range(part.start, part.stop),
        texts,
        [spec.name] * len(texts),
        kept.rank[part],
        kept.score[part],
        kept.query_id[part],
        kept.queries[part],
    ]
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _rank(value: Any, where: str, spec: GivenSelector) -> int:
    """The rank from 1; 0 for none."""
    column = spec.rank or "rank"
    text = as_text(value, where, column)
    if text is None:
        return 0
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not number.is_integer() or number < spec.first_rank:
        raise TlmError(
            f"{where}: column {column!r}: {text!r} is no rank; ranks are whole numbers from {spec.first_rank}"
            " (`first_rank:`)"
        )
    return int(number) + 1 - spec.first_rank


def _score(value: Any, where: str, spec: GivenSelector) -> float:
    column = spec.score or "score"
    text = as_text(value, where, column)
    try:
        return float(text) if text is not None else 0.0
    except ValueError:
        raise TlmError(f"{where}: column {column!r}: {text!r} is not a number") from None
