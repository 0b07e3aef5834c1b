"""Groups Snakemake's jobs into the stages of dvc.yaml, with the targets, inputs and outputs of each stage.

Place in the flow: `tlm.snakemake_adapter` → here → `tlm.store.document`. `tlm.dag` declares the stage of each rule. An
artifact is one output, its folder; stages that read it depend on its manifest, as Snakemake's rules do. DVC runs its
stages one after another, Snakemake runs the jobs of a stage side by side. So only jobs that take all cores or a moment
have a stage for each task; all training is one stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlm import layout
from tlm.artifacts import MANIFEST
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.snakemake_adapter import PlannedJob


@dataclass(frozen=True)
class StageKind:
    """A stage, or a stage for each value of the wildcard `item`."""

    name: str
    description: str
    item: str | None = None


_SELECTION_AUDITS = "audit-selections"
KINDS = (
    StageKind("source", "source files, verified and unpacked", "source"),
    StageKind("task", "labelled rows, split", "task"),
    StageKind("corpus", "clean passages of the general corpus", "corpus"),
    StageKind("tokenizer", "WordPiece, trained on the corpus", "tokenizer"),
    StageKind("index", "BM25 index of the corpus", "corpus"),
    StageKind("retrieve", "top-K passages of every training text, at the largest K of any variant", "task"),
    StageKind("audit", "dev and test texts found in training splits and corpora", "task"),
    StageKind("select", "the passages that stage 1 may read, at this K", "task"),
    StageKind(_SELECTION_AUDITS, "dev and test texts found in selections", "task"),
    StageKind("tokens", "task texts and selections as tokens"),
    StageKind("train", "stage 1 and stage 2 of every run"),
    StageKind("evaluate", "predictions, metrics, FLOPs and heads of every run"),
    StageKind("model", "finished models", "model"),
    StageKind("tables", "cells, and the tables that they make"),
    StageKind("figures", "figures and pages, with the numbers in them"),
)
_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class DvcStage:
    """A stage for one configuration, with every path written out."""

    kind: StageKind
    item: str | None
    targets: tuple[str, ...]
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def order(self) -> tuple[int, str]:
        """Along the flow, items by name."""
        return KINDS.index(self.kind), self.item or ""


def place(job: PlannedJob) -> tuple[str, str | None]:
    """DvcStage and item of a job; no stage ("") if its output does not stay. Raises TlmError for an undeclared rule."""
    if job.rule not in RULES:
        raise TlmError(f"rule {job.rule} has no stage of dvc.yaml: declare it in tlm/dag.py")
    rule = RULES[job.rule]
    if not rule.stage:
        return "", None
    names = rule.output.parse(job.outputs[0])
    # Audits of selections need a stage of their own: selections are made after the audits of corpora.
    of_selection = layout.SELECTION.match(layout.AUDITED.format(body=names.get("body", "")))
    stage = _SELECTION_AUDITS if of_selection else rule.stage
    item = _KINDS[stage].item
    return stage, names[item] if item else None


def out_of(path: str) -> str:
    """DVC's output for a file: an artifact's folder, the folder of a table's cells, or the file itself."""
    if names := layout.ONNX.match(path):
        return layout.MODEL.format(**names)
    if names := layout.CELL.match(path):
        return layout.CELLS.format(**names)
    if PurePosixPath(path).name == MANIFEST:
        return str(PurePosixPath(path).parent)
    return path


def group(jobs: Sequence[PlannedJob]) -> list[DvcStage]:
    """The stages of a plan, along the flow. Raises TlmError if two stages would write to the same place."""
    grouped: dict[tuple[str, str | None], list[PlannedJob]] = {}
    for job in jobs:
        grouped.setdefault(place(job), []).append(job)
    passing = {output for job in grouped.pop(("", None), []) for output in job.outputs}
    stages = [_stage(name, item, members, passing) for (name, item), members in grouped.items()]
    _check_disjoint(stages)
    return sorted(stages, key=lambda stage: stage.order)


def _stage(name: str, item: str | None, jobs: Sequence[PlannedJob], passing: set[str]) -> DvcStage:
    """One stage. `passing` are files that exist only while a job runs: no stage depends on them."""
    written = {output for job in jobs for output in job.outputs}
    outs = {out_of(output) for output in written}
    read = {path for job in jobs for path in job.inputs} - written - passing
    # Parent folders are inputs of some rules. Their files are inputs, too, so DVC does not need the folders.
    folders = {str(parent) for path in read | written for parent in PurePosixPath(path).parents}
    files = {_read_as(path) for path in read - folders} - outs
    return DvcStage(
        kind=_KINDS[name],
        item=item,
        targets=tuple(sorted(_targets(jobs))),
        deps=tuple(_folded(files)),
        outs=tuple(sorted(outs)),
        rules=tuple(sorted({job.rule for job in jobs})),
    )


def _targets(jobs: Sequence[PlannedJob]) -> set[str]:
    """The targets of a stage's call of Snakemake: the first output of every job, without cells.

    Snakemake does not rebuild a deleted artifact while the results made from it exist, so every artifact is a target.
    It does rebuild cells, which are inputs of a table's own rule.
    """
    outputs = {job.outputs[0] for job in jobs}
    return {output for output in outputs if not layout.CELL.match(output)} or outputs


def _read_as(path: str) -> str:
    """A dependency: the file, but the folder of a table's cells, because there are many."""
    return out_of(path) if layout.CELL.match(path) else path


def _folded(files: Iterable[str]) -> list[str]:
    """The files in order, with a folder of tlm/ in place of its modules if all of them are read."""
    found = set(files)
    packages = sorted({str(PurePosixPath(path).parent) for path in found if path.endswith(".py")}, key=len)
    for folder in packages:
        modules = {str(path) for path in Path(folder).rglob("*.py")}
        if folder.startswith("tlm/") and modules and modules <= found:
            found = (found - modules) | {folder}
    return sorted(found)


def _check_disjoint(stages: Sequence[DvcStage]) -> None:
    owner: dict[str, str] = {}
    for stage in stages:
        for out in stage.outs:
            owner[out] = stage.kind.name
    for out in owner:
        for parent in PurePosixPath(out).parents:
            if str(parent) in owner:
                raise TlmError(
                    f"{out} (stage {owner[out]}) lies in {parent} (stage {owner[str(parent)]}): "
                    "DVC accepts only one of them as an output"
                )
