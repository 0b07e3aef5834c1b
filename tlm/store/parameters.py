"""The keys of config/ that each stage reads, for `params:` in dvc.yaml.

Place in the flow: `tlm.store.stages` → here → `tlm.store.document`. Snakemake compares the specification of each job,
and so reruns exactly the jobs that a changed number affects. A stage is coarser: it lists the sections of config/ that
its jobs' specifications are made of. A test changes every key of config/: if the specification of a stage's job
changes, the stage must list the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tlm import layout
from tlm.config.base import load_yaml
from tlm.config.params import FILE as PARAMS
from tlm.errors import TlmError
from tlm.plan.project import Project
from tlm.plan.sweeps import grid_variants
from tlm.store.stages import DvcStage

SETTINGS = "config/config.yaml"
EXPERIMENTS = "config/experiments.yaml"
TASKS = "config/tasks.yaml"
CORPORA = "config/corpora.yaml"
SOURCES = "config/sources.yaml"

Keys = dict[str, list[str]]


def scale_file(project: Project) -> str:
    """The file of the project's scale. Raises TlmError for the scale of your own task, which has no file."""
    file = f"config/scales/{project.settings.scale}.yaml"
    if not (project.folder.parent / file).is_file():
        raise TlmError(f"dvc.yaml needs a scale of config/scales/; there is no {project.settings.scale}.yaml")
    return file


def keys(project: Project, stage: DvcStage) -> Keys:
    """File → dotted keys; only keys that the file has, since DVC refuses others."""
    wanted = _READ[stage.kind.name](project, stage)
    found = {
        file: [key for key in names if _has(load_yaml(_path(project, file)), key)]
        for file, names in wanted.items()
    }
    return {file: names for file, names in found.items() if names}


def _path(project: Project, file: str) -> Path:
    return project.folder.parent / file


def _has(content: Any, key: str) -> bool:
    here = content
    for part in key.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def _source(project: Project, stage: DvcStage) -> Keys:
    return {SOURCES: [f"sources.{stage.item}"], SETTINGS: ["mirrors"]}


def _task(project: Project, stage: DvcStage) -> Keys:
    local = ["local_tasks"] if stage.item in project.settings.local_tasks else []
    return {TASKS: [f"tasks.{stage.item}"], SETTINGS: local}


def _corpus(project: Project, stage: DvcStage) -> Keys:
    local = ["local_corpora"] if stage.item in project.settings.local_corpora else []
    return {CORPORA: [f"corpora.{stage.item}"], SETTINGS: local}


def _tokenizer(project: Project, stage: DvcStage) -> Keys:
    return {scale_file(project): ["tokenizer"]}


def _index(project: Project, stage: DvcStage) -> Keys:
    served = project.settings.retrieval.backend == "elasticsearch"
    return {
        SETTINGS: ["retrieval.index", "retrieval.backend", *(["retrieval.elasticsearch"] if served else [])]
    }


def _retrieve(project: Project, stage: DvcStage) -> Keys:
    return {SETTINGS: ["retrieval.index", "retrieval.query"], TASKS: [f"tasks.{stage.item}.query"]}


def _select(project: Project, stage: DvcStage) -> Keys:
    names = [PurePosixPath(out).name for out in stage.outs]
    draws = not all(name.startswith("bm25-") for name in names)
    own = f"per_task.{stage.item}.k"
    scale = scale_file(project)
    k = own if _has(load_yaml(_path(project, scale)), own) else "k"
    return {
        scale: [k] if any("-k" in name for name in names) else [],
        SETTINGS: ["selection_seed"] if draws else [],
    }


def _none(project: Project, stage: DvcStage) -> Keys:
    return {}


