"""The runs of a page, opened: their predictions on one split, their costs and the records of their stages.

Place in the flow: evaluation, stage 1 and stage 2 artifacts → here → every other module of this package. All runs
must be evaluated on the same rows, because comparisons are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlm.artifacts import Manifest, read_json, read_manifest
from tlm.config.task_report import MethodSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import TIMING, open_evaluation
from tlm.evaluation.stored_predictions import scored


@dataclass(frozen=True)
class Stage:
    """Stage 1 or stage 2 of a run: its manifest, its record, and its time and memory."""

    folder: Path
    manifest: Manifest
    record: Mapping[str, Any]
    timing: Mapping[str, Any]


@dataclass(frozen=True)
class ScoredRun:
    """One evaluated run on one split; arrays are (rows,), probabilities (rows, labels) or None for numbers.

    Where a row has several labels, `labels` and `predictions` are indicators (rows, labels).
    """

    folder: Path
    manifest: Manifest
    seed: int
    metrics: Mapping[str, Any]
    flops: Mapping[str, Any]
    seconds: float
    stages: Mapping[str, Stage]
    row_ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray | None

    def scored(self, metric: str) -> np.ndarray:
        """The array that `metric` compares with `labels`."""
        return scored(metric, self.predictions, self.probabilities)

    @property
    def dev(self) -> float:
        """The task's metric on dev."""
        return float(self.metrics["dev"]["primary"])


@dataclass(frozen=True)
class MethodRuns:
    """A method and its runs, one for each seed."""

    spec: MethodSpec
    runs: tuple[ScoredRun, ...]


def open_stages(folders: Sequence[Path]) -> dict[str, Stage]:
    """Digest → stage. Raises TlmError for a folder that holds none."""
    opened = {}
    for folder in folders:
        manifest = read_manifest(folder)
        if manifest.kind not in ("stage1", "stage2"):
            raise TlmError(
                f"{folder}: is a {manifest.kind!r} artifact, but a stage of training is needed; pass stage1 or stage2"
            )
        record, timing = read_json(folder / "record.json"), read_json(folder / TIMING)
        opened[manifest.digest] = Stage(folder, manifest, record, timing)
    return opened


def open_methods(
    methods: Sequence[MethodSpec], evaluations: Sequence[Path], stages: Mapping[str, Stage], split: str
) -> tuple[MethodRuns, ...]:
    """Every method with its runs on `split`, in the order of their seeds.

    Raises TlmError for a run that is missing, and for runs that were evaluated on different rows.
    """
    runs = [_open(folder, stages, split) for folder in evaluations]
    found = {(run.manifest.parameters["variant"], run.seed): run for run in runs}
    opened = []
    for method in methods:
        for seed in method.seeds:
            if (method.variant, seed) not in found:
                raise TlmError(
                    f"{method.name}: run {method.variant}/seed{seed} is missing; evaluate it and pass its folder"
                )
        opened.append(MethodRuns(method, tuple(found[method.variant, seed] for seed in method.seeds)))
    first = opened[0].runs[0]
    for run in runs:
        same = run.manifest.inputs["task"] == first.manifest.inputs["task"]
        if not same or not np.array_equal(run.row_ids, first.row_ids):
            raise TlmError(f"{run.folder}: evaluated on other rows than {first.folder}; evaluate both again")
    return tuple(opened)


def scored_split(evaluations: Sequence[Path]) -> str:
    """`test`, or `dev` if the task's test labels are secret."""
    counts = [open_evaluation(folder).manifest.counts for folder in evaluations]
    return "test" if all("test" in each for each in counts) else "dev"


def best_on_dev(runs: Sequence[ScoredRun]) -> ScoredRun:
    """The run with the highest dev score, the first of equals: test scores do not influence the choice of the model."""
    return max(runs, key=lambda run: run.dev)


def _open(folder: Path, stages: Mapping[str, Stage], split: str) -> ScoredRun:
    evaluation = open_evaluation(folder)
    manifest, stored = evaluation.manifest, evaluation.predictions(split)
    return ScoredRun(
        folder=folder,
        manifest=manifest,
        seed=evaluation.run.seed,
        metrics=evaluation.metrics,
        flops=evaluation.flops,
        seconds=float(evaluation.timing["train_seconds"]),
        stages={
            role: stages[digest]
            for role, digest in manifest.inputs.items()
            if role in ("stage1", "stage2") and digest in stages
        },
        row_ids=stored.row_ids,
        labels=stored.labels,
        predictions=stored.predictions,
        probabilities=stored.probabilities,
    )
