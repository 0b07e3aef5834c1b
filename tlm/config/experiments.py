"""Tables as data (`tables:` in config/experiments.yaml): rows are variants; columns tasks, metrics, facts, texts.

A new row is one line of YAML. `TableSpec` is a table as declared; `tlm.plan.tables` resolves it for one scale to a
`Table` of `Column` and `Row`. A `CellSpec` is the input of one cell. It has no title and no label, so that a changed
caption rebuilds the table and none of its cells.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from tlm.config.base import Strict
from tlm.config.facts import Fact
from tlm.config.variants import Swept

Split = Literal["dev", "test"]

PRIMARY = "primary"
MLM_LOSS = "mlm_loss"


class ColumnSpec(Strict):
    """One entry of `columns:`; exactly one of `fact`, `tasks`, `average` and `text`.

    - `fact`: a number of the runs that is no score, as the mean over the table's tasks: `parameters`; `flops` (paper's
      formula, stage 1), `matmul_flops` (as computed, stage 1), `stage2_matmul_flops`; `tokens` (of stage 1); `data`
      (bytes of external text); `seconds` (wall clock of stages 1 and 2 on the machine that ran them).
    - `tasks`: `all` or names; a column per task and metric.
    - `average`: the mean of the columns of tasks before it, back to another average. A task of several columns
      counts once, with their mean (as in BERT's and GLUE's tables).
    - `text`: its heading; the rows give its texts (`texts:`).
    """

    id: str = ""
    fact: Fact | None = None
    tasks: Literal["all"] | list[str] | None = None
    otherwise: Literal["all", "none"] | None = None
    """If the scale lacks some of `tasks`: `none` shows only those that it has; `all` does so too, or shows all tasks of
    the scale if it has none of them. Without this key the scale cannot have the table."""
    metric: str | list[str] | None = None
    """`primary` (the default) is the task's own metric; others are in `tlm.metrics`, or `mlm_loss` (held-out)."""
    split: Split | None = None
    """`test` by default."""
    called: str | None = None
    """The part of the column's name after the task, if it is not the metric: `mnli.matched`."""
    average: bool = False
    text: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        kinds = (self.fact is not None, self.tasks is not None, self.average, self.text is not None)
        if sum(kinds) != 1:
            raise ValueError("a column gives exactly one of fact, tasks, average and text")
        if self.tasks is None and not self.id:
            raise ValueError("a column of a fact, an average or a text needs an id")
        if self.tasks is not None and self.id:
            raise ValueError("columns of tasks are named after the tasks: leave out id")
        if self.tasks is None and (self.metric or self.split or self.otherwise or self.called):
            raise ValueError("metric, split, otherwise and called belong to columns of tasks")
        if self.called is not None and len(self.metrics) > 1:
            raise ValueError(f"several metrics cannot all be called {self.called!r}")
        if MLM_LOSS in self.metrics and self.split != "dev":
            raise ValueError("mlm_loss is measured on dev texts: set split: dev")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics to show of each task."""
        return tuple([self.metric] if isinstance(self.metric, str) else self.metric or [PRIMARY])


class RowSpec(Strict):
    """One entry of `rows:`: a variant, a sweep (a row for each value), or the scale's pretrained baselines."""

    id: str = Field("", pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """Rows of a sweep and of all baselines are named after their variants."""
    label: str | None = None
    """By default the variant's label. `{corpus}`, `{scale}` and `{baseline}` (its label) are filled in."""
    variant: str = ""
    sweep: Swept | None = None
    baselines: Literal["all", "first"] | None = None
    scales: list[str] = []
    """Show the row at these scales alone; by default at all."""
    optional: bool = False
    """Leave the row out at scales that lack what its variant reads."""
    beside: bool = False
    """Repeat the row for each scale of `beside:` in config.yaml."""
    reported: str | None = None
    """The paper's row to show below ours, from the table's `reported`; by default the row with the same id. `{scale}`,
    `{corpus}` and `{baseline_id}` are filled in."""
    texts: dict[str, str] = {}
    """Column id → text, for columns of texts."""

    @model_validator(mode="after")
    def _one_kind(self) -> RowSpec:
        kinds = (self.variant, self.sweep, self.baselines)
        if sum(map(bool, kinds)) != 1:
            raise ValueError(f"row {self.id}: give exactly one of variant, sweep and baselines")
        many = self.sweep is not None or self.baselines == "all"
        if many == bool(self.id):
            needs = "is named after its variants: leave out id" if many else "needs an id"
            raise ValueError(f"row {self.id or self.variant or self.sweep or self.baselines}: {needs}")
        return self


class TableSpec(Strict):
    """One table of results, as declared."""

    title: str
    columns: list[ColumnSpec] = Field(min_length=1)
    rows: list[RowSpec] = Field(min_length=1)
    reported: str | None = None
    """The paper's table in config/reported.yaml; all its rows are shown."""
    notes: tuple[str, ...] = ()
    """Footnotes that a reader needs to compare the numbers."""
    transpose: bool = False
    """Show rows as columns, as in Table 1."""

    @model_validator(mode="after")
    def _consistent(self) -> TableSpec:
        names = [row.id for row in self.rows if row.id]
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"row {double[0]!r} is declared twice")
        before = False
        for column in self.columns:
            if column.average and not before:
                raise ValueError(f"column {column.id!r}: this average needs columns of tasks before it")
            before = before or column.tasks is not None
        texts = {str(column.id) for column in self.columns if column.text is not None}
        for row in self.rows:
            if wrong := sorted(texts ^ set(row.texts)):
                raise ValueError(f"row {row.id}: texts and the columns of texts differ in {wrong[0]!r}")
        return self


