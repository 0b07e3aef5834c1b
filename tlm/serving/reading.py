"""Files of texts in chunks of rows, with all of their columns: CSV, TSV, JSON Lines, Parquet, or a text a line.

Place in the flow: a user's file → predict. Memory holds a chunk, however long the file. All but Parquet may be
compressed (.gz, .bz2, .xz, .zst). Every error names the file and the row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tlm.errors import TlmError
from tlm.serving.folder import Columns
from tlm.sources.formats import Input, open_text

KINDS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
ABSENT = object()  # what a JSON object does not say, which is not what it says is null


def kind_of(path: Path) -> str:
    """The format that a file's suffixes name. Raises TlmError listing the known ones."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in COMPRESSED
    kind = KINDS.get("".join(suffixes[-2:-1] if packed else suffixes[-1:]))
    if kind is None or (packed and kind == "parquet"):
        known = ", ".join(KINDS)
        raise TlmError(
            f"{path}: its name must end in one of {known}, which may be followed by {', '.join(COMPRESSED)}"
            " (not after .parquet, which is compressed as it is)"
        )
    return kind


@dataclass(frozen=True)
class Chunk:
    """Some rows, column by column. Those of a Parquet file stay as they are, in `table`."""

    numbers: Sequence[int]
    """Of each row: counted from 1, header and blank lines not counted; of JSON Lines the line."""
    columns: dict[str, list[Any]]
    table: pa.Table | None = None

    @property
    def names(self) -> list[str]:
        """Its columns, in order."""
        return list(self.columns) if self.table is None else list(self.table.column_names)

    def values(self, name: str) -> list[Any]:
        """A column as Python values."""
        return self.columns[name] if self.table is None else self.table[name].to_pylist()


@dataclass
class Position:
    """How far a file is read: bytes of the file as it lies there, or rows of a Parquet file."""

    total: int
    unit: str
    done: int = 0

    def watch(self, raw: IO[bytes]) -> IO[bytes]:
        """`raw`, counted while it is read."""
        self.done = 0
        return io.BufferedReader(_Counted(raw, self), 1 << 18)


class _Counted(io.RawIOBase):
    def __init__(self, raw: IO[bytes], position: Position) -> None:
        self._raw, self._position = raw, position

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one read does; 0 at the end."""
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._position.done += len(data)
        return len(data)


@dataclass(frozen=True)
class Reader:
    """A file, to be read in chunks of `rows`."""

    path: Path
    columns: Columns
    rows: int
    position: Position = field(init=False)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise TlmError(f"{self.path}: no such file")
        parquet = kind_of(self.path) == "parquet"
        total = self._parquet_rows() if parquet else self.path.stat().st_size
        object.__setattr__(self, "position", Position(total, "rows" if parquet else "bytes"))

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order, at least one chunk. Raises TlmError naming the row that cannot be read."""
        kind = kind_of(self.path)
        if kind == "parquet":
            return self._parquet()
        if kind == "jsonl":
            return self._jsonl()
        return self._lines() if kind == "text" else self._csv("\t" if kind == "tsv" else ",")

    def _csv(self, delimiter: str) -> Iterator[Chunk]:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.columns.quoting else csv.QUOTE_NONE
        number = 0
        with open_text(Input(self.path), self.columns.encodings, self.position.watch) as stream:
            reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=self.columns.quoting)
            try:
                header = list(self.columns.names) or next(reader, [])
                if not header:
                    raise TlmError(f"{self.path}: empty, not even a header line")
                if repeated := [name for name in header if header.count(name) > 1]:
                    raise TlmError(f"{self.path}: two columns are called {repeated[0]!r}; rename one")
                rows: list[list[str]] = []
                for fields in reader:
                    if not fields:
                        continue
                    number += 1
                    if len(fields) != len(header):
                        raise TlmError(
                            f"{self.path}: row {number}: {len(fields)} fields, {len(header)} columns"
                        )
                    rows.append(fields)
                    if len(rows) == self.rows:
                        yield _by_column(header, rows, number)
                        rows = []
                if rows or not number:
                    yield _by_column(header, rows, number)
            except csv.Error as error:
                raise TlmError(f"{self.path}: row {number + 1}: {error}") from None

    def _jsonl(self) -> Iterator[Chunk]:
        with open_text(Input(self.path), self.columns.encodings, self.position.watch) as stream:
            lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
            first = True
            while (some := list(islice(lines, self.rows))) or first:
                first = False
                found = [self._object(number, line) for number, line in some]
                names = dict.fromkeys(key for each in found for key in each)
                columns = {name: [each.get(name, ABSENT) for each in found] for name in names}
                yield Chunk([number for number, _ in some], columns)

    def _object(self, number: int, line: str) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise TlmError(f"{self.path}: row {number}: not JSON ({error})") from None
        if not isinstance(value, dict):
            raise TlmError(f"{self.path}: row {number}: not a JSON object")
        return value

    def _lines(self) -> Iterator[Chunk]:
        number = 0
        with open_text(Input(self.path), self.columns.encodings, self.position.watch) as stream:
            while (some := list(islice(stream, self.rows))) or not number:
                texts = [line.rstrip("\r\n") for line in some]
                yield Chunk(range(number + 1, number + 1 + len(texts)), {self.columns.text[0]: texts})
                number += max(1, len(texts))

    def _parquet_rows(self) -> int:
        try:
            return int(pq.read_metadata(self.path).num_rows)
        except pa.ArrowException as error:
            raise TlmError(f"{self.path}: not a Parquet file, or a broken one ({error})") from None

    def _parquet(self) -> Iterator[Chunk]:
        try:
            with pq.ParquetFile(self.path) as file:
                if not self.position.total:
                    yield Chunk([], {}, file.schema_arrow.empty_table())
                for batch in file.iter_batches(batch_size=self.rows):
                    first = self.position.done + 1
                    self.position.done += batch.num_rows
                    numbers = range(first, first + batch.num_rows)
                    yield Chunk(numbers, {}, pa.Table.from_batches([batch]))
        except pa.ArrowException as error:
            raise TlmError(f"{self.path}: not a Parquet file, or a broken one ({error})") from None


def _by_column(header: list[str], rows: list[list[str]], last: int) -> Chunk:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    return Chunk(range(last - len(rows) + 1, last + 1), dict(zip(header, columns, strict=True)))
