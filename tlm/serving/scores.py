"""The scores of an exported model, and the calibration of its probabilities, with intervals.

Place in the flow: a run's evaluation and the temperature of its export → here → the model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tlm.artifacts import Manifest
from tlm.evaluation.artifact import Evaluation
from tlm.evaluation.temperature import served
from tlm.problems import PROBLEMS
from tlm.results.calibration import Reliability, confidences, reliability
from tlm.statistics import Interval, scores


@dataclass(frozen=True)
class ModelCalibration:
    """Confidence against accuracy on the scored split, before and after the temperature."""

    temperature: float
    before: Reliability
    """As trained."""
    after: Reliability
    """As exported: its logits divided by the temperature."""


@dataclass(frozen=True)
class ModelScores:
    """Scores of the exported model on `split`: each metric as a fraction with its interval, and each class."""

    split: str
    rows: int
    metrics: Mapping[str, tuple[float, Interval]]
    classes: Mapping[str, Mapping[str, float | None]]
    calibrated: ModelCalibration | None
    """None for regression."""


def model_scores(evaluation: Evaluation, task: Manifest, t: float) -> ModelScores:
    """The scores of an evaluation on test, or on dev where test labels are secret, with bootstrap intervals.

    `t` is the temperature of the exported model.
    """
    split = "test" if "test" in evaluation.metrics else "dev"
    record, stored = evaluation.metrics[split], evaluation.predictions(split)
    labels, guesses = stored.labels, stored.predictions
    classes, problem = task.parameters["labels"], PROBLEMS[task.parameters["problem"]]
    found = {}
    for name, value in record["metrics"].items():
        (estimate,) = scores(name, labels, [stored.scored(name)], classes)
        found[name] = (float(value), estimate.interval)
    calibrated = None
    if stored.probabilities is not None:
        before, after = (
            reliability("the model", *confidences(given, labels, guesses))
            for given in (stored.probabilities, served(stored.probabilities, t, problem))
        )
        calibrated = ModelCalibration(t, before, after)
    return ModelScores(split, len(labels), found, record.get("classes", {}), calibrated)
