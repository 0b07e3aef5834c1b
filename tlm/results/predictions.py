"""Predictions of runs, and the score of a row with its resamples: what differences and claims are made of.

Place in the flow: evaluations → here → `tlm.results.differences`, `tlm.results.claims`, figures of sweeps. Loads no
machine-learning library: scores and resamples are those of `tlm.statistics`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlm.config.experiments import PRIMARY
from tlm.errors import TlmError
from tlm.evaluation.artifact import Evaluation, open_evaluation
from tlm.statistics import BootstrapEstimate, combine, scores

EFFECT = ("effect", "low", "high", "low_seeds", "high_seeds", "by_seed", "seed_sd")
"""Columns of an effect in CSV: with its interval over items, that over items and seeds, and the effect by seed."""

SEED = 1  # of the resamples

Key = tuple[str, str, str, int]
"""Scale, task, variant, seed."""


@dataclass(frozen=True)
class EvaluatedRun:
    """One evaluation, with what its manifest says of the run."""

    evaluation: Evaluation
    key: Key
    metric: str
    classes: tuple[str, ...]
    task_digest: str

    @property
    def folder(self) -> Path:
        """Where the evaluation lies."""
        return self.evaluation.folder

    def predictions(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row ids, labels and predictions of a split, each (rows,). Raises TlmError if the run has none of it."""
        stored = self.evaluation.predictions(split)
        return stored.row_ids, stored.labels, stored.predictions


def open_runs(paths: Iterable[Path]) -> dict[Key, EvaluatedRun]:
    """Evaluations by what they are of; `paths` are folders or manifests. Raises TlmError if one is none."""
    found = {}
    for path in paths:
        evaluation = open_evaluation(path)
        run, manifest = evaluation.run, evaluation.manifest
        key = (run.scale, run.task, run.variant, run.seed)
        metric, labels = manifest.parameters["metric"], tuple(manifest.parameters["labels"])
        found[key] = EvaluatedRun(evaluation, key, metric, labels, manifest.inputs["task"])
    return found


def estimates(
    runs: Sequence[Sequence[EvaluatedRun]], split: str, metric: str = PRIMARY
) -> tuple[list[BootstrapEstimate], int]:
    """The score in percent of each system, a sequence of runs of one task, one a seed; and the number of items.

    All runs meet the same resamples, independent of those of another task.
    Raises TlmError if runs were evaluated on different items.
    """
    first = runs[0][0]
    ids, labels, _ = first.predictions(split)
    guesses = []
    for system in runs:
        own = []
        for run in system:
            own_ids, own_labels, guess = run.predictions(split)
            same = run.task_digest == first.task_digest and np.array_equal(own_ids, ids)
            if not same or not np.array_equal(own_labels, labels):
                raise TlmError(
                    f"{run.folder}: evaluated on other texts than {first.folder}; evaluate both again"
                )
            own.append(guess)
        guesses.append(np.stack(own))
    found = scores(
        first.metric if metric == PRIMARY else metric,
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
    """The mean of several: of the tasks of a table."""
    return combine([(1 / len(parts), part) for part in parts])


def effect_fields(effect: BootstrapEstimate | None) -> tuple[str | None, ...]:
    """The columns `EFFECT`, in its unit to four digits; what there is none of is nothing."""
    if effect is None:
        return (None,) * len(EFFECT)
    wide = effect.over_seeds
    ends = (wide.low, wide.high) if wide else (None, None)
    numbers = (effect.value, effect.interval.low, effect.interval.high, *ends)
    by_seed = " ".join(f"{value:+.4f}" for value in effect.by_seed)
    return (*map(_four, numbers), by_seed, _four(effect.seed_sd))


def _four(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
