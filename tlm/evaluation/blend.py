"""A blend of the encoder and a linear model, and which of the three to use (beyond the paper).

Place in the flow: the evaluations of an encoder and of a linear model → here → the export, which writes the choice into
`tlm.json`, and the report of a task, which shows it. Both call `choose`, so that they agree.

The outputs of both models are calibrated by a temperature each (`tlm.evaluation.temperature`) and mixed: weight ·
encoder + (1 − weight) · linear model, in logits (log-odds for several labels a row, the number itself for regression).
A temperature of their own calibrates the mixed outputs.

**The weight** has the least log loss on dev (squared error for numbers) and is then shrunk towards one half, as if
`PRIOR` more dev texts voted for equal weights. The task's metric is no alternative: on a few hundred texts with rare
classes, the best weight by macro-F1 is noise.

**The choice** has the best score on dev by the task's metric. The blend is scored by cross-fitting: temperatures and
weight of each fifth of dev come from the other four, so that its parameters do not flatter it. Of equals, the cheaper
is used: the linear model, then the encoder. Test has no influence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar

from tlm.evaluation.artifact import Evaluation, SplitPredictions
from tlm.evaluation.temperature import served, temperature
from tlm.metrics import score
from tlm.problems import Problem

PRIOR = 200
"""Weight of equal weights, in dev texts."""
PARTS = 5
"""Parts of cross-fitting."""
Predictor = Literal["linear", "encoder", "blend"]
PREDICTORS: tuple[Predictor, ...] = ("linear", "encoder", "blend")
"""The cheaper first."""


@dataclass(frozen=True)
class Blend:
    """The parameters of a blend."""

    weight: float
    """Of the encoder, from 0 to 1."""
    encoder_temperature: float
    linear_temperature: float
    temperature: float
    """Of the mixed outputs."""

    def outputs(self, problem: Problem, encoder: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Mixed outputs (rows, outputs) of the models' probabilities, or of their numbers (rows, 1)."""
        if not problem.has_labels:
            return mixed(problem, encoder, linear, self.weight)
        return mixed(
            problem,
            served(encoder, self.encoder_temperature, problem),
            served(linear, self.linear_temperature, problem),
            self.weight,
            self.temperature,
        )


def mixed(
    problem: Problem, encoder: np.ndarray, linear: np.ndarray, weight: float, t: float = 1.0
) -> np.ndarray:
    """Outputs (rows, outputs) that mix calibrated probabilities, or numbers (rows, 1)."""
    if problem.has_labels:
        encoder, linear = problem.log_odds(encoder), problem.log_odds(linear)
    return (weight * encoder + (1 - weight) * linear) / t


def fit_blend(problem: Problem, encoder: np.ndarray, linear: np.ndarray, truth: np.ndarray) -> Blend:
    """Temperatures and weight from dev: probabilities (rows, labels) or numbers (rows, 1); `truth` as `Problem.ids`."""
    first = second = 1.0
    if problem.has_labels:
        first, second = temperature(encoder, truth), temperature(linear, truth)
        encoder, linear = served(encoder, first, problem), served(linear, second, problem)

    def loss(weight: float) -> float:
        outputs = mixed(problem, encoder, linear, weight)
        if problem.has_labels:
            return problem.log_loss(outputs, truth)
        return float(((outputs[:, 0] - truth) ** 2).sum())

    best = float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
    weight = round((len(truth) * best + PRIOR / 2) / (len(truth) + PRIOR), 4)
    t = 1.0
    if problem.has_labels:
        chances = problem.probabilities(mixed(problem, encoder, linear, weight))
        assert chances is not None
        t = temperature(chances, truth)
    return Blend(weight, first, second, t)