def _train(project: Project, stage: DvcStage) -> Keys:
    stages = (layout.STAGE1, layout.STAGE2)
    names = [names for out in stage.outs for pattern in stages if (names := pattern.match(out))]
    # A run is stored under the first variant with equal settings: a declared variant, or a value of a sweep.
    trained = {each["variant"] for each in names}
    variants = sorted(trained & set(project.experiments.variants))
    grid = trained & set(grid_variants(project.grid)) - set(project.variants)
    sweeps = trained - set(variants) - grid
    scale = ["model", "embedding_init", "stage1", "stage2", "per_task"]
    pretrains = any(each["task"] == layout.SHARED for each in names)
    budgeted = pretrains or any(project.variant(name).method == "adapted" for name in variants)
    return {
        PARAMS: ["rho1", "rho2"],
        scale_file(project): [*scale, *(["plm"] if budgeted else []), *(["grid"] if grid else [])],
        SETTINGS: ["precision", "attention", "compile", "overrides"],
        EXPERIMENTS: [
            *(f"variants.{name}" for name in variants),
            *(["sweeps"] if sweeps else []),
            *(["grid"] if grid else []),
        ],
    }


def _evaluate(project: Project, stage: DvcStage) -> Keys:
    return {EXPERIMENTS: ["attention"] if "attention" in stage.rules else []}


def _tables(project: Project, stage: DvcStage) -> Keys:
    names = sorted({PurePosixPath(target).stem for target in stage.targets})
    experiments = project.experiments
    shown = [f"tables.{name}" for name in names if name in experiments.tables]
    shown += [f"examples.{name}" for name in names if name in experiments.examples]
    named = [
        row.sweep for name in names if name in experiments.tables for row in experiments.tables[name].rows
    ]
    labels = [f"sweeps.{sweep}" for sweep in sorted({sweep for sweep in named if sweep})]
    if "contamination" in stage.rules:
        shown += ["contamination", "variants"]
    if "attention_table" in stage.rules:
        shown.append("attention")
    if "claims" in stage.rules:
        shown += ["claims", "tables", "variants", "attention"]
        labels = ["sweeps"]
    scale = ["tasks", "seeds", "baselines", *(["sweeps"] if labels else [])]
    scale += ["rival"] if "claims" in stage.rules else []
    if "grid" in stage.rules:
        shown.append("grid")
        scale.append("grid")
    seeds = [] if project.scale.seeds and not project.settings.one_stage1 else ["seeds"]
    found = {scale_file(project): scale, SETTINGS: [*seeds, "beside"], EXPERIMENTS: [*shown, *labels]}
    return {**found, **_described(project)} if "setting" in stage.rules else found


def _described(project: Project) -> Keys:
    """Tables A.1 and B.1 show the settings of every scale."""
    files = [f"config/scales/{name}.yaml" for name in project.scales]
    every = {file: list(load_yaml(_path(project, file))) for file in files}
    return {**every, SETTINGS: ["seeds", "beside", "precision", "attention", "compile", "overrides"]}


def _figures(project: Project, stage: DvcStage) -> Keys:
    names = sorted({PurePosixPath(target).stem for target in stage.targets})
    drawn = [name for name in names if name in project.experiments.figures]
    heads = any(project.figure(name).kind == "heads" for name in drawn)
    found = {EXPERIMENTS: [*(f"figures.{name}" for name in drawn), *(["attention"] if heads else [])]}
    if "task_report" not in stage.rules:
        return found
    seeds = [] if project.scale.seeds and not project.settings.one_stage1 else ["seeds"]
    read = ["tasks", "seeds", "k", "sweeps", "model", "stage1", "stage2", "per_task"]
    return {**found, scale_file(project): read, SETTINGS: [*seeds, "overrides"]}


_READ: dict[str, Callable[[Project, DvcStage], Keys]] = {
    "source": _source,
    "task": _task,
    "corpus": _corpus,
    "tokenizer": _tokenizer,
    "index": _index,
    "retrieve": _retrieve,
    "select": _select,
    "audit": _none,
    "audit-selections": _none,
    "tokens": _none,
    "train": _train,
    "evaluate": _evaluate,
    "model": _none,
    "tables": _tables,
    "figures": _figures,
}
