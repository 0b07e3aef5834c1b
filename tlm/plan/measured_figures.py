"""What the figures of measurements show at the project's scale: learning curves, calibration, selections, costs.

Place in the flow: `tlm.config.figures` (what is declared) and `tlm.plan.runs` (what a run is) → here →
`tlm.plan.figures`, which workflow/rules/figures.smk asks. Beyond the paper.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from tlm.config.figures import CalibrationFigure, CostsFigure, LearningFigure, MeasuredFigure, Part
from tlm.config.project import Project
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan.runs import Run, manifest, resolve
from tlm.plan.shared_artifacts import largest_k


def parts(project: Project, figure: MeasuredFigure) -> tuple[Part, ...]:
    """What the figure is drawn from, in the order of the scale's tasks, the figure's variants, and seeds."""
    tasks = [task for task in project.scale.tasks if not _unclear(project, task, figure)]
    found = []
    for task in tasks:
        for variant, label in _variants(project, figure).items():
            for seed in _seeds(project, variant, figure):
                run = resolve(project, task, variant, seed)
                if folders := {
                    role: folder for role, folder in _folders(project, run, figure).items() if folder
                }:
                    found.append(Part(task=task, label=label, seed=seed, folders=folders))
    return tuple(found)


def inputs(drawn: tuple[Part, ...]) -> list[str]:
    """The manifests that those parts stand for; each once."""
    return list(dict.fromkeys(manifest(folder) for part in drawn for folder in part.folders.values()))


def check(project: Project, name: str, figure: MeasuredFigure) -> None:
    """Raises TlmError if a variant of the figure does not exist, or has nothing that it could show."""
    for variant in figure.variants:
        method = project.variant(variant).method
        if method == "tfidf" and not isinstance(figure, CalibrationFigure | CostsFigure):
            raise TlmError(
                f"config/experiments.yaml: figures.{name}: {variant!r} trains no encoder, selects no passage"
            )


def _variants(project: Project, figure: MeasuredFigure) -> dict[str, str]:
    """Those declared, and the scale's first pretrained rival, before what is no encoder."""
    rival = project.scale.baselines[0]
    spec = project.variant(rival)
    label = {rival: spec.label or rival}
    if isinstance(figure, LearningFigure):
        # Losses of another tokenizer are no measure beside ours, and nobody counts a checkpoint's tokens here.
        return {**figure.variants, **(label if spec.method == "plm" else {})}
    if isinstance(figure, CalibrationFigure | CostsFigure):
        encoders = {
            name: said for name, said in figure.variants.items() if project.variant(name).method != "tfidf"
        }
        return {**encoders, **label, **figure.variants}
    return figure.variants


def _seeds(project: Project, variant: str, figure: MeasuredFigure) -> list[int]:
    """All seeds; one where nothing is drawn at random, and of selections, which serve all seeds."""
    once = project.variant(variant).method == "tfidf" or figure.kind == "selection"
    return project.seeds[:1] if once else project.seeds


def _unclear(project: Project, task: str, figure: MeasuredFigure) -> bool:
    """Whether a task has no confidence that could be right or wrong."""
    return isinstance(figure, CalibrationFigure) and project.data.tasks[task].problem == "regression"


def _folders(project: Project, run: Run, figure: MeasuredFigure) -> dict[str, str | None]:
    if isinstance(figure, CostsFigure):
        return jobs(project, run)
    if isinstance(figure, CalibrationFigure):
        return {"evaluation": run.evaluation}
    if isinstance(figure, LearningFigure):
        return {"stage1": run.stage1, "evaluation": run.evaluation}
    if run.selection is None:
        return {}
    needed = run.selection.made_from(largest_k(project, run.selection.corpus, run.task))
    return {
        "selection": run.selection.folder,
        "retrieval": needed.get("retrieval"),
        "corpus": f"data/corpora/{run.selection.corpus}",
    }


def jobs(project: Project, run: Run) -> dict[str, str | None]:
    """Rule → folder of what it makes, for everything that one run needs, in the order of the flow."""
    if run.spec is None:
        return {"task": f"data/tasks/{run.task}", "tfidf": run.evaluation}
    selection = (run.pretraining or run).selection
    owner = None if selection is None or selection.owner == SHARED else selection
    needed = owner.made_from(largest_k(project, owner.corpus, run.task)) if owner else {}
    external = (run.pretraining or run).external_tokens
    return {
        "task": f"data/tasks/{run.task}",
        "corpus": f"data/corpora/{run.corpus}" if selection or not run.spec.model.pretrained else None,
        "tokenizer": f"data/tokenizers/{run.tokenizer}",
        "index": f"data/indexes/{owner.corpus}" if owner and "retrieval" in needed else None,
        "retrieve": needed.get("retrieval"),
        "selection": selection.folder if selection else None,
        "internal_tokens": run.internal_tokens,
        "external_tokens": external,
        "stage1": run.stage1,
        "stage2": run.model if run.spec.stage2 else None,
        "evaluate": run.evaluation,
    }


def benchmark(rule: str, folder: str) -> str:
    """The benchmark file of the rule that makes `folder`: both are named after its wildcards."""
    place, *names = PurePosixPath(folder).parts
    names = names[1:] if place == "data" else names[:-1]
    if rule == "external_tokens":
        names.remove("external")
    return f"benchmarks/{'tokens' if rule.endswith('_tokens') else rule}/{'-'.join(names)}.tsv"