class ExamplesSpec(Strict):
    """A table of training texts and the passages that they retrieve (Table 9)."""

    title: str
    queries: PositiveInt = 2
    """Training texts per task."""
    passages: PositiveInt = 2
    """Best-ranked passages of each."""
    notes: tuple[str, ...] = ()


class ContaminationSpec(Strict):
    """results/contamination.csv: the artifacts that are searched for dev and test texts."""

    variants: tuple[str, ...] = ()
    """The variants whose corpora and selections are audited, beside the training split."""


class AuditEntry(Strict):
    """One audit that results/contamination.csv shows."""

    task: str
    folder: str
    against: Literal["train", "corpus", "selection"]
    name: str
    """The corpus, or `<corpus>/<selection>`; empty for the training split."""
    read_by: tuple[str, ...] = ()
    """Labels of the variants that read this selection."""


class ContaminationTable(Strict):
    """results/contamination.csv for one scale."""

    audits: tuple[AuditEntry, ...]


class Score(Strict):
    """One metric of one task."""

    task: str
    metric: str
    split: Split


class Column(Strict):
    """A resolved column: which number of which runs it shows. Its cells depend on `tasks`."""

    id: str
    kind: Literal["score", "fact", "average", "text"]
    tasks: tuple[str, ...] = ()
    fact: Fact | None = None
    scores: tuple[Score, ...] = ()
    heading: str | None = None

    @property
    def metric(self) -> str | None:
        """The metric that all scores of the column share, or None."""
        found = {score.metric for score in self.scores}
        return found.pop() if len(found) == 1 else None

    @property
    def split(self) -> Split | None:
        """The split of its scores."""
        return self.scores[0].split if self.scores else None


class Row(Strict):
    """A resolved row."""

    id: str
    label: str
    variant: str
    scale: str
    reported: str
    """The paper's row, if its table has one of this name."""
    texts: dict[str, str] = {}
    pretraining: str | None = None
    """The row of reported.yaml with the FLOPs of pretraining the checkpoint: `<table>/<row>`."""


class Table(Strict):
    """A table for one scale."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reported: str | None = None
    notes: tuple[str, ...] = ()
    transpose: bool = False


class RowRuns(Strict):
    """The runs behind a row of a table."""

    scale: str
    variants: dict[str, str]
    """Task → the variant whose runs it reads; equal runs are built once, under the first variant's name."""
    seeds: tuple[int, ...] = Field(min_length=1)


class CellSpec(RowRuns):
    """The specification of one cell."""

    table: str
    row: str
    column: Column
