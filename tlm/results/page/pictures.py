"""The figures of a page, each as one `data:` address with a text alternative.

Place in the flow: `task_report.TaskReport` → here → `render`. Narrow enough for a phone; vector graphics, so that print
is sharp. `tlm.results.figures` draws calibration and learning curves.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tlm.results.figures.calibration import draw_reliability
from tlm.results.figures.learning import LearningCurve, draw_curves
from tlm.results.figures.style import GREY, INK, SERIES, SMALL, new_figure, styled, whiskers
from tlm.results.page import formatting
from tlm.results.page.task_report import Calibration, Curve, Regression, TaskReport

WIDTH = 3.6  # inches: letters of 7 points stay legible on a phone


@dataclass(frozen=True)
class Picture:
    """An image for `src`, and its text alternative."""

    source: str
    alt: str


def as_source(figure: Figure) -> str:
    """The figure as SVG in a `data:` address, without a date: equal figures give equal addresses."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def differences(report: TaskReport, labels: Mapping[str, str]) -> Picture:
    """TLM's lead over each rival with its interval."""
    found = report.differences
    with styled():
        canvas = new_figure(WIDTH, 0.75 + 0.32 * len(found))
        axes = canvas.subplots()
        values = [100 * each.difference.value for each in found]
        # A difference without an interval is the same in all resamples.
        low, high = (
            [value if end is None else 100 * end for value, end in zip(values, ends, strict=True)]
            for ends in ([each.difference.low for each in found], [each.difference.high for each in found])
        )
        places = np.arange(len(found))[::-1]
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.errorbar(
            values,
            places,
            xerr=whiskers(values, low, high),
            fmt="o",
            color=SERIES[0]["color"],
            capsize=3,
            markersize=5,
        )
        axes.set_yticks(places, [f"over {labels[each.rival]}" for each in found])
        axes.set_ylim(-0.6, len(found) - 0.4)
        axes.set_xlabel("TLM’s lead in points, with 95 % intervals")
        axes.grid(axis="y", visible=False)
        source = as_source(canvas)
    alt = "; ".join(
        f"over {labels[each.rival]} {formatting.signed(each.difference.value)} "
        f"{formatting.interval(each.difference, 'signed')}"
        for each in found
    )
    return Picture(source, f"TLM’s lead in points with 95 % intervals: {alt}.")


def confusion(report: TaskReport, chosen: Sequence[int]) -> Picture:
    """The confusion matrix of the classes `chosen` as a picture; rows are shares of the true class."""
    matrix = np.array(report.confusion)[np.ix_(chosen, chosen)]
    rows = np.array(report.confusion)[list(chosen)].sum(axis=1, keepdims=True)
    names = [formatting.shortened(report.labels[each], 18) for each in chosen]
    side = len(chosen)
    with styled():
        canvas = new_figure(WIDTH * 1.6, WIDTH * 1.6)
        axes = canvas.subplots()
        axes.imshow(
            np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0),
            cmap="Greys",
            norm=PowerNorm(0.5, 0, 1),  # so that a few percent are visible
            aspect="equal",
        )
        size = min(SMALL, 72 * WIDTH * 1.15 / side)
        axes.set_xticks(range(side), names, rotation=90, fontsize=size)
        axes.set_yticks(range(side), names, fontsize=size)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(visible=False)
        source = as_source(canvas)
    right = np.trace(matrix) / max(1, rows.sum())
    return Picture(
        source,
        f"Confusion matrix of {side} classes: {formatting.percent(right)} % of their rows are on the diagonal. "
        "The table below lists the most frequent confusions.",
    )


def scatter(numbers: Regression) -> Picture:
    """Predicted against true numbers."""
    truth, guess = np.array(numbers.truth), np.array(numbers.prediction)
    low, high = float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))
    with styled():
        canvas = new_figure(WIDTH, WIDTH)
        axes = canvas.subplots()
        axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle="--", label="exactly right")
        axes.scatter(
            truth, guess, s=10, alpha=min(1.0, 60 / len(truth) + 0.2), color=SERIES[0]["color"], linewidth=0
        )
        axes.set(xlabel="true", ylabel="predicted", aspect="equal")
        axes.legend(loc="upper left", frameon=False)
        source = as_source(canvas)
    mean = numbers.mean_absolute_error
    return Picture(
        source,
        f"Predicted against true numbers of {formatting.counted(len(truth), 'row')}; "
        f"mean absolute error {formatting.number(mean.value)}.",
    )


def calibration(measured: Calibration, *, many: bool = False) -> Picture:
    """Accuracy against confidence; `many`: of every label of every text."""
    found = measured.reliability("TLM")
    with styled():
        canvas = new_figure(WIDTH, WIDTH * 0.95)
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_reliability(upper, lower, [found])
        lower.set_xlabel("probability of a label" if many else "probability of the prediction")
        if many:
            upper.set_ylabel("share of texts with the label")
        source = as_source(canvas)
    alt = "; ".join(
        f"{formatting.percent(each.confidence)} % confident: {formatting.percent(each.accuracy)} % right of "
        f"{formatting.counted(each.rows, 'decision' if many else 'text')}"
        for each in found.bins
    )
    return Picture(source, f"Reliability diagram. {alt}.")


def learning(curves: Sequence[Curve], labels: Mapping[str, str], *, x: str, y: str, percent: bool) -> Picture:
    """Values of every method against tokens: mean over seeds with their range."""
    unit = 100 if percent else 1
    measured = [
        LearningCurve(
            labels[each.method], each.seed, each.tokens, tuple(unit * value for value in each.values)
        )
        for each in curves
    ]
    with styled():
        canvas = new_figure(WIDTH, WIDTH * 0.8)
        axes = canvas.subplots()
        draw_curves(axes, measured)
        axes.set(xlabel=x, ylabel=y)
        handles, names = axes.get_legend_handles_labels()
        canvas.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, handlelength=3)
        source = as_source(canvas)
    alt = "; ".join(
        f"{label} from {formatting.number(first)} to {formatting.number(last)}"
        for label, first, last in _ends(measured)
    )
    return Picture(source, f"{y} against {x}: {alt}.")


def _ends(measured: Sequence[LearningCurve]) -> list[tuple[str, float, float]]:
    """Label, first and last value of each method, mean over seeds."""
    found = []
    for label in dict.fromkeys(each.label for each in measured):
        own = [each.losses for each in measured if each.label == label]
        found.append(
            (label, float(np.mean([each[0] for each in own])), float(np.mean([each[-1] for each in own])))
        )
    return found
