"""The reader of spreadsheets: Excel and OpenDocument.

Place in the flow: named in the table of `tlm.formats.registry`. python-calamine reads .xlsx, .xlsb, .xls and .ods, ten
times as fast as openpyxl, which reads .xlsx alone. A workbook is held in memory: a sheet has at most a million rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from tlm.errors import TlmError, did_you_mean
from tlm.formats.files import Input, Watch, open_bytes
from tlm.formats.tables import Chunk, TableOptions, check_header


def read_workbook(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """The rows of a sheet, the first row with cells the header unless `options.names` gives one.

    Whole numbers have no decimal point, and an empty cell is a missing value.
    """
    with open_bytes(source, watch) as stream:
        content = stream.read()
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            found = [
                row for row in _sheet(source, book, options).to_python() if any(cell != "" for cell in row)
            ]
    except TlmError:
        raise
    except (CalamineError, OSError, ValueError) as error:
        raise TlmError(f"{source}: not a workbook, or a broken one ({error})") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a fault of the parser, not an Exception of Python
            raise
        raise TlmError(f"{source}: a broken workbook ({error})") from None
    cells = [[_value(cell) for cell in row] for row in found]
    header = list(options.names) or [str(cell or "") for cell in (cells.pop(0) if cells else [])]
    if not header:
        raise TlmError(f"{source}: the sheet has no cells")
    check_header(source, header, options)
    for number, row in enumerate(cells, 1):
        if any(cell is not None for cell in row[len(header) :]):
            raise TlmError(f"{source}: row {number}: {len(row)} cells, {len(header)} columns")
    for start in range(0, max(1, len(cells)), rows):
        some = cells[start : start + rows]
        columns = {
            name: [row[place] if place < len(row) else None for row in some]
            for place, name in enumerate(header)
        }
        yield Chunk(range(start + 1, start + 1 + len(some)), columns)


def _sheet(source: Input, book: CalamineWorkbook, options: TableOptions) -> CalamineSheet:
    """The sheet that `options` names, or the only one with cells."""
    names = book.sheet_names
    if options.sheet is not None:
        if options.sheet not in names:
            raise TlmError(
                f"{source}: no sheet {options.sheet!r}{did_you_mean(options.sheet, names)}; there are"
                f" {', '.join(names)}"
            )
        return book.get_sheet_by_name(options.sheet)
    filled = [sheet for sheet in map(book.get_sheet_by_name, names) if sheet.start is not None]
    if len(filled) > 1:
        raise TlmError(
            f"{source}: has {len(filled)} sheets with cells ({', '.join(sheet.name for sheet in filled)}); choose one"
            f" ({options.settings['sheet']})"
        )
    if not filled:
        raise TlmError(f"{source}: has no sheet with cells")
    return filled[0]


def _value(cell: Any) -> Any:
    """A cell: nothing for an empty one, a whole number without a decimal point, a date as ISO 8601."""
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell if isinstance(cell, (str, int, float)) else str(cell)
