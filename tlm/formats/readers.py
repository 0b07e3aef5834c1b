"""The reader of each format: a file → chunks of rows.

Place in the flow: named in the table of `tlm.formats.registry`. A reader holds one chunk in memory. It yields at least
one chunk, of an empty file an empty one, and raises TlmError naming the file and the row that it cannot read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tlm.errors import TlmError
from tlm.formats.compression import split_suffix
from tlm.formats.files import Input, Watch, open_bytes, open_text
from tlm.formats.tables import ABSENT, Chunk, TableOptions, check_header, check_required

csv.field_size_limit(1 << 28)  # a document of 256 MiB in one field; the default is 128 KiB


def read_csv(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Comma-separated values, the first line the header unless `options.names` gives one."""
    return _delimited(source, options, rows, watch, ",")


def read_tsv(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Tab-separated values, otherwise as CSV."""
    return _delimited(source, options, rows, watch, "\t")


def _delimited(
    source: Input, options: TableOptions, rows: int, watch: Watch | None, delimiter: str
) -> Iterator[Chunk]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quoting else csv.QUOTE_NONE
    number = 0
    with open_text(source, options.encodings, watch, options.encoding_option) as stream:
        reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=options.quoting)
        try:
            header = list(options.names) or next(reader, [])
            if not header:
                raise TlmError(f"{source}: empty, without even a header line")
            check_header(source, header, options)
            kept: list[list[str]] = []
            for fields in reader:
                if not fields:  # a blank line
                    continue
                number += 1
                if len(fields) != len(header):
                    raise TlmError(f"{source}: row {number}: {len(fields)} fields, {len(header)} columns")
                kept.append(fields)
                if len(kept) == rows:
                    yield _by_column(header, kept, number)
                    kept = []
            if kept or not number:
                yield _by_column(header, kept, number)
        except csv.Error as error:
            raise TlmError(f"{source}: row {number + 1}: {error}") from None


def _by_column(header: list[str], rows: list[list[str]], last: int) -> Chunk:
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return Chunk(range(last - len(rows) + 1, last + 1), dict(zip(header, columns, strict=True)))


def read_jsonl(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """One JSON object per line. Every object must have the required keys unless `options.rows_may_lack`."""
    with open_text(source, options.encodings, watch, options.encoding_option) as stream:
        lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        first = True
        while (some := list(islice(lines, rows))) or first:
            found = [_object(f"{source}: row {number}", line) for number, line in some]
            names = list(dict.fromkeys(key for each in found for key in each))
            if not options.rows_may_lack:
                for (number, _), each in zip(some, found, strict=True):
                    check_required(f"{source}: row {number}", list(each), options)
            elif first and found:
                check_required(str(source), names, options)
            if options.only_required:
                names = list(options.required)
            columns = {name: [each.get(name, ABSENT) for each in found] for name in names}
            yield Chunk([number for number, _ in some], columns)
            first = False


def _object(where: str, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise TlmError(f"{where}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise TlmError(f"{where}: not a JSON object")
    return value


def read_lines(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """One text per line, as the column `options.text`; a blank line is an empty text."""
    check_header(source, [options.text], options)
    number = 0
    with open_text(source, options.encodings, watch, options.encoding_option) as stream:
        while (some := list(islice(stream, rows))) or not number:
            texts = [line.rstrip("\r\n") for line in some]
            yield Chunk(range(number + 1, number + 1 + len(texts)), {options.text: texts})
            number += max(1, len(texts))


def read_parquet(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Parquet. `watch` is not used: Parquet is not read from its beginning to its end."""
    with _parquet(source) as file:
        names = file.schema_arrow.names
        check_header(source, names, options)
        columns = list(options.required) if options.only_required else names
        number = 0
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            numbers = range(number + 1, number + 1 + batch.num_rows)
            number += batch.num_rows
            yield Chunk(numbers, {}, pa.Table.from_batches([batch]))
        if not number:
            yield Chunk([], {}, file.schema_arrow.empty_table().select(columns))


def count_parquet_rows(source: Input) -> int | None:
    """The number of rows by the file's footer; None for a compressed file, which would have to be read first."""
    if split_suffix(source.name)[1]:
        return None
    with _parquet(source) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _parquet(source: Input) -> Iterator[pq.ParquetFile]:
    try:
        with open_bytes(source) as stream:
            seekable: IO[bytes] = stream if stream.seekable() else io.BytesIO(stream.read())
            with pq.ParquetFile(seekable) as file:
                yield file
    except pa.ArrowException as error:
        raise TlmError(f"{source}: not a Parquet file, or a broken one ({error})") from None
