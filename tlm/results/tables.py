"""From cells to a table: CSV for programs, Markdown for people.

Place in the flow: the last step; `results/<table>.csv` and `.md`. The paper's own rows are in the same CSV, marked
`reported`. In Markdown they are in our block if they have our columns; otherwise they form a second block below, with
the paper's tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlm.config.experiments import MLM_LOSS, Column, Table
from tlm.config.facts import FACTS
from tlm.config.reported import Reported, reported_line
from tlm.errors import TlmError
from tlm.progress import duration
from tlm.results.cells import unit_of
from tlm.results.rendering import Rendered, csv_text, markdown_rows

Cell = Mapping[str, Any]
_SINGLE = ("fact", "text")  # columns without a standard deviation


@dataclass(frozen=True)
class TableRow:
    """A row of the table with its cells by column id."""

    id: str
    label: str
    source: str
    cells: Mapping[str, Cell]
    notes: tuple[str, ...] = ()
    measured: bool = False


def assemble_table(table: Table, cells: Sequence[Cell], reported: Reported) -> Rendered:
    """The table from its cells and the paper's own rows; a paper's row follows our row of the same method.

    Raises TlmError naming a missing cell, a cell of another table, or a table that the paper does not have.
    """
    lines = _lines(table, cells, reported)
    theirs = _their_columns(table.columns, lines)
    return Rendered(
        csv=_csv([*table.columns, *theirs], lines),
        markdown=_markdown(table, theirs, lines, reported),
    )


def _lines(table: Table, cells: Sequence[Cell], reported: Reported) -> list[TableRow]:
    given = {(cell["table"], cell["row"], cell["column"]): cell for cell in cells}
    numbers = [column for column in table.columns if column.kind != "text"]
    wanted = {(table.name, row.id, column.id) for row in table.rows for column in numbers}
    if missing := sorted(wanted - set(given)):
        raise TlmError(
            f"table {table.name}: cell results/cells/{'/'.join(missing[0])}.json is missing; build it"
        )
    if strange := sorted(set(given) - wanted):
        raise TlmError(f"table {table.name}: has no cell {'/'.join(strange[0])}; do not pass that file")
    theirs = _reported_lines(table, reported)
    lines = []
    for row in table.rows:
        quoted = theirs.pop(row.reported, None)
        found: dict[str, Cell] = {column.id: given[table.name, row.id, column.id] for column in numbers}
        found.update({name: {"text": text} for name, text in row.texts.items()})
        source = "measured"
        if row.pretraining is not None:
            # A checkpoint was pretrained elsewhere: its cost is the one that the paper reports.
            cost = reported_line(reported, row.pretraining)
            empty = [
                c.id for c in table.columns if c.fact and c.id in cost.cells and found[c.id]["mean"] is None
            ]
            found.update({name: cost.cells[name] for name in empty})
            source += f" ({', '.join(empty)}: reported, {cost.place})" if empty else ""
        lines.append(TableRow(row.id, row.label, source, found, measured=True))
        lines += [quoted] if quoted is not None else []
    return lines + list(theirs.values())


def _reported_lines(table: Table, reported: Reported) -> dict[str, TableRow]:
    """The paper's rows of this table by their own ids."""
    if table.reported is None:
        return {}
    if table.reported not in reported.tables:
        known = ", ".join(reported.tables)
        raise TlmError(f"config/reported.yaml has no table {table.reported!r}; it has {known}")
    lines = {}
    for name in reported.tables[table.reported].rows:
        line = reported_line(reported, f"{table.reported}/{name}")
        source = f"reported ({line.place})"
        lines[name] = TableRow(f"reported-{name}", line.label, source, line.cells, line.notes)
    return lines


def _their_columns(columns: Sequence[Column], lines: Sequence[TableRow]) -> list[Column]:
    """Columns that only the paper's rows have, in the paper's order."""
    ours = {column.id for column in columns}
    names = dict.fromkeys(name for line in lines for name in line.cells if name not in ours)
    return [Column(id=name, kind="score", tasks=(name,)) for name in names]


def _csv(columns: Sequence[Column], lines: Sequence[TableRow]) -> str:
    """One line a row; after each score column comes `<column>_sd`, the standard deviation over seeds."""
    header = ["row", "label", "source"]
    for column in columns:
        header += [column.id] if column.kind in _SINGLE else [column.id, f"{column.id}_sd"]
    records = []
    for line in lines:
        record = [line.id, line.label, line.source]
        for column in columns:
            cell = line.cells.get(column.id, {})
            value = cell.get("text") if cell.get("mean") is None else _plain(cell["mean"], unit_of(column))
            record.append(value or "")
            if column.kind not in _SINGLE:
                sd = cell.get("sd")
                record.append("" if sd is None else _plain(sd, unit_of(column)))
        records.append(record)
    return csv_text(header, records)


def _plain(value: float, unit: str) -> str:
    """A number for programs: whole counts, FLOPs to five digits, the rest to four decimals."""
    if unit == "FLOP":
        return f"{value:.4e}"
    return str(round(value)) if unit in ("parameters", "bytes", "tokens") else f"{value:.4f}"


