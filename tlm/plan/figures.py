"""The runs and cells that a figure shows at the project's scale, and where their files are.

Place in the flow: between the declarations of `tlm.config.figures` and workflow/rules/figures.smk, which calls
`tlm.rules`. `KINDS` has one entry for each kind of figure. A figure of heads lists tasks in order of preference,
because small scales lack the paper's tasks; its panels name the task.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.config.figures import (
    ATTENTION_TABLE,
    AttentionTable,
    Drawing,
    HeadsDrawing,
    HeadsFigure,
    PerformanceDrawing,
    PerformanceFigure,
    PipelineDrawing,
    PipelineFigure,
    SensitivityDrawing,
    SensitivityFigure,
    ShownModel,
    ShownRow,
)
from tlm.errors import TlmError
from tlm.layout import ATTENTION, CELL, RUN, manifest
from tlm.plan import measured_figures, tables
from tlm.plan.differences import differences
from tlm.plan.project import Project
from tlm.plan.runs import resolve

_WHERE = "config/experiments.yaml"


@dataclass(frozen=True)
class FigureKind:
    """How figures of one kind are resolved for a scale."""

    check: Callable[[Project, str, Any], None]
    """(project, name, specification): raises TlmError if the figure names something that does not exist."""
    resolve: Callable[[Project, Any], Any]
    """(project, specification) → the specification with the models, rows or runs that the figure shows."""
    inputs: Callable[[Project, Any], list[str]]
    """(project, resolved figure) → the files that the figure is drawn from."""
    built: bool = True
    """Whether rules make these files."""


def drawing(project: Project, name: str) -> Drawing:
    """The figure `name`, resolved for the project's scale. Raises TlmError for an unknown one."""
    figure = project.figure(name)
    return Drawing(figure=KINDS[figure.kind].resolve(project, figure))


def inputs(project: Project, name: str) -> list[str]:
    """The files that the figure `name` is drawn from."""
    figure = drawing(project, name).figure
    return KINDS[figure.kind].inputs(project, figure)


def check_figures(project: Project) -> None:
    """Raises TlmError naming the first figure whose table, variant or example does not exist."""
    experiments = project.experiments
    if taken := sorted({*experiments.figures, ATTENTION_TABLE} & set(experiments.tables)):
        raise TlmError(f"{_WHERE}: {taken[0]!r} is the name of a figure and of a table; rename one of them")
    for model in models(project):
        if not project.variant(model.variant).trains_encoder:
            raise TlmError(
                f"{_WHERE}: attention.variants: {model.variant!r} trains no encoder and has no heads"
            )
    for name, figure in experiments.figures.items():
        KINDS[figure.kind].check(project, name, figure)


def attention_table(project: Project) -> AttentionTable:
    """results/attention.csv, resolved."""
    return AttentionTable(models=models(project))


def models(project: Project) -> tuple[ShownModel, ...]:
    """The variants whose heads are compared: those declared, then the scale's pretrained baselines."""
    spec, baselines = project.experiments.attention, project.scale.baselines
    checkpoints = any(project.variant(name).method == "checkpoint" for name in baselines)
    names = dict.fromkeys((*spec.variants, *(spec.checkpoints if checkpoints else ()), *baselines))
    return tuple(ShownModel(variant=name, label=project.variant(name).label or name) for name in names)


def compared_folders(project: Project) -> list[str]:
    """The attention artifacts behind results/attention.csv: every task, model and seed of the scale."""
    return [
        _attention(project, task, model.variant, seed)
        for task in project.scale.tasks
        for model in models(project)
        for seed in project.seeds
    ]


def _attention(project: Project, task: str, variant: str, seed: int) -> str:
    return ATTENTION.format(**RUN.parse(resolve(project, task, variant, seed).folder))


def _heads(project: Project, figure: HeadsFigure) -> HeadsDrawing:
    """The models of the first of the figure's tasks that the scale has, else of the scale's first task."""
    task = next((task for task in figure.tasks if task in project.scale.tasks), project.scale.tasks[0])
    return HeadsDrawing(**dict(figure), models=models(project), task=task)


def _heads_inputs(project: Project, figure: HeadsDrawing) -> list[str]:
    """One attention artifact a model, of the first seed."""
    return [
        manifest(_attention(project, figure.task, model.variant, project.seeds[0])) for model in figure.models
    ]


def _check_heads(project: Project, name: str, figure: HeadsFigure) -> None:
    known = project.experiments.attention.examples
    if figure.example not in known:
        names = ", ".join(known) or "none"
        raise TlmError(
            f"{_WHERE}: figures.{name}.example: no {figure.example!r} in attention.examples; there are {names}"
        )


def _performance(project: Project, figure: PerformanceFigure) -> PerformanceDrawing:
    """A point for each row of the table. Rows whose labels differ only in a last parenthesis are one series."""
    rows = [
        ShownRow(row=row.id, series=re.sub(r" \([^()]*\)$", "", row.label))
        for row in tables.table(project, figure.table).rows
    ]
    return PerformanceDrawing(**dict(figure), rows=tuple(rows))


def _performance_inputs(project: Project, figure: PerformanceDrawing) -> list[str]:
    """The cells behind the measured points."""
    return [
        CELL.format(table=figure.table, row=point.row, column=column)
        for point in figure.rows
        for column in (figure.performance, figure.flops)
    ]


def _check_performance(project: Project, name: str, figure: PerformanceFigure) -> None:
    project.table(figure.table)


def _sensitivity(project: Project, figure: SensitivityFigure) -> SensitivityDrawing:
    cells = tables.cells(project)
    sweeps = {name: differences(project, cells, table) for name, table in figure.tables.items()}
    return SensitivityDrawing(**dict(figure), sweeps=sweeps)


def _sensitivity_inputs(project: Project, figure: SensitivityDrawing) -> list[str]:
    """The evaluations of the rows; each once."""
    rows = [row for spec in figure.sweeps.values() for row in spec.rows]
    return list(dict.fromkeys(manifest(folder) for row in rows for folder in tables.run_folders(row)))


def _check_sensitivity(project: Project, name: str, figure: SensitivityFigure) -> None:
    for table in figure.tables.values():
        project.table(table)


def _pipeline(project: Project, figure: PipelineFigure) -> PipelineDrawing:
    return PipelineDrawing(**dict(figure), settings=project.settings.model_dump(mode="json"))


def _pipeline_inputs(project: Project, figure: PipelineDrawing) -> list[str]:
    return ["Snakefile", *map(str, sorted(Path("workflow/rules").glob("*.smk")))]


_MEASURED = FigureKind(measured_figures.check, measured_figures.resolve, measured_figures.inputs)

KINDS = {
    "performance": FigureKind(_check_performance, _performance, _performance_inputs),
    "pipeline": FigureKind(lambda *_: None, _pipeline, _pipeline_inputs, built=False),
    "heads": FigureKind(_check_heads, _heads, _heads_inputs),
    "sensitivity": FigureKind(_check_sensitivity, _sensitivity, _sensitivity_inputs),
    **dict.fromkeys(measured_figures.KINDS, _MEASURED),
}
"""Kind of figure → how it is resolved. `tlm.results.figures.draw` draws it; workflow/report/figure.rst has captions."""
