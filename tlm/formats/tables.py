"""A table of text in memory, and the options of reading one.

Place in the flow: shared by `readers`, `writers` and `registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from tlm.config.parser_specs import Delimited
from tlm.errors import TlmError, did_you_mean
from tlm.formats.files import Input

ABSENT = object()
"""The value of a key that a JSON object does not have, unlike null."""


Setting = Literal["kind", "encodings", "quoting", "delimiter", "sheet"]
KEYS: dict[Setting, str] = {
    "kind": "`kind:`",
    "encodings": "`encodings:`",
    "quoting": "`quoting: false`",
    "delimiter": "`delimiter:`",
    "sheet": "`sheet:`",
}
"""A setting of a file's reader → its key in the configuration, for error messages."""

OPTIONS: dict[Setting, str] = {
    "kind": "--kind",
    "encodings": "--encoding",
    "quoting": "--no-quotes",
    "delimiter": "--delimiter",
    "sheet": "--sheet",
}
"""A setting of a file's reader → its option at the command line."""


@dataclass(frozen=True)
class TableOptions:
    """How a table is read. Each reader ignores the options that its format does not know."""

    kind: str | None = None
    """A name of `registry.FORMATS`; by default the file's suffix decides."""
    names: tuple[str, ...] = ()
    """The columns of a CSV or TSV without a header line."""
    quoting: bool = True
    """False: quotation marks of a CSV or TSV are plain characters."""
    delimiter: str | None = None
    """The character between the fields of a CSV or TSV; by default recognised by the first line."""
    sheet: str | None = None
    """The sheet of a workbook; by default its only sheet with cells."""
    encodings: tuple[str, ...] = ("utf-8",)
    """Tried in this order."""
    text: str = "text"
    """The name of the text column in a format whose files do not name it: lines, fastText, HTML."""
    required: tuple[str, ...] = ()
    """Columns without which reading fails."""
    only_required: bool = False
    """Read no other column."""
    raw: tuple[str, ...] = ()
    """Required columns whose values may be lists: `read_rows` leaves them as they are in the file."""
    rows_may_lack: bool = False
    """A JSON object may lack a required key: its value is then `ABSENT`."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """At the command line, for error messages: column → the option that names it."""
    settings: Mapping[Setting, str] = field(default_factory=lambda: KEYS)
    """For error messages: where the user changes a setting. `OPTIONS` at the command line."""


def declared_options(
    parser: Delimited,
    required: Sequence[str],
    flags: Mapping[str, str] | None = None,
    settings: Mapping[Setting, str] | None = None,
) -> TableOptions:
    """The options that a parser of the configuration declares, to read the columns `required` alone."""
    return TableOptions(
        kind=parser.kind,
        names=tuple(parser.columns or ()),
        quoting=parser.quoting,
        delimiter=parser.delimiter,
        sheet=parser.sheet,
        encodings=tuple(parser.encodings),
        text=parser.text if isinstance(parser.text, str) else parser.text[0],
        required=tuple(dict.fromkeys(required)),
        only_required=True,
        flags=flags or {},
        settings=settings or KEYS,
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
        """A column as Python values; `ABSENT` in every row if the chunk has no such column.

        `a.b` is the value of the key b in the objects of column a, unless a column has the name `a.b`.
        """
        root, keys = column_path(name, self.names)
        if root is None:
            return [ABSENT] * len(self.numbers)
        column = self.columns[root] if self.table is None else self.table[root].to_pylist()
        return column if not keys else [_nested(value, keys) for value in column]


def column_path(name: str, names: Sequence[str]) -> tuple[str | None, list[str]]:
    """The column among `names` in which `name` is found, and the keys below it; None if there is none."""
    if name in names:
        return name, []
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        if (root := ".".join(parts[:count])) in names:
            return root, parts[count:]
    return None, []


def _nested(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return ABSENT if value is not None else None
        value = value.get(key, ABSENT)
    return value


def check_header(
    source: Input, header: Sequence[str], options: TableOptions, *, nested: bool = False
) -> None:
    """Raise TlmError for a column name that occurs twice, and for a required column that is missing.

    `nested`: values can be objects, so that the column `a.b` may be a key below the column a.
    """
    for name in header:
        # Spreadsheets export empty columns without a name, which nobody reads.
        if header.count(name) > 1 and (name or not options.only_required):
            raise TlmError(f"{source}: two columns are called {name!r}; rename one")
    check_required(str(source), header, options, nested=nested)


def check_required(where: str, names: Sequence[str], options: TableOptions, *, nested: bool = True) -> None:
    """Raise TlmError, with the place `where` and the names that exist, for a required column that is missing."""
    for column in options.required:
        if column not in names and not (nested and column_path(column, names)[0]):
            option = f"; name the column with {options.flags[column]}" if column in options.flags else ""
            raise TlmError(
                f"{where}: no column {column!r}{did_you_mean(column, names)}; there are"
                f" {', '.join(names) or 'none'}{option}"
            )


def as_text(value: Any, where: str, column: str, option: str | None = None) -> str | None:
    """A value as text; None for a missing one: null, NaN, an absent key or an empty string.

    Bytes are decoded as UTF-8. Raises TlmError for a list, for an object and for other bytes; `option` is the
    command-line option that names the column.
    """
    if isinstance(value, str):
        return value or None
    if value is None or value is ABSENT or value != value:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode() or None
        except UnicodeDecodeError:
            raise TlmError(f"{where}: column {column!r} holds bytes that are not UTF-8 text") from None
    if isinstance(value, dict):
        keys = ", ".join(map(str, list(value)[:8])) or "none"
        example = f", such as {option} {column}.{next(iter(value))}" if option and value else ""
        raise TlmError(
            f"{where}: column {column!r} holds an object with the keys {keys}; name one of them{example}"
        )
    if isinstance(value, list):
        raise TlmError(
            f"{where}: column {column!r} holds a list of {len(value)} values; a row needs one value"
            + ("; add --multi-label if a row can have several labels" if option == "--label" else "")
        )
    return str(value)
