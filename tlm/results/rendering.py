"""The writers of CSV and Markdown for everything in `results/`.

Place in the flow: below tables, hyper-parameters, examples, attention and figures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""A row of a CSV: column → value."""


@dataclass(frozen=True)
class Rendered:
    """A finished table."""

    csv: str
    markdown: str


def records_csv(records: Sequence[Record]) -> str:
    """Records with the same columns as CSV, with a header; None gives an empty field."""
    return csv_text(list(records[0]) if records else [], (record.values() for record in records))


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Lines of CSV; None gives an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def markdown_rows(rows: Iterable[Sequence[str]]) -> str:
    """Rows of a Markdown table, including the row of dashes; no newline at the end."""
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
