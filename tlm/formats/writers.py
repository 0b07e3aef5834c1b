"""The writer of each format: chunks of rows and their new columns → a file.

Place in the flow: named in the table of `tlm.formats.registry`; used by `tlm predict`. Rows are written as they come.
Columns of a Parquet file keep their types in another Parquet file; columns of a CSV stay texts; columns of JSON Lines
get the types of their first rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tlm.errors import TlmError
from tlm.formats.compression import compressed_text
from tlm.formats.tables import ABSENT, Chunk

Added = Mapping[str, pa.Array]
Write = Callable[[Chunk, Added], None]
"""Writes the rows of a chunk, with the new columns behind the chunk's own."""


@contextmanager
def write_csv(path: Path, name: str, source: Path) -> Iterator[Write]:
    """Comma-separated values to `path`, compressed as `name`, the final file name, says; `source` is for messages.

    Raises TlmError for rows with a column that the first rows did not have.
    """
    with path.open("wb") as raw, compressed_text(raw, name) as stream:
        yield _delimited(stream, ",", source)


@contextmanager
def write_tsv(path: Path, name: str, source: Path) -> Iterator[Write]:
    """Tab-separated values, otherwise as CSV."""
    with path.open("wb") as raw, compressed_text(raw, name) as stream:
        yield _delimited(stream, "\t", source)


def _delimited(stream: IO[str], delimiter: str, source: Path) -> Write:
    # The writer quotes a field that holds a character of its line terminator: with \r\n, both line ends are quoted.
    writer = csv.writer(_UnixEnds(stream), delimiter=delimiter, lineterminator="\r\n")
    header: list[str] = []

    def write(chunk: Chunk, added: Added) -> None:
        if not header:
            header.extend([*chunk.names, *added])
            writer.writerow(header)
        _check_names(chunk, header, source)
        columns = [added[name].to_pylist() if name in added else chunk.values(name) for name in header]
        writer.writerows([_field(value) for value in row] for row in zip(*columns, strict=True))

    return write


class _UnixEnds:
    """A stream for `csv.writer`, which writes one row at a time: replaces the \\r\\n of each row by \\n."""

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


@contextmanager
def write_jsonl(path: Path, name: str, source: Path) -> Iterator[Write]:
    """JSON Lines; a key that a row's object did not have stays absent."""

    def write(chunk: Chunk, added: Added) -> None:
        names = [*chunk.names, *added]
        columns = [*map(chunk.values, chunk.names), *(each.to_pylist() for each in added.values())]
        for row in zip(*columns, strict=True):
            values = {name: value for name, value in zip(names, row, strict=True) if value is not ABSENT}
            stream.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")

    with path.open("wb") as raw, compressed_text(raw, name) as stream:
        yield write


@contextmanager
def write_parquet(path: Path, name: str, source: Path) -> Iterator[Write]:
    """Parquet, its schema that of the first chunk. Raises TlmError for rows that do not fit this schema."""
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
            opened.append(pq.ParquetWriter(path, table.schema, compression="zstd"))
        opened[0].write_table(table if schema is None else table.select(schema.names))

    try:
        yield write
    finally:
        for each in opened:
            each.close()


def _array(chunk: Chunk, name: str, schema: pa.Schema | None, source: Path) -> Any:
    """A column with the type that it had before, or that its values have."""
    if chunk.table is not None:
        return chunk.table[name]
    values = [None if value is ABSENT else value for value in chunk.values(name)]
    known = schema is not None and name in schema.names
    try:
        found = pa.array(values, schema.field(name).type if schema is not None and known else None)
    except UnicodeEncodeError:
        raise TlmError(
            f"{source}: rows {chunk.numbers[0]} to {chunk.numbers[-1]}: column {name!r} holds half of a surrogate pair,"
            " which Parquet cannot store; write .jsonl"
        ) from None
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise TlmError(
            f"{source}: rows {chunk.numbers[0]} to {chunk.numbers[-1]}: column {name!r} holds values of several types"
            f" ({error}); write .jsonl"
        ) from None
    return found if not pa.types.is_null(found.type) else pa.array(values, pa.string())
