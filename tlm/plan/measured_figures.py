"""The runs that figures of measurements show at the project's scale: learning, calibration, selection, costs.

Place in the flow: `tlm.config.figures` (specifications) and `tlm.plan.runs` (runs) → here → `tlm.plan.figures`. Beyond
the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlm import layout
from tlm.config.figures import (
    CalibrationDrawing,
    CalibrationFigure,
    CostsDrawing,
    CostsFigure,
    LearningDrawing,
    LearningFigure,
    MeasuredRun,
    SelectionDrawing,
    SelectionFigure,
)
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan.project import Project
from tlm.plan.run_jobs import jobs
from tlm.plan.run_types import Run, as_encoder
from tlm.plan.runs import resolve as resolve_run
from tlm.plan.shared_artifacts import largest_k

MeasuredFigure = LearningFigure | CalibrationFigure | SelectionFigure | CostsFigure
MeasuredDrawing = LearningDrawing | CalibrationDrawing | SelectionDrawing | CostsDrawing


@dataclass(frozen=True)
class Measurement:
    """Which runs the figures of one kind show, and which of their folders hold the measurements."""

    drawing: type[Any]
    folders: Callable[[Project, Run], dict[str, str | None]]
    """Role → folder; a run without any folder is left out."""
    variants: Callable[[Project, dict[str, str]], dict[str, str]] = lambda project, declared: declared
    """Declared variants with labels → all variants that are shown."""
    needs_encoder: bool = True
    """Whether TF-IDF has no such measurement."""
    every_seed: bool = True
    problems: tuple[str, ...] = ("classification", "regression")
    """Tasks of other problems are left out."""


def resolve(project: Project, figure: MeasuredFigure) -> MeasuredDrawing:
    """The figure with the runs that it shows, in the order of the scale's tasks, the figure's variants, and seeds."""
    kind, runs = KINDS[figure.kind], []
    for task in project.scale.tasks:
        if project.data.tasks[task].problem not in kind.problems:
            continue
        for variant, label in kind.variants(project, figure.variants).items():
            for seed in project.seeds_of(variant) if kind.every_seed else project.seeds[:1]:
                folders = kind.folders(project, resolve_run(project, task, variant, seed))
                if given := {role: folder for role, folder in folders.items() if folder}:
                    runs.append(MeasuredRun(task=task, label=label, seed=seed, folders=given))
    return kind.drawing(**dict(figure), runs=tuple(runs))


def inputs(project: Project, figure: MeasuredDrawing) -> list[str]:
    """The manifests of all folders of a resolved figure; each once."""
    return list(dict.fromkeys(manifest(folder) for run in figure.runs for folder in run.folders.values()))


def check(project: Project, name: str, figure: MeasuredFigure) -> None:
    """Raises TlmError if a variant of the figure does not exist, or has no such measurements."""
    for variant in figure.variants:
        if not project.variant(variant).trains_encoder and KINDS[figure.kind].needs_encoder:
            raise TlmError(
                f"config/experiments.yaml: figures.{name}: {variant!r} trains no encoder and selects no passages"
            )


def _with_pretrained(project: Project, declared: dict[str, str]) -> dict[str, str]:
    """With the scale's first baseline if this project pretrains it.

    A checkpoint has another tokenizer, so that its loss cannot be compared, and its tokens are not counted here.
    """
    baseline = project.scale.baselines[0]
    spec = project.variant(baseline)
    return {**declared, **({baseline: spec.label or baseline} if spec.method == "plm" else {})}


def _with_baseline(project: Project, declared: dict[str, str]) -> dict[str, str]:
    """With the scale's first baseline: first encoders, then the baseline, then TF-IDF."""
    baseline = project.scale.baselines[0]
    encoders = {name: label for name, label in declared.items() if project.variant(name).trains_encoder}
    return {**encoders, baseline: project.variant(baseline).label or baseline, **declared}


def _learning(project: Project, run: Run) -> dict[str, str | None]:
    return {"stage1": as_encoder(run).stage1, "evaluation": run.evaluation}


def _calibration(project: Project, run: Run) -> dict[str, str | None]:
    return {"evaluation": run.evaluation}


def _selection(project: Project, run: Run) -> dict[str, str | None]:
    run = as_encoder(run)
    if run.selection is None:
        return {}
    needed = run.selection.made_from(largest_k(project, run.selection.corpus, run.task))
    return {
        "selection": run.selection.folder,
        "retrieval": needed.get("retrieval"),
        "corpus": None if run.selection.given else layout.CORPUS.format(corpus=run.selection.corpus),
    }


def _jobs(project: Project, run: Run) -> dict[str, str | None]:
    return dict(jobs(project, run))


KINDS = {
    "learning": Measurement(LearningDrawing, _learning, _with_pretrained),
    "calibration": Measurement(
        CalibrationDrawing, _calibration, _with_baseline, needs_encoder=False, problems=("classification",)
    ),
    "selection": Measurement(SelectionDrawing, _selection, every_seed=False),
    "costs": Measurement(CostsDrawing, _jobs, _with_baseline, needs_encoder=False),
}
