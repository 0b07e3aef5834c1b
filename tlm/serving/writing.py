"""Scored rows to a file: CSV, TSV, JSON Lines or Parquet by its name, all columns of the input and ours behind them.

Place in the flow: predict → a user's file. Rows are written as they come. A Parquet file that becomes another keeps its
types; a CSV's columns are texts and stay so; those of JSON Lines become Parquet columns by their first rows.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tlm.errors import TlmError
from tlm.serving.reading import ABSENT, Chunk, kind_of

Added = Mapping[str, pa.Array]
Write = Callable[[Chunk, Added], None]
"""Writes the rows of a chunk, and columns that it did not have behind its own."""


@contextmanager
def writing(path: Path, name: Path, source: Path) -> Iterator[Write]:
    """A writer to `path` in the format that `name`, the final one, tells; `source` is for messages.

    Raises TlmError for an unknown format, and for rows that do not fit what was written before.
    """
    kind = kind_of(name)
    if kind == "text":
        raise TlmError(f"{name}: scores are written as .csv, .tsv, .jsonl or .parquet")
    with ExitStack() as stack:
        if kind == "parquet":
            yield _parquet(stack, path, source)
            return
        stream = stack.enter_context(_text(path, name.suffix.lower()))
        yield _jsonl(stream) if kind == "jsonl" else _csv(stream, "\t" if kind == "tsv" else ",", source)


@contextmanager
def _text(path: Path, suffix: str) -> Iterator[IO[str]]:
    """A text file, compressed as `suffix` says; the same text gives the same bytes."""
    with ExitStack() as stack:
        raw: Any = stack.enter_context(path.open("wb"))
        if suffix == ".gz":  # no name and no time in its header
            raw = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
        elif suffix == ".bz2":
            raw = stack.enter_context(bz2.BZ2File(raw, "wb"))
        elif suffix == ".xz":
            raw = stack.enter_context(lzma.LZMAFile(raw, "wb"))
        elif suffix == ".zst":
            raw = stack.enter_context(zstandard.ZstdCompressor().stream_writer(raw, closefd=False))
        yield stack.enter_context(io.TextIOWrapper(cast("IO[bytes]", raw), encoding="utf-8", newline=""))


def _csv(stream: IO[str], delimiter: str, source: Path) -> Write:
    # Of the line ends in a field, the writer quotes those that stand in its own: both, if these are \r\n.
    writer = csv.writer(_UnixEnds(stream), delimiter=delimiter, lineterminator="\r\n")
    header: list[str] = []

    def write(chunk: Chunk, added: Added) -> None:
        if not header:
            header.extend([*chunk.names, *added])
            writer.writerow(header)
        _check_names(chunk, header, source)
        absent = [ABSENT] * len(chunk.numbers)
        columns = [
            added[name].to_pylist()
            if name in added
            else chunk.values(name)
            if name in chunk.names
            else absent
            for name in header
        ]
        writer.writerows([_field(value) for value in row] for row in zip(*columns, strict=True))

    return write


class _UnixEnds:
    """Takes rows that end in \\r\\n, which `csv` hands over one at a time, and ends them in \\n."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        """Write one row."""
        return self._stream.write(row[:-2] + "\n")


def _field(value: Any) -> Any:
    """A value as a field: nothing for null, JSON for what has parts."""
    if value is None or value is ABSENT:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict)) else value


def _check_names(chunk: Chunk, known: Sequence[str], source: Path) -> None:
    """Only JSON objects can bring a new name in a later chunk."""
    for name in chunk.names:
        if name not in known:
            number = chunk.numbers[next(i for i, v in enumerate(chunk.values(name)) if v is not ABSENT)]
            raise TlmError(
                f"{source}: row {number}: column {name!r} is new; a table's columns are those of its first rows: write"
                " .jsonl, or raise --chunk-rows"
            )


def _jsonl(stream: IO[str]) -> Write:
    def write(chunk: Chunk, added: Added) -> None:
        names = [*chunk.names, *added]
        columns = [chunk.values(name) for name in chunk.names] + [each.to_pylist() for each in added.values()]
        for row in zip(*columns, strict=True):
            said = {name: value for name, value in zip(names, row, strict=True) if value is not ABSENT}
            stream.write(json.dumps(said, ensure_ascii=False, default=str) + "\n")

    return write


def _parquet(stack: ExitStack, path: Path, source: Path) -> Write:
    opened: list[pq.ParquetWriter] = []

    def write(chunk: Chunk, added: Added) -> None:
        schema = opened[0].schema if opened else None
        arrays = {name: _array(chunk, name, schema, source) for name in chunk.names}
        if schema is not None:
            _check_names(chunk, schema.names, source)
            gone = [name for name in schema.names if name not in arrays and name not in added]
            arrays |= {name: pa.nulls(len(chunk.numbers), schema.field(name).type) for name in gone}
        table = pa.table({**arrays, **added})
        if schema is None:
            opened.append(stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd")))
        opened[0].write_table(table if schema is None else table.select(schema.names))

    return write


def _array(chunk: Chunk, name: str, schema: pa.Schema | None, source: Path) -> Any:
    """A column with the type that it had before, or that its values have."""
    if chunk.table is not None:
        return chunk.table[name]
    values = [None if value is ABSENT else value for value in chunk.values(name)]
    known = schema is not None and name in schema.names
    try:
        found = pa.array(values, schema.field(name).type if schema is not None and known else None)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise TlmError(
            f"{source}: rows {chunk.numbers[0]} to {chunk.numbers[-1]}: column {name!r} holds values of several types"
            f" ({error}); write .jsonl"
        ) from None
    return found if not pa.types.is_null(found.type) else pa.array(values, pa.string())
