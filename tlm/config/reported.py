"""The paper's own numbers (`config/reported.yaml`), typed, and as cells marked `reported`.

Place in the flow: tables show them beside our numbers; the golden tests of our FLOPs and data columns start from
Table B.1 as transcribed here. Sections 4 and 5, appendices A and B.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator

from tlm.config.base import Strict, load_yaml, parse
from tlm.errors import TlmError

_SCORE = re.compile(r"(?P<mean>\d+\.\d+)±(?P<sd>\d+\.\d+)")


class Printed(Strict):
    """A printed number with its standard deviation if any, or a text (a hyper-parameter such as "3 or 10")."""

    mean: float | None = None
    sd: float | None = None
    text: str | None = None


class ReportedRow(Strict):
    """A row of one of the paper's tables: column id → printed value."""

    label: str
    cells: dict[str, Printed]

    @field_validator("cells", mode="before")
    @classmethod
    def _read(cls, cells: dict[str, Any]) -> dict[str, Any]:
        return {name: _printed(value) for name, value in cells.items()}


class ReportedTable(Strict):
    """One of the paper's tables; scores in percent, FLOPs in operations, data in bytes."""

    title: str
    split: Literal["dev", "test"] | None = None
    rows: dict[str, ReportedRow]
    notes: tuple[str, ...] = ()


class HyperParameters(Strict):
    """A column of Table B.1: stage 1 of TLM for one task at one scale; `data` in bytes, lengths in tokens."""

    k: PositiveInt
    rho1: PositiveInt
    rho2: PositiveInt
    corpus: str
    data: float = Field(gt=0)
    steps: PositiveInt
    batch_size: PositiveInt
    length: PositiveInt
    internal_length: PositiveInt | None = None


class Phase(Strict):
    """A part of a baseline's pretraining at one sequence length."""

    steps: PositiveInt
    batch_size: PositiveInt
    length: PositiveInt


class Pretraining(Strict):
    """A baseline's pretraining, from its own paper."""

    parameters: float
    phases: tuple[Phase, ...]


class Paper(Strict):
    """The version of the paper that was transcribed."""

    title: str
    version: str


class Reported(Strict):
    """The whole of config/reported.yaml."""

    paper: Paper
    tables: dict[str, ReportedTable]
    hyperparameters: dict[str, dict[str, HyperParameters]]
    """Table B.1: scale → task → values."""
    hyperparameter_means: dict[str, str]
    """Scale → row of a table, `<table>/<row>`, with the mean data and FLOPs of these tasks."""
    pretraining: dict[str, Pretraining]


@dataclass(frozen=True)
class ReportedLine:
    """A reported row: its place, its label, the notes of its table, and its cells in the same form as ours."""

    place: str  # "table2/bert-base"
    label: str
    notes: tuple[str, ...]
    cells: dict[str, dict[str, Any]]


def _printed(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(f"a printed value is a number, 'mean±sd' or a text, not {value!r}")
    if isinstance(value, (int, float)):
        return {"mean": value}
    if "±" not in value:
        return {"text": value}
    if not (match := _SCORE.fullmatch(value)):
        raise ValueError(f"not of the form mean±sd: {value!r}")
    return {"mean": float(match["mean"]), "sd": float(match["sd"])}


def load_reported(path: Path) -> Reported:
    """Read config/reported.yaml. Raises TlmError naming the first wrong key."""
    return parse(Reported, load_yaml(path), str(path))


def reported_line(reported: Reported, place: str) -> ReportedLine:
    """The row at `place`, "<table>/<row>". Raises TlmError if the paper has no such row."""
    name, _, row_name = place.partition("/")
    table = reported.tables.get(name)
    row = table.rows.get(row_name) if table else None
    if table is None or row is None:
        raise TlmError(f"config/reported.yaml has no row {place!r}; it has {', '.join(_places(reported))}")
    cells = {
        column: {"mean": value.mean, "sd": value.sd, "text": value.text, "source": "reported", "place": place}
        for column, value in row.cells.items()
    }
    return ReportedLine(place=place, label=row.label, notes=table.notes, cells=cells)


def _places(reported: Reported) -> list[str]:
    return [f"{name}/{row}" for name, table in reported.tables.items() for row in table.rows]
