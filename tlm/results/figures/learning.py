"""Learning curves: held-out loss of masked language modelling against the tokens that stage 1 has read.

Place in the flow: records of stage 1 and evaluations → here. The report of a task draws its curves here too. Beyond the
paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tlm.artifacts import read_json
from tlm.config.figures import MeasuredRun
from tlm.errors import TlmError
from tlm.evaluation.artifact import open_evaluation
from tlm.results.figures.style import (
    GREY,
    SERIES,
    SMALL,
    Drawn,
    arrangement,
    legend_below,
    legend_entries,
    new_figure,
    whiskers,
)
from tlm.results.rendering import Record

_FINISHED = "large: finished model, on more texts"
_RING: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.5}
"""A finished model: where two marks meet, both are visible."""
_SPREAD = 8  # the axis is logarithmic if one training reads this many times the tokens of another


@dataclass(frozen=True)
class LearningCurve:
    """The losses of one training in nats, each at a number of tokens: (points,) during training, and of the result."""

    label: str
    seed: int
    tokens: tuple[float, ...]
    losses: tuple[float, ...]
    end: tuple[float, float] | None = None
    """Tokens and loss of the finished model as the evaluation measures it: on more texts, in fp32. The pretraining of a
    PLM sees no task, so that it has this point alone."""


def read_curves(runs: Sequence[MeasuredRun]) -> dict[str, list[LearningCurve]]:
    """Task → the curves of its runs. Raises TlmError if a record of stage 1 is missing or broken."""
    panels: dict[str, list[LearningCurve]] = {}
    for run in runs:
        panels.setdefault(run.task, []).append(_read_curve(run))
    return panels


def _read_curve(run: MeasuredRun) -> LearningCurve:
    history = read_json(Path(run.folders["stage1"]) / "record.json")["held_out"]
    evaluation = open_evaluation(Path(run.folders["evaluation"]))
    loss, stage1 = evaluation.metrics["dev"]["mlm_loss"], evaluation.flops["stage1"]
    return LearningCurve(
        label=run.label,
        seed=run.seed,
        tokens=tuple(each["tokens"] for each in history),
        losses=tuple(each["held_out_mlm"] for each in history),
        end=None if loss is None or not stage1 else (stage1["tokens"]["real"], loss),
    )


def draw_learning(title: str, panels: Mapping[str, Sequence[LearningCurve]]) -> Drawn:
    """One panel a task. `panels`: task → curves; curves with the same label are the seeds of one series."""
    across, down, width = arrangement(len(panels))
    canvas = new_figure(width, 1.0 + down * (width / across * 0.95 + 0.2))
    canvas.suptitle(title)
    grid = canvas.subplots(down, across, squeeze=False)
    for axes, (task, found) in zip(grid.ravel(), panels.items(), strict=False):
        draw_curves(axes, found)
        axes.set(title=task, xlabel="tokens of stage 1")
    for axes in grid.ravel()[len(panels) :]:
        axes.axis("off")
    for row in grid:
        row[0].set_ylabel("held-out MLM loss (nats)")
    entries = legend_entries(grid.ravel())
    entries[_FINISHED] = Line2D([], [], color=GREY, marker="o", linestyle="", **_RING)
    legend_below(canvas, entries, 3 if across > 1 else 2, handlelength=3)
    rows = [row for task, found in panels.items() for each in found for row in _rows(task, each)]
    return Drawn(canvas, rows)


def draw_curves(axes: Axes, trainings: Sequence[LearningCurve]) -> None:
    """The curves of one task: mean over seeds with their range; larger marks for finished models.

    Raises TlmError if no training has a loss, or if the seeds of a label have different numbers of points.
    """
    ends: list[float] = []
    for number, label in enumerate(dict.fromkeys(each.label for each in trainings)):
        look = SERIES[number % len(SERIES)]
        own = [each for each in trainings if each.label == label]
        if len({len(each.tokens) for each in own}) != 1:
            raise TlmError(
                f"learning curves: the seeds of {label} have different numbers of points; train them with one setting"
            )
        if own[0].tokens:
            tokens = np.array([each.tokens for each in own]).mean(axis=0)
            losses = np.array([each.losses for each in own])
            mean = losses.mean(axis=0)
            axes.errorbar(
                tokens,
                mean,
                yerr=whiskers(mean, losses.min(axis=0), losses.max(axis=0)),
                label=label,
                markersize=3.5,
                capsize=2,
                linewidth=1.2,
                elinewidth=0.8,
                **look,
            )
            ends.append(float(tokens[-1]))
        finished = np.array([each.end for each in own if each.end])
        if len(finished):
            at, mean = finished.mean(axis=0)
            spread = whiskers([mean], [finished[:, 1].min()], [finished[:, 1].max()])
            only = "" if own[0].tokens else " (end only)"
            axes.errorbar(
                [at],
                [mean],
                yerr=spread if np.ptp(finished[:, 1]) else None,
                label=label + only if only else None,
                capsize=3,
                zorder=5,
                **{**look, "linestyle": "", **_RING},
            )
            ends.append(float(at))
    if not ends:
        raise TlmError(
            "learning curves: no training has a held-out loss; train stage 1 again, or draw another figure"
        )
    if max(ends) > _SPREAD * min(ends):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axes.margins(y=0.12)
    axes.tick_params(labelsize=SMALL)


def count(value: float) -> str:
    """`600000` → `600 k`, `1.5e6` → `1.5 M`."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _rows(task: str, training: LearningCurve) -> list[Record]:
    """One row a measurement."""
    points = [("during", *point) for point in zip(training.tokens, training.losses, strict=True)]
    points += [("end", *training.end)] if training.end else []
    key = {"task": task, "model": training.label, "seed": training.seed}
    return [{**key, "measured": when, "tokens": tokens, "mlm_loss": loss} for when, tokens, loss in points]
