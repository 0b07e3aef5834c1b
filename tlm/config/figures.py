"""Figures as data (`attention:` and `figures:` in config/experiments.yaml): what is drawn, of which runs.

Place in the flow: resolved for a scale by `tlm.plan.figures`, passed to `scripts/figure.py` as JSON. A changed title
redraws one figure; a changed sentence or sample also reads the heads again (Section 4.4.1).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from tlm.config.base import Strict
from tlm.config.compared import Differences
from tlm.config.variants import Swept

ATTENTION_TABLE = "attention"
"""results/attention.csv: no table of numbers may be called so."""


class HeadsSpec(Strict):
    """What is read off the heads of one trained model."""

    texts: PositiveInt = 200
    """Dev texts, drawn at random, over which maxima are counted; all of them where there are fewer."""
    seed: int = 1
    """Of the draw of the texts and of the resamples: the same for every model, so that pairs can be compared."""
    resamples: PositiveInt = 1000
    """Of the bootstrap over texts that gives the intervals."""
    examples: dict[str, str] = {}
    """Name → the sentence that a picture shows."""


class AttentionSpec(HeadsSpec):
    """`attention:`: how heads are read, and of which variants, for the pictures and results/attention.csv."""

    variants: tuple[str, ...] = ("tlm",)
    """The scale's pretrained baselines stand beside them."""
    checkpoints: tuple[str, ...] = ()
    """Where those baselines are checkpoints, these as well."""

    @property
    def heads(self) -> HeadsSpec:
        """The part that the reading of one model depends on."""
        return HeadsSpec(**{name: getattr(self, name) for name in HeadsSpec.model_fields})


class Series(Strict):
    """Points of one kind, joined by a line: rows of one of the paper's tables."""

    label: str
    rows: tuple[str, ...] = Field(min_length=1)


class PerformanceFigure(Strict):
    """Performance against relative FLOPs (Figure 1): the rows of one of our tables, and what the paper reports."""

    kind: Literal["performance"]
    title: str
    table: str
    performance: str = "average"
    """The column, of ours and of the paper's, that is the vertical axis."""
    flops: str = "flops"
    """The column that is the horizontal axis, relative to the most expensive row."""
    paper: str
    """The paper's table, in config/reported.yaml."""
    reported: tuple[Series, ...] = Field(min_length=1)


class PipelineFigure(Strict):
    """The rule graph behind some targets (Figure 2)."""

    kind: Literal["pipeline"]
    title: str
    targets: tuple[str, ...] = Field(min_length=1)


class HeadsFigure(Strict):
    """Attention of every head on one sentence, model beside model (Figures 3, C.1, C.2)."""

    kind: Literal["heads"]
    title: str
    example: str
    """One of `attention.examples`."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """The first of these that the scale has, or else the scale's first task: its models are shown."""


class SensitivityFigure(Strict):
    """Scores against K, rho1 and rho2 with intervals, a panel a sweep and task (Tables 4 to 6; beyond the paper)."""

    kind: Literal["sensitivity"]
    title: str
    tables: dict[Swept, str] = Field(min_length=1)
    """Sweep → the table that has a row for each of its values."""


class LearningFigure(Strict):
    """Held-out MLM loss against tokens of stage 1, a panel a task (beyond the paper)."""

    kind: Literal["learning"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → what it is called. A rival that is pretrained here stands beside them, by its end alone."""


class CalibrationFigure(Strict):
    """Reliability diagrams, a panel a task of classification (beyond the paper)."""

    kind: Literal["calibration"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → what it is called. The scale's first pretrained rival stands beside them."""
    split: Literal["dev", "test"] = "test"
    bins: PositiveInt = 10


class SelectionFigure(Strict):
    """Sources of selected passages against the corpus, and the ranks at which they were found (beyond the paper)."""

    kind: Literal["selection"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant that selects → what it is called; the first is the one whose ranks are shown."""


class CostsFigure(Strict):
    """FLOPs, time and memory of every stage of a run (beyond the paper)."""

    kind: Literal["costs"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → what it is called. The scale's first pretrained rival stands beside them."""


MeasuredFigure = LearningFigure | CalibrationFigure | SelectionFigure | CostsFigure

FigureSpec = Annotated[
    PerformanceFigure | PipelineFigure | HeadsFigure | SensitivityFigure | MeasuredFigure,
    Field(discriminator="kind"),
]


class ShownModel(Strict):
    """A variant, and what it is called under its picture."""

    variant: str
    label: str


class ShownRow(Strict):
    """A row of a table whose cells are a point, and the series that it belongs to."""

    row: str
    series: str


class Part(Strict):
    """One artifact that a figure of measurements shows: whose it is, and where its files are."""

    task: str
    label: str
    seed: int
    folders: dict[str, str]
    """Role → folder: stage1, evaluation, selection, retrieval, corpus; of costs rule → folder."""


class Drawing(Strict):
    """What a figure's script is told: the specification, and what the scale makes of it."""

    figure: FigureSpec
    models: tuple[ShownModel, ...] = ()
    """Of a figure of heads."""
    task: str | None = None
    """Of a figure of heads: whose models they are."""
    rows: tuple[ShownRow, ...] = ()
    """Of a figure of performance: the measured points."""
    parts: tuple[Part, ...] = ()
    """Of a figure of measurements: what is measured, in the order of its panels and series."""
    sweeps: dict[Swept, Differences] = {}
    """Of a figure of sensitivity: the rows of each sweep's table."""
    settings: dict[str, Any] = {}
    """Of a figure of the pipeline: config.yaml as it is in force, since the graph depends on it."""


class AttentionTable(Strict):
    """What the script of results/attention.csv is told."""

    models: tuple[ShownModel, ...]

    @field_validator("models")
    @classmethod
    def _some(cls, models: tuple[ShownModel, ...]) -> tuple[ShownModel, ...]:
        if not models:
            raise ValueError("no model to read heads of")
        return models
