"""The readers of CSV and TSV files, and the recognition of their delimiter.

Place in the flow: named in the table of `tlm.formats.registry`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Literal

from tlm.errors import TlmError
from tlm.formats.files import Input, Watch, open_text
from tlm.formats.tables import Chunk, TableOptions, check_header

csv.field_size_limit(1 << 28)  # a document of 256 MiB in one field; the default is 128 KiB

_HEAD = 20  # lines by which the delimiter is recognised

NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
"""The delimiters that are recognised, in words."""


def read_csv(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Comma-separated values, the first line the header unless `options.names` gives one."""
    return _delimited(source, options, rows, watch, ",")


def read_tsv(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Tab-separated values, otherwise as CSV."""
    return _delimited(source, options, rows, watch, "\t")


def _delimited(
    source: Input, options: TableOptions, rows: int, watch: Watch | None, usual: str
) -> Iterator[Chunk]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quoting else csv.QUOTE_NONE
    number = 0
    with open_text(source, options.encodings, watch, options.settings["encodings"]) as stream:
        head = list(islice(stream, _HEAD))
        delimiter = options.delimiter or _recognised(head, options, usual)
        lines = chain(head, stream)
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=options.quoting)
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
                    raise _wrong_count(source, number, fields, header, delimiter, options)
                kept.append(fields)
                if len(kept) == rows:
                    yield _by_column(header, kept, number)
                    kept = []
            if kept or not number:
                yield _by_column(header, kept, number)
        except csv.Error as error:
            raise TlmError(f"{source}: row {number + 1}: {_reason(error, options)}") from None


def _recognised(head: Sequence[str], options: TableOptions, usual: str) -> str:
    """The delimiter that splits the first lines into the expected columns: the usual one if it does."""
    split = {delimiter: _split(head, delimiter) for delimiter in dict.fromkeys((usual, *NAMES))}
    if options.names:
        fitting = [each for each, rows in split.items() if {len(row) for row in rows} == {len(options.names)}]
    else:
        fitting = [each for each, rows in split.items() if rows and _holds(rows[0], options)]
    if fitting:
        return fitting[0]
    widths = {each: len(rows[0]) if rows else 0 for each, rows in split.items()}
    return usual if widths[usual] > 1 else max(widths, key=lambda each: widths[each])


def _split(head: Sequence[str], delimiter: str) -> list[list[str]]:
    """The rows of the first lines, without blank ones, and without a last one that may go on behind them."""
    try:
        rows = [row for row in csv.reader(head, delimiter=delimiter) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > 1 and len(head) == _HEAD else rows


def _holds(header: Sequence[str], options: TableOptions) -> bool:
    if not options.required:
        return len(header) > 1
    return all(name in header for name in options.required)


def recognised_delimiter(source: Input, options: TableOptions) -> str | None:
    """The delimiter of a CSV or TSV if it is not the usual one; None if it is, and if an option names it."""
    kind = options.kind or source.suffix.removeprefix(".")
    if options.delimiter is not None or kind not in ("csv", "tsv", "tab"):
        return None
    usual = "," if kind == "csv" else "\t"
    with open_text(source, options.encodings, option=options.settings["encodings"]) as stream:
        found = _recognised(list(islice(stream, _HEAD)), options, usual)
    return None if found == usual else found


def _wrong_count(
    source: Input,
    number: int,
    fields: Sequence[str],
    header: Sequence[str],
    delimiter: str,
    options: TableOptions,
) -> TlmError:
    if options.quoting and any("\n" in field or '"' in field for field in fields):
        hint = f"close the quotation mark, or {_plain_quotes(options)}"
    else:
        hint = (
            f"the delimiter is {NAMES.get(delimiter, repr(delimiter))}: quote the fields that contain it, or give"
            f" another one ({options.settings['delimiter']})"
        )
    return TlmError(f"{source}: row {number}: {len(fields)} fields, {len(header)} columns; {hint}")


def _reason(error: csv.Error, options: TableOptions) -> str:
    if "expected after" in str(error):
        reason = "text follows a closing quotation mark; double the marks inside the field"
    elif "unexpected end of data" in str(error):
        reason = "a quotation mark is not closed; close it"
    else:
        return str(error)
    return f"{reason}, or {_plain_quotes(options)}"


def _plain_quotes(options: TableOptions) -> str:
    return f"read quotation marks as plain characters ({options.settings['quoting']})"


def _by_column(header: list[str], rows: list[list[str]], last: int) -> Chunk:
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return Chunk(range(last - len(rows) + 1, last + 1), dict(zip(header, columns, strict=True)))


def print_recognised(source: Input, options: TableOptions) -> None:
    """Print a line on stderr for a delimiter that is not the usual one of the file's suffix."""
    if found := recognised_delimiter(source, options):
        print(f"{source}: the delimiter is {NAMES[found]}", file=sys.stderr)
