"""From Snakemake's jobs to what a person thinks in: which stage of dvc.yaml a job belongs to, and what goes in and out.

Place in the flow: `tlm.store.dag` → here → `tlm.store.document`. A job's place follows from where it writes, so that
new rules need no entry here. An artifact is a folder that goes out whole; what reads it depends on its manifest, as
Snakemake's rules do. DVC runs its stages one after another and Snakemake runs a stage's jobs side by side: only what
takes all cores anyway, or a moment, is split by task; all training is one stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError
from tlm.store.dag import Job

PICTURES = (".pdf", ".png", ".html", ".svg")


@dataclass(frozen=True)
class Kind:
    """A stage, or one for each of several items (`item`: what these are called)."""

    name: str
    description: str
    item: str | None = None


KINDS = (
    Kind("source", "bytes from elsewhere, verified and unpacked", "source"),
    Kind("task", "labelled rows, split", "task"),
    Kind("corpus", "clean passages of the general corpus", "corpus"),
    Kind("tokenizer", "WordPiece, trained on the corpus", "tokenizer"),
    Kind("index", "BM25 index of the corpus", "corpus"),
    Kind("retrieve", "top-K passages of every training text, at the largest K that is asked for", "task"),
    Kind("select", "the passages that stage 1 may read, at this K", "task"),
    Kind("tokens", "task texts and selections as tokens"),
    Kind("train", "stage 1 and stage 2 of every run"),
    Kind("evaluate", "predictions, metrics, FLOPs and heads of every run"),
    Kind("tables", "cells, and the tables that they make"),
    Kind("figures", "figures and pages, with the numbers in them"),
)
_KINDS = {kind.name: kind for kind in KINDS}

# First folders of an output → its stage, and which folder names the item.
_DATA = {
    "sources": ("source", 2),
    "tasks": ("task", 2),
    "corpora": ("corpus", 2),
    "tokenizers": ("tokenizer", 2),
    "indexes": ("index", 2),
    "retrieval": ("retrieve", 3),
    "selections": ("select", 3),
    "tokens": ("tokens", 0),
}


@dataclass(frozen=True)
class Stage:
    """A stage as it stands for one configuration: every path spelt out."""

    kind: Kind
    item: str | None
    targets: tuple[str, ...]
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def order(self) -> tuple[int, str]:
        """Along the flow, items by name."""
        return KINDS.index(self.kind), self.item or ""


def place(job: Job) -> tuple[str, str | None]:
    """Stage and item of a job. Raises TlmError for one that writes where no stage does."""
    parts = PurePosixPath(job.outputs[0]).parts
    if parts[0] == "data" and len(parts) > 2 and parts[1] in _DATA:
        name, at = _DATA[parts[1]]
        return name, parts[at] if at else None
    if parts[0] == "runs" and len(parts) > 2:
        return ("train" if parts[-2] in ("stage1", "stage2") else "evaluate"), None
    if parts[0] == "results":
        # A table's page is the same table: what is written as Markdown is a table, whatever stands beside it.
        written = any(output.endswith(".md") for output in job.outputs)
        drawn = not written and any(output.endswith(PICTURES) for output in job.outputs)
        return ("figures" if drawn else "tables"), None
    raise TlmError(
        f"rule {job.rule} writes {job.outputs[0]}, where no stage of dvc.yaml does: tlm/store/stages.py says which do"
    )


def out_of(path: str) -> str:
    """What DVC keeps of an output: an artifact's folder, a table's cells as one, or the file itself."""
    parts = PurePosixPath(path).parts
    if parts[-1] == MANIFEST:
        return str(PurePosixPath(path).parent)
    if parts[:2] == ("results", "cells"):
        return "/".join(parts[:3])
    return path


def group(jobs: Sequence[Job]) -> list[Stage]:
    """The stages of a plan, along the flow. Raises TlmError if two stages would write to the same place."""
    grouped: dict[tuple[str, str | None], list[Job]] = {}
    for job in jobs:
        grouped.setdefault(place(job), []).append(job)
    stages = [_stage(name, item, members) for (name, item), members in grouped.items()]
    _check_disjoint(stages)
    return sorted(stages, key=lambda stage: stage.order)


def _stage(name: str, item: str | None, jobs: Sequence[Job]) -> Stage:
    written = {output for job in jobs for output in job.outputs}
    outs = {out_of(output) for output in written}
    read = {path for job in jobs for path in job.inputs} - written
    # Folders that the rules watch hold files that are inputs themselves; they stand for no content of their own.
    folders = {str(parent) for path in read | written for parent in PurePosixPath(path).parents}
    files = {_read_as(path) for path in read - folders} - outs
    return Stage(
        kind=_KINDS[name],
        item=item,
        targets=tuple(sorted(_targets(jobs))),
        deps=tuple(_folded(files)),
        outs=tuple(sorted(outs)),
        rules=tuple(sorted({job.rule for job in jobs})),
    )


def _targets(jobs: Sequence[Job]) -> set[str]:
    """What a stage asks Snakemake for: every artifact, since one that is missing behind another is not missed; of a
    job's other outputs one, and no cell, for a table's own rule misses them."""
    outputs = (job.outputs[0] for job in jobs)
    found = {output for output in outputs if not output.startswith("results/cells/")}
    return found or {job.outputs[0] for job in jobs}


def _read_as(path: str) -> str:
    """A dependency: of cells the folder, for they are many; else the file."""
    return out_of(path) if path.startswith("results/cells/") else path


def _folded(files: Iterable[str]) -> list[str]:
    """Files in order; a folder of modules stands for them where all of it is read."""
    found = set(files)
    packages = sorted({str(PurePosixPath(path).parent) for path in found if path.endswith(".py")}, key=len)
    for folder in packages:
        modules = {str(path) for path in Path(folder).rglob("*.py")}
        if folder.startswith("tlm/") and modules and modules <= found:
            found = (found - modules) | {folder}
    return sorted(found)


def _check_disjoint(stages: Sequence[Stage]) -> None:
    owner: dict[str, str] = {}
    for stage in stages:
        for out in stage.outs:
            owner[out] = stage.kind.name
    for out in owner:
        for parent in PurePosixPath(out).parents:
            if str(parent) in owner:
                raise TlmError(
                    f"{out} ({owner[out]}) lies in {parent} ({owner[str(parent)]}): DVC refuses both as outs"
                )
