"""Learning curves: the held-out loss of masked language modelling against the tokens that stage 1 has read.

Place in the flow: records of stage 1 and evaluations → here; also the report of a task. Beyond the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tlm.errors import TlmError
from tlm.results.figures.style import GREY, SERIES, SMALL, TEXT_WIDTH, Drawn, new_figure, whiskers

HEADER = ("task", "model", "seed", "measured", "tokens", "mlm_loss")
_FINISHED = "large: finished, on more texts"
_SPREAD = 8  # budgets this many times apart go on a logarithmic axis


@dataclass(frozen=True)
class Measured:
    """The losses of one training: (points,) tokens and nats while it went on, and after its end."""

    label: str
    seed: int
    tokens: tuple[float, ...]
    losses: tuple[float, ...]
    end: tuple[float, float] | None = None
    """Tokens and loss of the finished model as the evaluation measures it: on more texts, in fp32. A pretraining knows
    no task and has this alone."""


def draw_learning(title: str, panels: Mapping[str, Sequence[Measured]]) -> Drawn:
    """A panel a task: `panels` is task → trainings, those of one label being the seeds of one series."""
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    width = TEXT_WIDTH if across > 1 else TEXT_WIDTH / 2
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
    handles = {
        label: handle
        for axes in grid.ravel()
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    handles[_FINISHED] = Line2D(
        [],
        [],
        color=GREY,
        marker="o",
        linestyle="",
        markersize=8,
        markerfacecolor="none",
        markeredgewidth=1.5,
    )
    canvas.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=3 if across > 1 else 2,
        frameon=False,
        handlelength=3,
    )
    rows = [row for task, found in panels.items() for each in found for row in _rows(task, each)]
    return Drawn(canvas, HEADER, rows)


def draw_curves(axes: Axes, trainings: Sequence[Measured]) -> None:
    """The curves of one task: mean over seeds with their range, and the finished models as larger marks.

    Raises TlmError if there is nothing to draw, or the seeds of a label were not measured equally often.
    """
    ends: list[float] = []
    for number, label in enumerate(dict.fromkeys(each.label for each in trainings)):
        look = SERIES[number % len(SERIES)]
        own = [each for each in trainings if each.label == label]
        if len({len(each.tokens) for each in own}) != 1:
            raise TlmError(f"learning curves: the seeds of {label} were not measured equally often")
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
                markersize=8,
                markerfacecolor="none",  # two that meet are both seen
                markeredgewidth=1.5,
                capsize=3,
                zorder=5,
                **{**look, "linestyle": ""},
            )
            ends.append(float(at))
    if not ends:
        raise TlmError(
            "learning curves: no training has a held-out loss; build another figure, or set evaluations"
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


def _rows(task: str, training: Measured) -> list[tuple[Any, ...]]:
    """A line a measurement."""
    key = (task, training.label, training.seed)
    rows = [
        (*key, "during", tokens, loss) for tokens, loss in zip(training.tokens, training.losses, strict=True)
    ]
    return [*rows, (*key, "end", *training.end)] if training.end else rows
