"""Figures as data (`attention:` and `figures:` in config/experiments.yaml): the kinds of figures and their settings.

Place in the flow: `tlm.plan.figures` resolves a specification (`…Figure`) for a scale, which gives a `…Drawing`;
`scripts/figure.py` gets that as JSON. A changed title redraws one figure; a changed sentence or sample also reads the
heads again (Section 4.4.1).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from tlm.config.base import Strict
from tlm.config.differences import Differences
from tlm.config.variants import Swept

ATTENTION_TABLE = "attention"
"""results/attention.csv: no other table may have this name."""


class HeadsSpec(Strict):
    """How the attention heads of one trained model are measured."""

    texts: PositiveInt = 200
    """Number of dev texts, drawn at random, whose attention maxima are counted; all texts if there are fewer."""
    seed: int = 1
    """Seed for drawing texts and resamples. All models share it, so that their numbers can be compared in pairs."""
    resamples: PositiveInt = 1000
    """Bootstrap resamples of the texts for the intervals."""
    examples: dict[str, str] = {}
    """Name → sentence that a figure shows."""


class AttentionSpec(HeadsSpec):
    """`attention:`: how heads are measured, and for which variants; for the figures and results/attention.csv."""

    variants: tuple[str, ...] = ()
    """The variants whose heads are measured. The scale's pretrained baselines are added."""
    checkpoints: tuple[str, ...] = ()
    """Variants that are added if those baselines are checkpoints."""

    @property
    def heads(self) -> HeadsSpec:
        """The settings that the measurement of one model depends on."""
        return HeadsSpec(**{name: getattr(self, name) for name in HeadsSpec.model_fields})


class Series(Strict):
    """Points joined by one line: rows of one of the paper's tables."""

    label: str
    rows: tuple[str, ...] = Field(min_length=1)


class PerformanceFigure(Strict):
    """Performance against relative FLOPs (Figure 1): the rows of one of our tables; beside them the paper's."""

    kind: Literal["performance"]
    title: str
    table: str
    performance: str = "average"
    """The column for the vertical axis, in our table and in the paper's."""
    flops: str = "flops"
    """The column for the horizontal axis, relative to the most expensive row."""
    paper: str | None = None
    """The paper's table, in config/reported.yaml."""
    reported: tuple[Series, ...] = ()
    """The paper's rows; none: only our panel is drawn."""


class PipelineFigure(Strict):
    """The rule graph of some targets (Figure 2)."""

    kind: Literal["pipeline"]
    title: str
    targets: tuple[str, ...] = Field(min_length=1)


class HeadsFigure(Strict):
    """Attention of every head on one sentence, one panel a model (Figures 3, C.1, C.2)."""

    kind: Literal["heads"]
    title: str
    example: str
    """A name in `attention.examples`."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Tasks in order of preference: the figure shows the first that the scale has, else the scale's first task."""


class SensitivityFigure(Strict):
    """Scores against K, rho1 and rho2 with intervals, a panel per sweep and task (Tables 4 to 6; beyond the paper)."""

    kind: Literal["sensitivity"]
    title: str
    tables: dict[Swept, str] = Field(min_length=1)
    """Sweep → the table that has a row for each of its values."""


class LearningFigure(Strict):
    """Held-out MLM loss against tokens of stage 1, one panel a task (beyond the paper)."""

    kind: Literal["learning"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → label. A baseline that this project pretrains is added, with its final loss alone."""


class CalibrationFigure(Strict):
    """Reliability diagrams, one panel a classification task (beyond the paper)."""

    kind: Literal["calibration"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → label. The scale's first pretrained baseline is added."""
    split: Literal["dev", "test"] = "test"
    bins: PositiveInt = 10


class SelectionFigure(Strict):
    """Sources of the selected passages and of the corpus, and the ranks of the passages (beyond the paper)."""

    kind: Literal["selection"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant that selects passages → label. The first must use BM25: its ranks are shown."""


class CostsFigure(Strict):
    """FLOPs, time and memory of every job of a run (beyond the paper)."""

    kind: Literal["costs"]
    title: str
    variants: dict[str, str] = Field(min_length=1)
    """Variant → label. The scale's first pretrained baseline is added."""


MeasuredFigure = LearningFigure | CalibrationFigure | SelectionFigure | CostsFigure

FigureSpec = Annotated[
    PerformanceFigure | PipelineFigure | HeadsFigure | SensitivityFigure | MeasuredFigure,
    Field(discriminator="kind"),
]


class ShownModel(Strict):
    """A variant, and its label under its picture."""

    variant: str
    label: str


class ShownRow(Strict):
    """A table row whose cells make one point of a figure, and the series that the point belongs to."""

    row: str
    series: str


class MeasuredRun(Strict):
    """One run that a figure shows: its task, label and seed, and the folders with its measurements."""

    task: str
    label: str
    seed: int
    folders: dict[str, str]
    """Role → folder. Roles: stage1, evaluation, selection, retrieval, corpus; in a figure of costs, names of rules."""


class PerformanceDrawing(PerformanceFigure):
    """Figure 1, resolved for a scale."""

    rows: tuple[ShownRow, ...] = ()
    """The measured points."""


class PipelineDrawing(PipelineFigure):
    """Figure 2, resolved."""

    settings: dict[str, Any] = {}
    """The values of config.yaml in use: the rule graph depends on them."""


class HeadsDrawing(HeadsFigure):
    """Figure 3, C.1 or C.2, resolved for a scale."""

    models: tuple[ShownModel, ...]
    task: str
    """The task whose models are shown."""


class SensitivityDrawing(SensitivityFigure):
    """A figure of sweeps, resolved for a scale."""

    sweeps: dict[Swept, Differences]
    """Sweep → the rows of its table."""


class ShownRuns(Strict):
    """The field that resolved figures of measurements share."""

    runs: tuple[MeasuredRun, ...] = ()
    """In the order of the panels and series."""


class LearningDrawing(LearningFigure, ShownRuns):
    """Learning curves, resolved for a scale."""


class CalibrationDrawing(CalibrationFigure, ShownRuns):
    """Reliability diagrams, resolved for a scale."""


class SelectionDrawing(SelectionFigure, ShownRuns):
    """Sources and ranks of selected passages, resolved for a scale."""


class CostsDrawing(CostsFigure, ShownRuns):
    """Costs of runs, resolved for a scale."""


class Drawing(Strict):
    """The input of a figure's script: the specification, and the models, rows or runs that it shows at this scale."""

    figure: Annotated[
        PerformanceDrawing
        | PipelineDrawing
        | HeadsDrawing
        | SensitivityDrawing
        | LearningDrawing
        | CalibrationDrawing
        | SelectionDrawing
        | CostsDrawing,
        Field(discriminator="kind"),
    ]


class AttentionTable(Strict):
    """The input of the script that writes results/attention.csv."""

    models: tuple[ShownModel, ...] = Field(min_length=1)
