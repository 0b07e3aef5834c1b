"""Costs of one run job by job: FLOPs, wall-clock time and peak memory side by side.

Place in the flow: `tlm.results.costs` → figure. Beyond the paper. Marks instead of bars, because the axes are
logarithmic and have no zero where a bar could start.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from tlm.dag import RULES
from tlm.results.costs import JobCost
from tlm.results.figures.style import (
    SERIES,
    SMALL,
    TEXT_WIDTH,
    Drawn,
    legend_below,
    legend_entries,
    new_figure,
    whiskers,
)

_PANELS: tuple[tuple[str, Callable[[JobCost], float | None]], ...] = (
    ("FLOPs (matrix products)", lambda cost: cost.matmul_flops),
    ("seconds (wall clock)", lambda cost: cost.seconds),
    (
        "peak memory (MB)",
        lambda cost: None if cost.peak_memory_bytes is None else cost.peak_memory_bytes / 1e6,
    ),
)
_NAMES = {"stage1": "stage 1", "stage2": "stage 2", "linear": "linear model"}
_APART = 0.18  # vertical distance of two rows' marks, in lines


def draw_costs(title: str, costs: Sequence[JobCost]) -> Drawn:
    """Three panels; a mark is the mean over tasks and seeds, its line spans the least to the most."""
    stages = [stage for stage in RULES if any(cost.stage == stage for cost in costs)]
    rows = list(dict.fromkeys(cost.row for cost in costs))
    canvas = new_figure(TEXT_WIDTH, 1.15 + 0.24 * len(stages))
    note = "mean over tasks and seeds; line: least to most"
    unmeasured = len({cost.job for cost in costs if cost.seconds is None})
    if unmeasured:
        note += f"; no benchmark of {unmeasured} of {len({cost.job for cost in costs})} jobs"
    canvas.suptitle(f"{title}\n({note})")
    grid = canvas.subplots(1, len(_PANELS), sharey=True)
    for axes, (name, of) in zip(grid, _PANELS, strict=True):
        _draw_panel(axes, costs, rows, stages, of)
        axes.set_xlabel(name)
    grid[0].set_yticks(range(len(stages)), [_NAMES.get(stage, stage.replace("_", " ")) for stage in stages])
    grid[0].set_ylim(len(stages) - 0.5, -0.5)
    entries = legend_entries(grid)
    legend_below(canvas, {row: entries[row] for row in rows if row in entries}, 4)
    return Drawn(canvas, [vars(cost) for cost in costs])


def _draw_panel(
    axes: Axes,
    costs: Sequence[JobCost],
    rows: Sequence[str],
    stages: Sequence[str],
    of: Callable[[JobCost], float | None],
) -> None:
    axes.set_xscale("log")
    for number, row in enumerate(rows):
        look = SERIES[number % len(SERIES)]
        shift = _APART * (number - (len(rows) - 1) / 2)
        found = [
            (place + shift, values)
            for place, stage in enumerate(stages)
            if (values := [v for c in costs if c.row == row and c.stage == stage and (v := of(c))])
        ]
        if not found:
            continue
        means = [statistics.fmean(values) for _, values in found]
        axes.errorbar(
            means,
            [place for place, _ in found],
            xerr=whiskers(means, [min(values) for _, values in found], [max(values) for _, values in found]),
            label=row,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=0.8,
            color=look["color"],
            marker=look["marker"],
            linestyle="",
        )
    low, high = (math.log10(end) for end in axes.get_xlim())
    axes.set_xlim(
        10 ** (math.floor(low + 0.2) - 0.1), 10 ** (math.ceil(high - 0.2) + 0.1)
    )  # at least one decade
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=SMALL)
