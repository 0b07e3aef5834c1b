"""Predictions of runs, and the score of a row with its resamples: the inputs of differences and claims.

Place in the flow: evaluations → here → `tlm.results.differences`, `tlm.results.claims`, figures of sweeps. Loads no
machine-learning library: scores and resamples come from `tlm.statistics`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlm.config.experiments import PRIMARY, RowRuns
from tlm.errors import TlmError
from tlm.evaluation.artifact import Evaluation, open_evaluation
from tlm.statistics import BootstrapEstimate, combine, scores

SEED = 1  # of the resamples

Key = tuple[str, str, str, int]
"""Scale, task, variant, seed."""


@dataclass(frozen=True)
class EvaluatedRun:
    """One evaluation, with the facts about the run from its manifest."""

    evaluation: Evaluation
    key: Key
    metric: str
    classes: tuple[str, ...]
    task_digest: str

    @property
    def folder(self) -> Path:
        """The folder of the evaluation."""
        return self.evaluation.folder

    def predictions(self, split: str, metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row ids, labels, and the predictions that `metric` scores. Raises TlmError if the run lacks the split."""
        stored = self.evaluation.predictions(split)
        return stored.row_ids, stored.labels, stored.scored(metric)


def open_runs(paths: Iterable[Path]) -> dict[Key, EvaluatedRun]:
    """Key → evaluation; `paths` are folders or manifests. Raises TlmError for another kind of artifact."""
    found = {}
    for path in paths:
        evaluation = open_evaluation(path)
        run, manifest = evaluation.run, evaluation.manifest
        key = (run.scale, run.task, run.variant, run.seed)
        metric, labels = manifest.parameters["metric"], tuple(manifest.parameters["labels"])
        found[key] = EvaluatedRun(evaluation, key, metric, labels, manifest.inputs["task"])
    return found


def runs_of(runs: Mapping[Key, EvaluatedRun], row: RowRuns, task: str) -> list[EvaluatedRun]:
    """The runs of a row on one task, in the order of its seeds. Raises TlmError naming a run that is missing."""
    found = []
    for seed in row.seeds:
        key = (row.scale, task, row.variants[task], seed)
        if key not in runs:
            raise TlmError(f"run {row.scale}/{task}/{row.variants[task]}/seed{seed} is missing; evaluate it")
        found.append(runs[key])
    return found


def estimates(
    runs: Sequence[Sequence[EvaluatedRun]], split: str, metric: str = PRIMARY
) -> tuple[list[BootstrapEstimate], int]:
    """The score of each system in percent, and the number of items; a system is its runs on one task, one a seed.

    All runs share the same resamples; those of another task are independent.
    Raises TlmError if runs were evaluated on different items.
    """
    first = runs[0][0]
    metric = first.metric if metric == PRIMARY else metric
    ids, labels, _ = first.predictions(split, metric)
    guesses = []
    for system in runs:
        own = []
        for run in system:
            own_ids, own_labels, guess = run.predictions(split, metric)
            same = run.task_digest == first.task_digest and np.array_equal(own_ids, ids)
            if not same or not np.array_equal(own_labels, labels):
                raise TlmError(
                    f"{run.folder}: evaluated on other texts than {first.folder}; evaluate both again"
                )
            own.append(guess)
        guesses.append(np.stack(own))
    found = scores(
        metric,
        labels,
        guesses,
        first.classes,
        seed=[SEED, zlib.crc32(first.key[1].encode())],
    )
    return [in_percent(each) for each in found], len(labels)


def in_percent(estimate: BootstrapEstimate) -> BootstrapEstimate:
    """A fraction as percent."""
    return combine([(100, estimate)])


def mean(parts: Sequence[BootstrapEstimate]) -> BootstrapEstimate:
    """The mean of several estimates, for example over the tasks of a table."""
    return combine([(1 / len(parts), part) for part in parts])


def effect_fields(effect: BootstrapEstimate | None) -> dict[str, str | None]:
    """The columns of an effect in CSV, with four decimals; None for missing numbers.

    `low` and `high` end the interval over items, `low_seeds` and `high_seeds` the interval over items and seeds.
    """
    around = effect.interval if effect else None
    wide = effect.over_seeds if effect else None
    return {
        "effect": _four(effect.value if effect else None),
        "low": _four(around.low if around else None),
        "high": _four(around.high if around else None),
        "low_seeds": _four(wide.low if wide else None),
        "high_seeds": _four(wide.high if wide else None),
        "by_seed": " ".join(f"{value:+.4f}" for value in effect.by_seed) if effect else None,
        "seed_sd": _four(effect.seed_sd if effect else None),
    }


def _four(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
