"""`tlm.json`: the predictors of a model's folder (encoder, linear model, blend), and which one `tlm predict` uses.

Place in the flow: `tlm.evaluation.blend` → `export` → here → `tlm predict`. The encoder is the folder itself, as
`transformers` loads it; the linear model is `linear.json` and `linear.safetensors` (`tlm.evaluation.linear_model`). The
blend mixes the probabilities of both as they are stored: their temperatures are in their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from tlm.artifacts import Manifest, write_json
from tlm.config.base import Strict, parse_json
from tlm.errors import TlmError
from tlm.evaluation.artifact import Evaluation
from tlm.evaluation.blend import PREDICTORS, Predictor, PredictorChoice, choose
from tlm.evaluation.linear_model import LinearModel, read_linear
from tlm.problems import PROBLEMS
from tlm.results.page.formatting import counted, listed, metric_name, percent

TLM = "tlm.json"
NAMES: dict[Predictor, str] = {"linear": "the linear model", "encoder": "the encoder", "blend": "the blend"}


class LinearSettings(Strict):
    """The linear model of a folder."""

    variant: str
    """The variant that fitted it: tfidf or ngram-svm."""
    thresholds: tuple[float, ...] | None = None
    """The probabilities from which each label is predicted, where a text can have several labels."""


class BlendSettings(Strict):
    """Mixed outputs are (weight · encoder + (1 − weight) · linear model) / temperature, on log probabilities (log-odds
    where a text can have several labels), or on numbers."""

    weight: float = Field(ge=0, le=1)
    temperature: float = Field(gt=0)
    thresholds: tuple[float, ...] | None = None


class FolderPredictors(Strict):
    """The content of `tlm.json`."""

    version: Literal[1] = 1
    use: Predictor
    reason: str
    metric: str
    dev: dict[Predictor, float]
    """Scores on dev, as fractions; the blend's is cross-fitted."""
    test: dict[Predictor, float] | None
    """The same on test, which has no influence; None where its labels are secret."""
    linear: LinearSettings
    blend: BlendSettings


def reason(choice: PredictorChoice, metric: str, rows: int) -> str:
    """Why a predictor is used: `the blend has the best macro-F1 on the 801 dev texts: 62.9, against 60.2 …`."""
    others = [
        f"{percent(choice.dev[each])} of {NAMES[each]}"
        for each in sorted(PREDICTORS, key=lambda each: -choice.dev[each])
        if each != choice.use
    ]
    return (
        f"{NAMES[choice.use]} has the best {metric_name(metric)} on the {counted(rows, 'dev text')}: "
        f"{percent(choice.dev[choice.use])}, against {listed(others)}"
    )


def read_predictors(folder: Path) -> FolderPredictors | None:
    """The predictors of a folder; None for a folder with an encoder alone. Raises TlmError for a faulty file."""
    if not (folder / TLM).is_file():
        return None
    return parse_json(FolderPredictors, f"@{folder / TLM}", str(folder / TLM))


def chosen_predictor(folder: Path, wanted: Predictor | None) -> tuple[Predictor, FolderPredictors | None]:
    """What to predict with: `wanted`, else what the folder names. Raises TlmError for a predictor that it lacks."""
    found = read_predictors(folder)
    if found is None:
        if wanted not in (None, "encoder"):
            raise TlmError(f"--with {wanted}: {folder} holds an encoder alone; export the model again")
        return "encoder", None
    return wanted or found.use, found


@dataclass(frozen=True)
class ExportedPredictors:
    """The linear model and `tlm.json` of a folder, before they are written."""

    described: FolderPredictors
    model: LinearModel

    def write(self, folder: Path) -> None:
        """Write them into a model's folder."""
        self.model.save(folder)
        write_json(folder / TLM, self.described.model_dump(mode="json"))


def exported_predictors(
    task: Manifest, encoder: Evaluation, linear: Sequence[Evaluation]
) -> ExportedPredictors:
    """The best linear model on dev, calibrated, and the choice between encoder, linear model and blend.

    Raises TlmError for a linear model that was evaluated on other data than the encoder.
    """
    for each in linear:
        if each.manifest.inputs["task"] != task.digest:
            raise TlmError(
                f"{each.folder}: evaluated on other data than {encoder.folder}; evaluate both again"
            )
    problem, metric = PROBLEMS[task.parameters["problem"]], task.parameters["metric"]
    choice = choose(problem, metric, encoder, linear)
    t = choice.blend.linear_temperature
    cut = choice.linear.manifest.parameters.get("thresholds")
    return ExportedPredictors(
        FolderPredictors(
            use=choice.use,
            reason=reason(choice, metric, encoder.manifest.counts["dev"]),
            metric=metric,
            dev=choice.dev,
            test=choice.test,
            linear=LinearSettings(
                variant=choice.linear.run.variant,
                thresholds=None if cut is None else _as_probabilities(np.array(cut) / t),
            ),
            blend=BlendSettings(
                weight=choice.blend.weight,
                temperature=choice.blend.temperature,
                thresholds=None if choice.thresholds is None else _as_probabilities(choice.thresholds),
            ),
        ),
        read_linear(choice.linear.folder).scaled(t),
    )


def _as_probabilities(log_odds: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{each:.6g}") for each in expit(log_odds))
