"""Scores against K, rho1 and rho2 with intervals: Tables 4 to 6 as curves.

Place in the flow: evaluations → figure. A column is a sweep, a row a task. Bars are 95 % intervals over items, crosses
the training seeds. Both points of a pair are scored on the same items, so that they can differ although their bars
overlap. Therefore a point is filled if the interval of its paired difference from the scale's own run, over items and
seeds, excludes 0. Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tlm.config.differences import Differences
from tlm.config.experiments import Column
from tlm.config.figures import SensitivityDrawing
from tlm.results.figures.style import GREY, INK, SERIES, TEXT_WIDTH, Drawn, new_figure
from tlm.results.predictions import EvaluatedRun, Key, estimates, runs_of
from tlm.results.rendering import Record
from tlm.statistics import BootstrapEstimate, combine

NAMES = {
    "k": "K, passages per query",
    "rho1": "ρ1, external batches per internal one",
    "rho2": "ρ2, weight of MLM on task data",
}
_WORDS = {"task-only": "task\nonly", "ext-only": "ext.\nonly", "tfidf": "TF-IDF"}
_LOOK = SERIES[0]


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep on one task: the score, and its difference from the scale's own run, if the sweep has it."""

    row: str
    label: str
    score: BootstrapEstimate
    is_own: bool
    is_linear: bool
    difference: BootstrapEstimate | None
    items: int


def draw_sensitivity(figure: SensitivityDrawing, runs: Mapping[Key, EvaluatedRun]) -> Drawn:
    """The figure. Raises TlmError naming a run that is missing."""
    columns = {name: _shown(spec) for name, spec in figure.sweeps.items()}
    down = max(len(shown) for shown in columns.values())
    canvas = new_figure(TEXT_WIDTH, 1.15 + 1.75 * down)
    scales = ", ".join(dict.fromkeys(spec.scale for spec in figure.sweeps.values()))
    canvas.suptitle(f"{figure.title}, scale {scales}")
    same = len({tuple(column.id for column in shown) for shown in columns.values()}) == 1
    grid = canvas.subplots(down, len(columns), squeeze=False, sharey="row" if same else False)
    records: list[Record] = []
    for across, (name, spec) in enumerate(figure.sweeps.items()):
        for place, axes in enumerate(grid[:, across]):
            if place >= len(columns[name]):
                axes.axis("off")
                continue
            column = columns[name][place]
            points = _points(name, spec, column, runs)
            metric = next(run.metric for key, run in runs.items() if key[1] == column.tasks[0])
            _draw_panel(axes, points)
            axes.set_title(column.id)
            if across == 0 or not same:
                axes.set_ylabel(f"{metric.replace('_f1', '-F1').replace('_', ' ')}, {column.split} (%)")
            if place == len(columns[name]) - 1:
                axes.set_xlabel(NAMES[name])
            records += [_record(name, column, point) for point in points]
    canvas.align_xlabels()
    canvas.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False)
    return Drawn(canvas, records)


def _shown(spec: Differences) -> list[Column]:
    """The columns of single tasks."""
    return [column for column in spec.columns if column.kind == "score"]


def _points(
    name: str, spec: Differences, column: Column, runs: Mapping[Key, EvaluatedRun]
) -> list[SweepPoint]:
    """One point for each row of the table on a task, in the table's order."""
    (score,) = column.scores
    systems = [runs_of(runs, row, score.task) for row in spec.rows]
    found, items = estimates(systems, score.split, score.metric)
    own = next((place for place, row in enumerate(spec.rows) if score.task in row.tlm_tasks), None)
    return [
        SweepPoint(
            row=row.id,
            label=_WORDS.get(row.id) or row.id.removeprefix(name).removeprefix("-"),
            score=estimate,
            is_own=place == own,
            is_linear=row.is_linear,
            difference=None if own is None else combine([(1, estimate), (-1, found[own])]),
            items=items,
        )
        for place, (row, estimate) in enumerate(zip(spec.rows, found, strict=True))
    ]


def _draw_panel(axes: Axes, points: list[SweepPoint]) -> None:
    swept = [point for point in points if not point.is_linear]
    places = range(len(swept))
    axes.plot(places, [point.score.value for point in swept], color=_LOOK["color"], linewidth=1.1, zorder=2)
    for place, point in zip(places, swept, strict=True):
        interval = point.score.interval
        axes.vlines(place, interval.low, interval.high, color=_LOOK["color"], linewidth=1.3, zorder=2)
        seeds = point.score.by_seed
        axes.plot([place + 0.14] * len(seeds), seeds, "x", color=GREY, markersize=3.5, zorder=3)
        axes.plot(
            place,
            point.score.value,
            marker="D" if point.is_own else "o",
            markersize=6 if point.is_own else 5,
            color=_LOOK["color"] if _differs(point) or point.is_own else "white",
            markeredgecolor=INK if point.is_own else _LOOK["color"],
            zorder=4,
        )
    for point in points:
        if point.is_linear:
            axes.axhline(point.score.value, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    axes.set_xticks(list(places), [point.label for point in swept])
    axes.set_xlim(-0.45, len(swept) - 0.55)
    axes.margins(y=0.1)


def _differs(point: SweepPoint) -> bool:
    return point.difference is not None and 0 not in point.difference.widest


def _key() -> list[Line2D]:
    colour = _LOOK["color"]
    plain: dict[str, Any] = {"color": colour, "linestyle": "none"}
    return [
        Line2D(
            [], [], marker="D", markersize=6, markeredgecolor=INK, label="the scale's own run (TLM)", **plain
        ),
        Line2D([], [], marker="o", markersize=5, label="differs from that run", **plain),
        Line2D(
            [],
            [],
            marker="o",
            markersize=5,
            markeredgecolor=colour,
            color="white",
            linestyle="none",
            label="difference inconclusive",
        ),
        Line2D([], [], color=colour, linewidth=1.3, label="95 % interval over items"),
        Line2D([], [], marker="x", color=GREY, markersize=3.5, linestyle="none", label="one training seed"),
        Line2D([], [], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), label="TF-IDF + logistic regression"),
    ]


def _record(name: str, column: Column, point: SweepPoint) -> Record:
    record = {
        "sweep": name,
        "value": point.label.replace("\n", " "),
        "task": column.id,
        "split": column.split,
        "score": point.score.value,
        "low": point.score.interval.low,
        "high": point.score.interval.high,
        "by_seed": " ".join(f"{value:.4f}" for value in point.score.by_seed),
        "items": point.items,
        "own_run": "yes" if point.is_own else "",
    }
    difference = None if point.is_own else point.difference
    around, wide = (difference.interval, difference.widest) if difference else (None, None)
    return {
        **record,
        "difference": difference and difference.value,
        "difference_low": around and around.low,
        "difference_high": around and around.high,
        "difference_low_seeds": wide and wide.low,
        "difference_high_seeds": wide and wide.high,
    }