def _markdown(table: Table, theirs: Sequence[Column], lines: Sequence[TableRow], reported: Reported) -> str:
    columns = table.columns
    measured = [line for line in lines if line.measured]
    quoted = [line for line in lines if not line.measured]
    parts = [f"# {table.title}\n"]
    if theirs and quoted:
        shared = [column for column in columns if any(column.id in line.cells for line in quoted)]
        before = [column for column in shared if column.kind == "fact"]
        after = [column for column in shared if column.kind != "fact"]
        parts.append(_block(columns, measured, table.transpose))
        parts.append(f"\n## Reported by the paper ({reported.paper.version})\n")
        parts.append(_block([*before, *theirs, *after], quoted, table.transpose))
    else:
        parts.append(_block(columns, lines, table.transpose))
    notes = [*_measured_notes(columns, measured), *table.notes]
    notes += dict.fromkeys(f"Reported: {note}" for line in quoted for note in line.notes)
    parts.append("\n" + "\n".join(f"- {note}" for note in notes) + "\n" if notes else "")
    return "\n".join(part for part in parts if part)


def _block(columns: Sequence[Column], lines: Sequence[TableRow], transpose: bool) -> str:
    """A Markdown table; reported rows, and reported numbers in our rows, are marked."""
    rows = [["", *(_heading(column) for column in columns)]]
    for line in lines:
        label = line.label if line.measured else f"{line.label} (reported)"
        rows.append([label, *(_shown(line, column) for column in columns)])
    if transpose:
        rows = [list(row) for row in zip(*rows, strict=True)]
    align = "---" if transpose else "---:"
    rows.insert(1, ["---", *(align for _ in rows[0][1:])])
    return markdown_rows(rows)


def _shown(line: TableRow, column: Column) -> str:
    cell = line.cells.get(column.id)
    quoted = line.measured and cell is not None and cell.get("source") == "reported"
    return _pretty(cell, unit_of(column)) + (" (reported)" if quoted else "")


def _heading(column: Column) -> str:
    if column.metric == MLM_LOSS and column.kind == "score":
        return f"MLM loss, {column.tasks[0]}"
    if column.fact is not None:
        return column.heading or FACTS[column.fact].heading
    return column.heading or ("Avg." if column.id == "average" else column.id)


def _pretty(cell: Cell | None, unit: str) -> str:
    """A number for people; empty if the row has none."""
    if cell is None:
        return ""
    mean, sd = cell.get("mean"), cell.get("sd")
    if mean is None:
        return cell.get("text") or ""
    if unit == "FLOP":
        digits, exponent = f"{mean:.2e}".split("e")
        return f"{digits}E{int(exponent)}"
    if unit in ("parameters", "tokens"):
        return f"{_three(mean / 1e6)} M"
    if unit == "bytes":
        return f"{_three(mean / 1e9)} GB" if mean >= 1e8 else f"{_three(mean / 1e6)} MB"
    if unit == "s":
        return duration(mean)
    return f"{mean:.2f}" if sd is None else f"{mean:.2f} ± {sd:.2f}"


def _three(value: float) -> str:
    """Three significant digits, never in powers of ten: 0.91, 5.24, 109."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _measured_notes(columns: Sequence[Column], lines: Sequence[TableRow]) -> list[str]:
    """Notes on the measured numbers: scale, seeds and metrics, then each fact's definition."""
    notes = []
    cells = [cell for line in lines for cell in line.cells.values() if cell.get("source") == "measured"]
    if scales := sorted({cell["scale"] for cell in cells}):
        of = [_seeds(line) for line in lines]
        most = max(of, key=of.count)
        others = (f"{line.label}: {seeds}" for line, seeds in zip(lines, of, strict=True) if seeds != most)
        counts = dict.fromkeys([most, *others])
        notes.append(
            f"Scale {', '.join(scales)}; mean ± standard deviation over seeds ({'; '.join(counts)})."
        )
    scores = [column for column in columns if column.kind == "score" and column.metric != MLM_LOSS]
    shown = [f"{column.id}: {_metric(column, lines)} on {column.split}" for column in scores]
    if lines and shown:
        notes.append(f"Scores in percent. {'; '.join(shown)}.")
    if lines and any(column.metric == MLM_LOSS for column in columns):
        notes.append("MLM loss: held-out, on the dev texts at the end of stage 1, in nats; lower is better.")
    notes += [FACTS[column.fact].note for column in columns if column.fact]
    return notes + [note for line in lines if (note := _chosen(line))]


def _chosen(line: TableRow) -> str:
    """The settings of a linear model that were chosen on dev, task by task; empty for other rows."""
    found: dict[str, dict[str, Any]] = {}
    for cell in line.cells.values():
        found |= {part["task"]: part["chosen"] for part in cell.get("made_from", ()) if "chosen" in part}
    each = [
        f"{task} C = {chosen['strength']:g}, {chosen['class_weights']} class weights (dev {100 * chosen['dev']:.2f})"
        for task, chosen in found.items()
    ]
    return f"{line.label}, chosen on dev: {'; '.join(each)}." if each else ""


def _seeds(line: TableRow) -> str:
    seeds = {part["seed"] for cell in line.cells.values() for part in cell.get("made_from", ())}
    return f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}"


def _metric(column: Column, lines: Sequence[TableRow]) -> str:
    names = ", ".join(sorted(set(lines[0].cells[column.id]["metrics"].values())))
    return names.replace("_f1", "-F1").replace("_", " ")
