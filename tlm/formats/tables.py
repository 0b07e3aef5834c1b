"""A table of text in memory, and the options of reading one.

Place in the flow: shared by `readers`, `writers` and `registry`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tlm.config.data import Delimited
from tlm.errors import TlmError
from tlm.formats.files import Input

ABSENT = object()
"""The value of a key that a JSON object does not have, unlike null."""


@dataclass(frozen=True)
class TableOptions:
    """How a table is read. Each reader ignores the options that its format does not know."""

    kind: str | None = None
    """A name of `registry.FORMATS`; by default the file's suffix decides."""
    names: tuple[str, ...] = ()
    """The columns of a CSV or TSV without a header line."""
    quoting: bool = True
    """False: quotation marks of a CSV or TSV are plain characters."""
    encodings: tuple[str, ...] = ("utf-8",)
    """Tried in this order."""
    text: str = "text"
    """The name of the only column of a file with one text per line."""
    required: tuple[str, ...] = ()
    """Columns without which reading fails."""
    only_required: bool = False
    """Read no other column."""
    rows_may_lack: bool = False
    """A JSON object may lack a required key: its value is then `ABSENT`."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """At the command line, for error messages: a column, or "encoding", → the option that sets it."""

    @property
    def encoding_option(self) -> str:
        """Where the user sets the encoding."""
        return self.flags.get("encoding", "`encodings:`")


def declared_options(
    parser: Delimited, required: Sequence[str], flags: Mapping[str, str] | None = None
) -> TableOptions:
    """The options that a parser of the configuration declares, to read the columns `required` alone."""
    return TableOptions(
        kind=parser.kind,
        names=tuple(parser.columns or ()),
        quoting=parser.quoting,
        encodings=tuple(parser.encodings),
        required=tuple(dict.fromkeys(required)),
        only_required=True,
        flags=flags or {},
    )


@dataclass(frozen=True)
class Chunk:
    """Some rows, column by column. The rows of a Parquet file stay an Arrow table."""

    numbers: Sequence[int]
    """The number of each row from 1, without the header and blank lines; for JSON Lines the line's number."""
    columns: Mapping[str, Sequence[Any]]
    table: pa.Table | None = None

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return list(self.columns) if self.table is None else list(self.table.column_names)

    def values(self, name: str) -> Sequence[Any]:
        """A column as Python values; `ABSENT` in every row if the chunk has no such column."""
        if name not in self.names:
            return [ABSENT] * len(self.numbers)
        return self.columns[name] if self.table is None else self.table[name].to_pylist()


def check_header(source: Input, header: Sequence[str], options: TableOptions) -> None:
    """Raise TlmError for a column name that occurs twice, and for a required column that is missing."""
    if repeated := [name for name in header if header.count(name) > 1]:
        raise TlmError(f"{source}: two columns are called {repeated[0]!r}; rename one")
    check_required(str(source), header, options)


def check_required(where: str, names: Sequence[str], options: TableOptions) -> None:
    """Raise TlmError, with the place `where` and the names that exist, for a required column that is missing."""
    for column in options.required:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            option = f"; name the column with {options.flags[column]}" if column in options.flags else ""
            raise TlmError(
                f"{where}: no column {column!r}{hint}; there are {', '.join(names) or 'none'}{option}"
            )


def as_text(value: Any, where: str, column: str) -> str | None:
    """A value as text; None for a missing one: null, NaN, an absent key or an empty string.

    Raises TlmError for a list, an object or bytes.
    """
    if isinstance(value, str):
        return value or None
    if value is None or value is ABSENT or value != value:
        return None
    if isinstance(value, (list, dict, bytes)):
        raise TlmError(f"{where}: column {column!r} holds no text but a {type(value).__name__}")
    return str(value)
