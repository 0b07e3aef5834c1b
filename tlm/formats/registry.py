"""The formats of text files: one entry per format, with its suffixes, its reader and its writer.

Place in the flow: tasks, corpora and `tlm predict` read through `read_chunks` or `read_rows`, and `tlm predict` writes
through `open_writer`, so that a new entry in `FORMATS` serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.errors import TlmError, did_you_mean
from tlm.formats import delimited, json_files, readers, workbooks, writers
from tlm.formats.compression import COMPRESSIONS, split_suffix
from tlm.formats.files import Input, Watch
from tlm.formats.tables import Chunk, TableOptions, as_text

_ROWS = 128  # in memory at once while a task or a corpus is read: a row may be a long document


@dataclass(frozen=True)
class Format:
    """A format of files with one text, or one row of columns, after the other."""

    suffixes: tuple[str, ...]
    read: Callable[[Input, TableOptions, int, Watch | None], Iterator[Chunk]]
    write: Callable[[Path, str, Path], AbstractContextManager[writers.Write]] | None = None
    """None: the format can only be read."""
    columns: bool = True
    """Whether rows have named columns; False for plain text."""
    whole: bool = False
    """Whether a file is one text."""
    compressible: bool = True
    """Whether a file is written compressed where its name asks for that."""
    count_rows: Callable[[Input], int | None] | None = None
    """The number of rows without reading them, for progress lines; None: progress is in bytes."""


FORMATS: dict[str, Format] = {
    "csv": Format((".csv",), delimited.read_csv, writers.write_csv),
    "tsv": Format((".tsv", ".tab"), delimited.read_tsv, writers.write_tsv),
    "jsonl": Format((".jsonl", ".ndjson"), json_files.read_jsonl, writers.write_jsonl),
    "json": Format((".json",), json_files.read_jsonl),
    "parquet": Format(
        (".parquet",),
        readers.read_parquet,
        writers.write_parquet,
        compressible=False,
        count_rows=readers.count_parquet_rows,
    ),
    "excel": Format((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), workbooks.read_workbook),
    "fasttext": Format((".fasttext", ".ft"), readers.read_fasttext),
    "text": Format((".txt", ".text", ".md"), readers.read_lines, columns=False),
    "html": Format((".html", ".htm", ".xhtml"), readers.read_html, columns=False, whole=True),
}
"""Name → format. The name is a value of `kind:` in the configuration."""


_PANDOC = "convert it to text first, for example with `pandoc -t plain -o a.txt`"
_ROWS_AS = "write the rows as .parquet, .jsonl or .csv first"
_UNPACK = "unpack it first, and name the files inside"
ADVICE = {
    ".pdf": "a PDF holds positions of letters, not text; convert it first, for example with `pdftotext a.pdf a.txt`",
    **dict.fromkeys((".doc", ".docx", ".odt", ".rtf", ".epub", ".tex", ".pptx", ".ppt"), _PANDOC),
    **dict.fromkeys((".tar", ".tgz", ".tbz2", ".txz", ".rar", ".7z", ".zip", ".z"), _UNPACK),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pt", ".bin"), "a pickle can run code; write the rows as .parquet or .jsonl"
    ),
    **dict.fromkeys(
        (".arrow", ".feather", ".npy", ".h5", ".rds", ".sav", ".dta"), "write the rows as .parquet or .csv"
    ),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".sql", ".mdb"), "export the table as .csv first"),
    **dict.fromkeys((".xml", ".yaml", ".yml"), "write the rows as .jsonl or .csv first"),
}
"""Suffixes that people try, which are not read → what to do instead."""


def known_suffixes(*, columns: bool | None = None, writable: bool = False) -> str:
    """Suffixes for messages: of all formats, of those with or without columns, of those that can be written."""
    return ", ".join(
        suffix
        for each in FORMATS.values()
        if (columns is None or each.columns == columns) and (each.write or not writable)
        for suffix in each.suffixes
    )


def by_suffix(name: str) -> Format | None:
    """The format of a file name, compressed or not; None if its suffix is in no entry."""
    suffix = split_suffix(name)[0]
    return next((each for each in FORMATS.values() if suffix in each.suffixes), None)


def recognised(source: Input) -> Format | None:
    """The format of a file by its suffix; fastText for a text file that begins with `__label__`."""
    found = by_suffix(source.name)
    return FORMATS["fasttext"] if found is FORMATS["text"] and readers.is_fasttext(source) else found


def format_of(
    source: Input, kind: str | None = None, *, columns: bool | None = None, option: str | None = None
) -> Format:
    """The format named `kind`, or that of the file's suffix; with `columns`, one whose rows have (no) columns.

    Raises TlmError listing the known formats; `option` is where the user sets `kind`, if that is possible.
    """
    if kind is not None and kind not in FORMATS:
        hint = did_you_mean(kind, FORMATS)
        raise TlmError(
            f"{source}: no format {kind!r} ({option or '`kind:`'}){hint}; there are {', '.join(FORMATS)}"
        )
    found = FORMATS[kind] if kind else recognised(source)
    if found is None or columns not in (None, found.columns):
        raise TlmError(f"{source}: {_refusal(source, found, columns, option)}")
    return found


def _refusal(source: Input, found: Format | None, columns: bool | None, option: str | None) -> str:
    advice = ADVICE.get(split_suffix(source.name)[0])
    if advice is not None:
        return f"cannot be read; {advice}"
    packed = ", ".join(COMPRESSIONS)
    if found is not None and not found.columns:
        return (
            f"{source.suffix} holds texts without labels; a file of rows ends in one of {known_suffixes(columns=True)}"
            f" ({packed} may follow), or has lines such as `__label__x text`"
        )
    format_option = f", or name its format with {option}" if option else ""
    return (
        f"its name must end in one of {known_suffixes(columns=columns)}, which {packed} may follow; rename"
        f" it{format_option}, or name the files by a glob such as `folder/**/*.csv`"
    )


def read_chunks(
    source: Input, options: TableOptions, rows: int, watch: Watch | None = None
) -> Iterator[Chunk]:
    """The rows of a file in order, `rows` at a time, at least one chunk.

    Raises TlmError naming file and row: an unknown format, a required column that does not exist, two columns of one
    name, a row that cannot be parsed or has too many or too few fields.
    """
    found = format_of(source, options.kind, option=options.settings["kind"])
    return found.read(source, options, rows, watch)


def read_rows(source: Input, options: TableOptions) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number and the values of `options.required` as text, None for missing ones, for every row.

    Columns of `options.raw` keep their values. Raises TlmError as `read_chunks` and `as_text` do, and for a format
    without columns.
    """
    format_of(source, options.kind, columns=True, option=options.settings["kind"])
    for chunk in read_chunks(source, options, _ROWS):
        columns = [chunk.values(name) for name in options.required]
        for number, values in zip(chunk.numbers, zip(*columns, strict=True), strict=True):
            where = f"{source}: row {number}"
            named = zip(options.required, values, strict=True)
            yield (
                number,
                {
                    name: value
                    if name in options.raw
                    else as_text(value, where, name, options.flags.get(name))
                    for name, value in named
                },
            )


def writer_of(path: Path) -> Callable[..., AbstractContextManager[writers.Write]]:
    """The writer of the format of `path`. Raises TlmError unless it can be written, compressed if the name says so."""
    found = by_suffix(path.name)
    if found is None or found.write is None:
        raise TlmError(
            f"{path}: its name must end in one of {known_suffixes(writable=True)}, which {', '.join(COMPRESSIONS)} may"
            " follow"
        )
    if split_suffix(path.name)[1] and not found.compressible:
        suffix = split_suffix(path.name)[0]
        raise TlmError(f"{path}: a {suffix} file is compressed already; let its name end in {suffix}")
    return found.write


def holds_lists(path: Path) -> bool:
    """Whether a value in a file of this name can be a list: not in CSV and TSV."""
    return by_suffix(path.name) not in (FORMATS["csv"], FORMATS["tsv"])


def open_writer(path: Path, name: Path, source: Path) -> AbstractContextManager[writers.Write]:
    """A writer to `path` in the format of `name`, the final name; `source` is for messages.

    Raises TlmError for a format that cannot be written, and later for rows that do not fit those before them.
    """
    return writer_of(name)(path, name.name, source)
