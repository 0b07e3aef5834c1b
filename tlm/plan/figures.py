"""Which runs and cells a figure shows at the project's scale, and where they are.

Place in the flow: between the declarations of `tlm.config.figures` and workflow/rules/figures.smk, which asks through
`tlm.rules`. A figure of heads names tasks in the order of its preference, since no small scale has the paper's; the
picture says which it shows.
"""

from __future__ import annotations

from tlm.config.figures import (
    ATTENTION_TABLE,
    AttentionTable,
    Drawing,
    HeadsFigure,
    MeasuredFigure,
    PerformanceFigure,
    PipelineFigure,
    SensitivityFigure,
    ShownModel,
    ShownRow,
)
from tlm.config.project import Project
from tlm.errors import TlmError
from tlm.plan import measured_figures, tables
from tlm.plan.differences import differences, folders
from tlm.plan.runs import resolve

_WHERE = "config/experiments.yaml"


def drawing(project: Project, name: str) -> Drawing:
    """The figure `name`, resolved for the project's scale. Raises TlmError for an unknown one."""
    figure = project.figure(name)
    if isinstance(figure, HeadsFigure):
        return Drawing(figure=figure, models=models(project), task=shown_task(project, figure))
    if isinstance(figure, PerformanceFigure):
        return Drawing(figure=figure, rows=_points(project, figure))
    if isinstance(figure, SensitivityFigure):
        cells = tables.cells(project)
        sweeps = {name: differences(project, cells, table) for name, table in figure.tables.items()}
        return Drawing(figure=figure, sweeps=sweeps)
    if isinstance(figure, MeasuredFigure):
        return Drawing(figure=figure, parts=measured_figures.parts(project, figure))
    return Drawing(figure=figure, settings=project.settings.model_dump(mode="json"))


def attention_table(project: Project) -> AttentionTable:
    """results/attention.csv, resolved."""
    return AttentionTable(models=models(project))


def models(project: Project) -> tuple[ShownModel, ...]:
    """The variants whose heads are compared: those declared, then the scale's pretrained baselines."""
    spec, baselines = project.experiments.attention, project.scale.baselines
    checkpoints = any(project.variant(name).method == "checkpoint" for name in baselines)
    names = dict.fromkeys((*spec.variants, *(spec.checkpoints if checkpoints else ()), *baselines))
    return tuple(ShownModel(variant=name, label=project.variant(name).label or name) for name in names)


def shown_task(project: Project, figure: HeadsFigure) -> str:
    """The first of the figure's tasks that the scale has, or else the scale's first."""
    return next((task for task in figure.tasks if task in project.scale.tasks), project.scale.tasks[0])


def heads_folders(project: Project, name: str) -> list[str]:
    """The attention artifacts that a figure of heads shows, one a model: of the first seed."""
    shown = drawing(project, name)
    assert shown.task is not None
    return [_heads(project, shown.task, model.variant, project.seeds[0]) for model in shown.models]


def compared_folders(project: Project) -> list[str]:
    """The attention artifacts behind results/attention.csv: every task, model and seed of the scale."""
    return [
        _heads(project, task, model.variant, seed)
        for task in project.scale.tasks
        for model in models(project)
        for seed in project.seeds
    ]


def _heads(project: Project, task: str, variant: str, seed: int) -> str:
    return f"{resolve(project, task, variant, seed).folder}/attention"


def performance_cells(project: Project, name: str) -> list[str]:
    """The cells behind the measured points of a figure of performance."""
    shown = drawing(project, name)
    assert isinstance(shown.figure, PerformanceFigure)
    return [
        f"results/cells/{shown.figure.table}/{point.row}/{column}.json"
        for point in shown.rows
        for column in (shown.figure.performance, shown.figure.flops)
    ]


def sensitivity_folders(project: Project, name: str) -> list[str]:
    """The evaluations behind a figure of sensitivity."""
    found = drawing(project, name).sweeps.values()
    return list(dict.fromkeys(folder for spec in found for row in spec.rows for folder in folders(row)))


def _points(project: Project, figure: PerformanceFigure) -> tuple[ShownRow, ...]:
    """The rows of the table; a variant at several scales is one series."""
    return tuple(
        ShownRow(row=row.id, series=row.label.removesuffix(f" ({row.scale} scale)"))
        for row in tables.table(project, figure.table).rows
    )


def check_figures(project: Project) -> None:
    """Raises TlmError naming the first figure whose table, variant or example does not exist."""
    experiments = project.experiments
    if taken := sorted({*experiments.figures, ATTENTION_TABLE} & set(experiments.tables)):
        raise TlmError(f"{_WHERE}: {taken[0]!r} is a figure's name; call the table otherwise")
    for model in models(project):
        if project.variant(model.variant).method == "tfidf":
            raise TlmError(
                f"{_WHERE}: attention.variants: {model.variant!r} trains no encoder and has no heads"
            )
    known = experiments.attention.examples
    for name, figure in experiments.figures.items():
        if isinstance(figure, PipelineFigure):
            continue
        if isinstance(figure, PerformanceFigure):
            project.table(figure.table)
        elif isinstance(figure, SensitivityFigure):
            for table in figure.tables.values():
                project.table(table)
        elif isinstance(figure, MeasuredFigure):
            measured_figures.check(project, name, figure)
        elif figure.example not in known:
            names = ", ".join(known) or "none"
            raise TlmError(
                f"{_WHERE}: figures.{name}.example: no {figure.example!r} in attention.examples; there are {names}"
            )