def cross_fitted(problem: Problem, encoder: np.ndarray, linear: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mixed outputs (rows, outputs) of dev, each part of the rows with the parameters of the other parts."""
    part = np.arange(len(truth)) % PARTS
    found = np.zeros(encoder.shape)
    for number in range(PARTS):
        inside = part == number
        if inside.any() and not inside.all():
            blend = fit_blend(problem, encoder[~inside], linear[~inside], truth[~inside])
            found[inside] = blend.outputs(problem, encoder[inside], linear[inside])
    return found


@dataclass(frozen=True)
class BlendedSplit:
    """The blend's predictions on a split, in the form of the stored predictions, and its metrics as fractions."""

    predictions: SplitPredictions
    metrics: dict[str, float]


@dataclass(frozen=True)
class PredictorChoice:
    """Which of encoder, linear model and blend to use, and the parameters of the blend."""

    use: Predictor
    dev: dict[Predictor, float]
    """Each one's score on dev by the task's metric, as a fraction; the blend's is cross-fitted."""
    test: dict[Predictor, float] | None
    """The same on test; None where its labels are secret."""
    blend: Blend
    linear: Evaluation
    """The better linear model on dev."""
    thresholds: np.ndarray | None
    """The blend's thresholds (labels,) on its outputs, for several labels a row."""
    splits: dict[str, BlendedSplit]
    """The blend on dev (cross-fitted) and test."""


def choose(
    problem: Problem, metric: str, encoder: Evaluation, linear: Sequence[Evaluation]
) -> PredictorChoice:
    """The choice for the evaluation of an encoder and those of linear models, on the same rows."""
    rival = max(linear, key=lambda each: each.metrics["dev"]["primary"])  # the first of equals
    labels: list[str] = encoder.manifest.parameters["labels"]
    ours, theirs = encoder.predictions("dev"), rival.predictions("dev")
    truth = _ids(problem, ours.labels, labels)
    first, second = _given(ours), _given(theirs)
    blend = fit_blend(problem, first, second, truth)
    outputs = cross_fitted(problem, first, second, truth)
    cut = problem.thresholds(blend.outputs(problem, first, second), truth)
    splits = {"dev": _split(problem, ours, outputs, problem.predict_dev(outputs, truth), metric, labels)}
    if "test" in encoder.manifest.counts:
        ours = encoder.predictions("test")
        outputs = blend.outputs(problem, _given(ours), _given(rival.predictions("test")))
        splits["test"] = _split(problem, ours, outputs, problem.predict(outputs, cut), metric, labels)
    dev, test = (_scores(split, encoder, rival, splits.get(split)) for split in ("dev", "test"))
    assert dev is not None
    return PredictorChoice(max(PREDICTORS, key=lambda each: dev[each]), dev, test, blend, rival, cut, splits)


def _scores(
    split: str, encoder: Evaluation, linear: Evaluation, blend: BlendedSplit | None
) -> dict[Predictor, float] | None:
    """Predictor → score by the task's metric; None for a split that is not there."""
    if blend is None:
        return None
    return {
        "linear": linear.metrics[split]["primary"],
        "encoder": encoder.metrics[split]["primary"],
        "blend": blend.metrics["primary"],
    }


def _given(stored: SplitPredictions) -> np.ndarray:
    """Probabilities, or numbers (rows, 1)."""
    return stored.predictions[:, None].astype(float) if stored.probabilities is None else stored.probabilities


def _ids(problem: Problem, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Stored labels as `Problem.ids`; indicators are stored as such."""
    return labels if problem.many else problem.ids(labels.tolist(), names)


def _split(
    problem: Problem,
    stored: SplitPredictions,
    outputs: np.ndarray,
    guess: np.ndarray,
    metric: str,
    labels: Sequence[str],
) -> BlendedSplit:
    predictions: Any = guess if problem.many else np.array(problem.values(guess, labels))
    chances = problem.probabilities(outputs)
    found = SplitPredictions(stored.row_ids, stored.labels, predictions, chances)
    return BlendedSplit(found, score(metric, stored.labels, predictions, labels, chances))
