"""Finished results in the repository: tables, differences, claims and figures of a scale, and the numbers behind them.

Place in the flow: results/ → here → docs/replication/, which a reader opens without running anything. A table is
shipped as Markdown and as JSON: its rows and columns, and every cell with its values per seed and the digests of its
evaluations. A test renders the JSON again and compares. Texts of tasks and corpora are left out, so Table 9 is too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.artifacts import write_text
from tlm.config.base import parse
from tlm.config.experiments import Table
from tlm.config.reported import Reported
from tlm.errors import TlmError
from tlm.results.cells import read_cell
from tlm.results.tables import assemble_table

LIMIT = 3_000_000
"""Bytes of a shipped folder, at most."""


@dataclass(frozen=True)
class ShippedResults:
    """The results of a scale that are to be shipped, by name."""

    scale: str
    tables: Sequence[Table]
    figures: Sequence[str]
    pages: Sequence[str]
    """Further results that are one Markdown file each, such as `claims` and `differences/table2`."""


def ship(wanted: ShippedResults, results: Path, folder: Path, reported: Reported) -> list[str]:
    """Copy what is built of `wanted` from `results` to `folder`; returns the names of what is not built.

    Raises TlmError for a cell of another scale, and if the folder would exceed `LIMIT` bytes.
    """
    missing = []
    folder.mkdir(parents=True, exist_ok=True)
    for table in wanted.tables:
        paths = [
            results / "cells" / table.name / row.id / f"{column.id}.json"
            for row in table.rows
            for column in table.columns
            if column.kind != "text"
        ]
        if not all(path.is_file() for path in paths):
            missing.append(table.name)
            continue
        cells = [read_cell(path) for path in paths]
        if other := next((cell["scale"] for cell in cells if cell["scale"] != wanted.scale), None):
            raise TlmError(f"{results}: table {table.name} was built at scale {other}, not at {wanted.scale}")
        write_text(folder / f"{table.name}.json", as_json(table, cells))
        write_text(folder / f"{table.name}.md", assemble_table(table, cells, reported).markdown)
    files = {f"{name}.md": results / f"{name}.md" for name in wanted.pages}
    files |= {f"{name}.png": results / f"{name}.png" for name in wanted.figures}
    files |= {f"{name}.csv": results / f"{name}.csv" for name in wanted.figures}
    for name, source in files.items():
        if source.is_file():
            target = folder / name.replace("/", "-")
            shutil.copyfile(source, target)
        else:
            missing.append(name)
    if (size := sum(path.stat().st_size for path in folder.iterdir())) > LIMIT:
        raise TlmError(f"{folder} has {size:,} bytes; at most {LIMIT:,} are shipped. Leave out a figure")
    return missing


def as_json(table: Table, cells: Sequence[dict[str, Any]]) -> str:
    """A table with its cells, one cell a line, so that a changed number is a changed line."""
    head = json.dumps(table.model_dump(mode="json"), ensure_ascii=False)
    lines = ",\n".join(json.dumps(cell, ensure_ascii=False) for cell in cells)
    return f'{{"table": {head},\n"cells": [\n{lines}\n]}}\n'


def rendered(file: Path, reported: Reported) -> str:
    """The Markdown of a shipped table, made again from its JSON."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return assemble_table(parse(Table, content["table"], str(file)), content["cells"], reported).markdown
