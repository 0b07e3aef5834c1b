"""Tables as data (`tables:` in config/experiments.yaml): rows are variants; columns tasks, metrics, facts.

Adding a row to an ablation is a line of YAML. `columns_of` resolves what a table declares against the tasks
of a scale, and `CellSpec` is everything that one cell is made of: it carries no title and no label, so that
a changed caption rebuilds the table and none of its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field, model_validator

from tlm.config.base import Strict
from tlm.errors import TlmError

Split = Literal["dev", "test"]
Fact = Literal["parameters", "flops", "matmul_flops", "stage2_matmul_flops", "tokens", "data", "seconds"]

PRIMARY = "primary"
MLM_LOSS = "mlm_loss"


class ColumnSpec(Strict):
    """One entry of `columns:`; exactly one of `fact`, `tasks` and `average`.

    - `fact`: what a run costs, as the mean over the scale's tasks: `parameters`; `flops` (paper's formula,
      stage 1), `matmul_flops` (as computed, stage 1), `stage2_matmul_flops`; `tokens` (of stage 1); `data`
      (bytes of external text); `seconds` (wall clock of stages 1 and 2 on the machine that ran them).
    - `tasks`: `all` or names; one column per task, with `metric` and `split`.
    - `average`: the mean of the columns of the last `tasks` entry before it.
    """

    id: str | None = None
    fact: Fact | None = None
    tasks: Literal["all"] | list[str] | None = None
    metric: str | None = None
    """`primary` (where left out) is the task's own; else one of `tlm.metrics`, or `mlm_loss` (held-out)."""
    split: Split | None = None
    """`test` where left out."""
    average: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        if (self.fact is not None) + (self.tasks is not None) + self.average != 1:
            raise ValueError("a column gives exactly one of fact, tasks and average")
        if self.tasks is None and self.id is None:
            raise ValueError("a column of a fact or an average needs an id")
        if self.tasks is not None and self.id is not None:
            raise ValueError("columns of tasks are named after the tasks: leave out id")
        if self.tasks is None and (self.metric or self.split):
            raise ValueError("metric and split belong to columns of tasks")
        if self.metric == MLM_LOSS and self.split != "dev":
            raise ValueError("mlm_loss is measured on dev texts: set split: dev")
        return self


class RowSpec(Strict):
    """One entry of `rows:`: a variant that is run, or a row of the paper (`reported: table2/bert-base`)."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    label: str | None = None
    variant: str | None = None
    reported: str | None = Field(None, pattern=r"^[^/]+/[^/]+$")

    @model_validator(mode="after")
    def _one_kind(self) -> RowSpec:
        if (self.variant is None) == (self.reported is None):
            raise ValueError(f"row {self.id}: give exactly one of variant and reported")
        if self.variant is not None and self.label is None:
            raise ValueError(f"row {self.id}: a row of a variant needs a label")
        return self


class TableSpec(Strict):
    """One table of results."""

    title: str
    columns: list[ColumnSpec] = Field(min_length=1)
    rows: list[RowSpec] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    """Footnotes: what a reader must know to compare these numbers."""

    @model_validator(mode="after")
    def _consistent(self) -> TableSpec:
        names = [row.id for row in self.rows]
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"row {double[0]!r} is declared twice")
        before: ColumnSpec | None = None
        for column in self.columns:
            if column.average and before is None:
                raise ValueError(f"column {column.id!r}: no tasks stand before this average")
            before = column if column.tasks is not None else before
        return self

    @property
    def measured_rows(self) -> list[RowSpec]:
        """Rows that are run, in order."""
        return [row for row in self.rows if row.variant is not None]


class Column(Strict):
    """A resolved column: which number of which runs it shows. `tasks` is what a cell in it depends on."""

    id: str
    kind: Literal["score", "fact", "average"]
    tasks: tuple[str, ...] = Field(min_length=1)
    fact: Fact | None = None
    metric: str | None = None
    split: Split | None = None


class CellSpec(Strict):
    """Everything that one cell needs from the configuration."""

    table: str
    row: str
    variant: str
    scale: str
    seeds: tuple[int, ...] = Field(min_length=1)
    column: Column


def columns_of(table: TableSpec, tasks: Sequence[str]) -> list[Column]:
    """The columns of `table` for a scale with `tasks`, in order.

    The column of a task is called after it, `<task>.<metric>` when the metric is not the task's own. Raises
    TlmError if a column names a task that the scale does not have, or if two columns get the same id.
    """
    columns: list[Column] = []
    before: tuple[tuple[str, ...], str, Split] | None = None
    for spec in table.columns:
        if spec.tasks is not None:
            chosen = tuple(tasks if spec.tasks == "all" else spec.tasks)
            if unknown := [task for task in chosen if task not in tasks]:
                raise TlmError(
                    f"table {table.title!r}: column of task {unknown[0]!r}, which the scale does not have; "
                    f"it has {', '.join(tasks)}"
                )
            metric, split = spec.metric or PRIMARY, spec.split or "test"
            before = (chosen, metric, split)
            for task in chosen:
                name = task if metric == PRIMARY else f"{task}.{metric}"
                columns.append(Column(id=name, kind="score", tasks=(task,), metric=metric, split=split))
            continue
        assert spec.id is not None
        if spec.average:
            assert before is not None
            chosen, metric, split = before
            columns.append(Column(id=spec.id, kind="average", tasks=chosen, metric=metric, split=split))
        else:
            columns.append(Column(id=spec.id, kind="fact", tasks=tuple(tasks), fact=spec.fact))
    names = [column.id for column in columns]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise TlmError(f"table {table.title!r}: two columns are called {double[0]!r}")
    return columns


def cell_specs(
    name: str,
    table: TableSpec,
    *,
    scale: str,
    tasks: Sequence[str],
    seeds_of: Callable[[str], Sequence[int]],
) -> dict[tuple[str, str], CellSpec]:
    """(row id, column id) → cell, for every row that is run.

    `seeds_of` gives the seeds of a variant (a deterministic one needs a single seed). A cell is made from the
    evaluations of `column.tasks` x `seeds`.
    """
    return {
        (row.id, column.id): CellSpec(
            table=name,
            row=row.id,
            variant=row.variant,
            scale=scale,
            seeds=tuple(seeds_of(row.variant)),
            column=column,
        )
        for row in table.rows
        if row.variant is not None
        for column in columns_of(table, tasks)
    }
