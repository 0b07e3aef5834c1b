"""Reliability diagrams: accuracy against confidence, and below it the number of texts at each confidence.

Place in the flow: predictions → `tlm.results.calibration` → here. The report of a task draws its diagram here too.
Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tlm.config.figures import CalibrationDrawing
from tlm.errors import TlmError
from tlm.evaluation.artifact import open_evaluation
from tlm.results.calibration import Reliability, confidences, reliability
from tlm.results.figures.style import (
    GREY,
    SERIES,
    SMALL,
    Drawn,
    arrangement,
    legend_below,
    legend_entries,
    new_figure,
)
from tlm.results.rendering import Record

_DIAGONAL = "perfectly calibrated"


def read_and_draw_calibration(figure: CalibrationDrawing) -> Drawn:
    """The figure: the first seed in the picture, every seed in the table. Raises TlmError for lacking predictions."""
    first = min(run.seed for run in figure.runs)
    panels: dict[str, list[Reliability]] = {}
    rows: list[Record] = []
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
    title: str, panels: Mapping[str, Sequence[Reliability]], rows: Sequence[Record] = ()
) -> Drawn:
    """One panel a task. `panels`: task → its models, in the same order for all tasks. `rows`: the CSV's rows."""
    across, down, width = arrangement(len(panels))
    models = max(len(models) for models in panels.values())
    canvas = new_figure(width, 0.7 + down * (width / across + 0.75 + 0.14 * models))
    canvas.suptitle(title)
    parts = canvas.subfigures(down, across, squeeze=False).ravel()
    for part, (task, found) in zip(parts, panels.items(), strict=False):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_reliability(upper, lower, found)
        upper.set_title(task)
    legend_below(canvas, legend_entries(parts[0].axes), 4 if across > 1 else 2, handlelength=3)
    return Drawn(canvas, rows)


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


def as_rows(task: str, seed: int, model: Reliability) -> list[Record]:
    """One row a bin."""
    return [
        {
            "task": task,
            "model": model.label,
            "seed": seed,
            "low": each.low,
            "high": each.high,
            "rows": each.rows,
            "confidence": each.confidence,
            "accuracy": each.accuracy,
            "accuracy_low": each.interval.low,
            "accuracy_high": each.interval.high,
            "ece": model.ece,
            "ece_low": model.interval.low,
            "ece_high": model.interval.high,
            "ece_if_calibrated": model.by_chance,
        }
        for each in model.bins
    ]
