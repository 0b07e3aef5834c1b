"""Reliability diagrams: accuracy against confidence, and below it the number of texts at each confidence.

Place in the flow: predictions → `tlm.results.calibration` → here. The report of a task draws its diagram here too.
Beyond the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tlm.config.figures import CalibrationDrawing
from tlm.errors import TlmError
from tlm.evaluation.artifact import open_evaluation
from tlm.results.calibration import Reliability, confidences, reliability
from tlm.results.figures.style import GREY, SERIES, SMALL, TEXT_WIDTH, Drawn, new_figure

HEADER = (
    "task",
    "model",
    "seed",
    "low",
    "high",
    "rows",
    "confidence",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "ece",
    "ece_low",
    "ece_high",
    "ece_if_calibrated",
)
_DIAGONAL = "perfectly calibrated"


def read_and_draw_calibration(figure: CalibrationDrawing) -> Drawn:
    """The figure: the first seed in the picture, every seed in the table. Raises TlmError for lacking predictions."""
    first = min(run.seed for run in figure.runs)
    panels: dict[str, list[Reliability]] = {}
    rows: list[tuple[Any, ...]] = []
    for run in figure.runs:
        found = read_reliability(run.label, Path(run.folders["evaluation"]), figure.split, figure.bins)
        rows += as_rows(run.task, run.seed, found)
        if run.seed == first:
            panels.setdefault(run.task, []).append(found)
    return draw_calibration(f"{figure.title} (seed {first})", panels, rows)


def read_reliability(label: str, evaluation: Path, split: str, bins: int) -> Reliability:
    """Calibration of one evaluated run on `split`. Raises TlmError if it has no such split or no probabilities."""
    stored = open_evaluation(evaluation).predictions(split)
    if stored.probabilities is None:
        raise TlmError(f"{evaluation}: no probabilities; calibration needs a classification task")
    confidence, correct = confidences(stored.probabilities, stored.labels, stored.predictions)
    return reliability(label, confidence, correct, bins=bins)


def draw_calibration(
    title: str, panels: Mapping[str, Sequence[Reliability]], rows: Sequence[Sequence[Any]] = ()
) -> Drawn:
    """One panel a task. `panels`: task → its models, in the same order for all tasks. `rows`: the CSV's rows."""
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    models = max(len(models) for models in panels.values())
    width = TEXT_WIDTH if across > 1 else TEXT_WIDTH / 2
    canvas = new_figure(width, 0.7 + down * (width / across + 0.75 + 0.14 * models))
    canvas.suptitle(title)
    parts = canvas.subfigures(down, across, squeeze=False).ravel()
    for part, (task, found) in zip(parts, panels.items(), strict=False):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_reliability(upper, lower, found)
        upper.set_title(task)
    first = next(iter(panels.values()))
    handles = parts[0].axes[0].get_legend_handles_labels()[0][: len(first) + 1]
    canvas.legend(
        handles=handles,
        labels=[_DIAGONAL, *(model.label for model in first)],
        loc="outside lower center",
        ncols=4 if across > 1 else 2,
        frameon=False,
        handlelength=3,
    )
    return Drawn(canvas, HEADER, rows)


def draw_reliability(upper: Axes, lower: Axes, models: Sequence[Reliability]) -> None:
    """One diagram: accuracy against confidence with 95 % intervals above, the share of texts per bin below."""
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (1, 1)), label=_DIAGONAL)
    count = max(10, *(round(1 / (each.high - each.low)) for model in models for each in model.bins))
    for number, model in enumerate(models):
        look = SERIES[number % len(SERIES)]
        accuracy = np.array([each.accuracy for each in model.bins])
        ends = np.array([(each.interval.low, each.interval.high) for each in model.bins])
        upper.errorbar(
            [each.confidence for each in model.bins],
            accuracy,
            yerr=np.abs(ends.T - accuracy),
            label=model.label,
            markersize=4,
            markeredgecolor="white",
            markeredgewidth=0.5,
            capsize=1.5,
            linewidth=1.1,
            elinewidth=0.7,
            **look,
        )
        edges = np.linspace(0, 1, count + 1)
        share = np.zeros(count)
        for each in model.bins:
            share[round(each.low * count)] = each.rows / model.rows
        lower.stairs(share, edges, color=look["color"], linestyle=look["linestyle"], linewidth=1.1)
    low = min(each.low for model in models for each in model.bins)
    upper.set(xlim=(low - 0.02, 1.02), ylim=(-0.02, 1.02), ylabel="accuracy")
    lower.set(ylabel="texts", ylim=(0, None))
    lower.set_xlabel("\n".join(["confidence", *map(_error_text, models)]))
    lower.yaxis.set_major_locator(MaxNLocator(2))
    for axes in (upper, lower):
        axes.tick_params(labelsize=SMALL)


def _error_text(model: Reliability) -> str:
    """The expected calibration error of a model, in percent, with its interval."""
    low, high = model.interval.low, model.interval.high
    return f"{model.label}: ECE {100 * model.ece:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def as_rows(task: str, seed: int, model: Reliability) -> list[tuple[Any, ...]]:
    """One row a bin."""
    ends = (model.ece, model.interval.low, model.interval.high, model.by_chance)
    return [
        (
            task,
            model.label,
            seed,
            each.low,
            each.high,
            each.rows,
            each.confidence,
            each.accuracy,
            each.interval.low,
            each.interval.high,
            *ends,
        )
        for each in model.bins
    ]
