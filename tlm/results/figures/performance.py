"""Figure 1: average performance against relative FLOPs, logarithmic.

Place in the flow: cells of a table → figure. Two pairs of axes, one for our scores and one for the paper's (if the
figure names its rows), because scores on different tasks are not comparable. On each, FLOPs are relative to the most
expensive row, which in the paper is RoBERTa-Large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import FuncFormatter, NullFormatter

from tlm.config.figures import PerformanceDrawing
from tlm.config.reported import Reported, reported_line
from tlm.errors import TlmError
from tlm.results.figures.style import SERIES, TEXT_WIDTH, Drawn, new_figure
from tlm.results.rendering import Record

Cell = Mapping[str, Any]
_LEVEL = " (level)"  # follows the name of a row without FLOPs


@dataclass(frozen=True)
class PerformancePoint:
    """A row of a table: its performance with standard deviation, and its FLOPs (None if they were not counted)."""

    series: str
    row: str
    label: str  # of the row
    performance: float
    sd: float | None
    flops: float | None


def draw_performance(figure: PerformanceDrawing, cells: Sequence[Cell], reported: Reported) -> Drawn:
    """The figure. Raises TlmError naming the row that has no performance, or if no row of a panel has FLOPs."""
    given = {(cell["row"], cell["column"]): cell for cell in cells}
    measured = [
        _point(
            figure,
            row.series,
            row.row,
            row.series,
            {column: cell for (of, column), cell in given.items() if of == row.row},
        )
        for row in figure.rows
    ]
    printed = [
        _point(figure, series.label, row, line.label, line.cells)
        for series in figure.reported
        for row in series.rows
        for line in [reported_line(reported, f"{figure.paper}/{row}")]
    ]
    first = given[figure.rows[0].row, figure.performance]
    scales = ", ".join(dict.fromkeys(cell["scale"] for cell in cells))
    panels = [(f"measured, scale {scales}", measured, _height_label(first))]
    if printed:
        panels.append((f"reported, {reported.paper.version}", printed, "average of the paper's tasks (%)"))
    canvas = new_figure(TEXT_WIDTH, 3.2)
    canvas.suptitle(figure.title)
    records: list[Record] = []
    for axes, (title, points, label) in zip(
        canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        reference = _most_expensive(points)
        _draw_panel(axes, points, reference)
        axes.set(title=title, ylabel=label)
        for point in points:
            records.append(
                {
                    "source": title,
                    "series": point.series,
                    "row": point.row,
                    "performance": point.performance,
                    "performance_sd": point.sd,
                    "flops": point.flops,
                    "relative_flops": None if point.flops is None else point.flops / (reference.flops or 1),
                }
            )
    return Drawn(canvas, records)


def _point(
    figure: PerformanceDrawing, series: str, row: str, label: str, cells: Mapping[str, Cell]
) -> PerformancePoint:
    height = cells.get(figure.performance)
    if height is None or height["mean"] is None:
        raise TlmError(f"figure {figure.title!r}: row {row} has no {figure.performance}; build its cell")
    flops = cells.get(figure.flops)
    return PerformancePoint(
        series, row, label, height["mean"], height.get("sd"), None if flops is None else flops["mean"]
    )


def _most_expensive(points: Sequence[PerformancePoint]) -> PerformancePoint:
    costly = [point for point in points if point.flops]
    if not costly:
        raise TlmError(
            "figure of performance: no row has FLOPs for the horizontal axis; build its cells again"
        )
    return max(costly, key=lambda point: point.flops or 0)


def _height_label(cell: Cell) -> str:
    """The label of the vertical axis; the cell lists the tasks of its mean."""
    tasks = len({part["task"] for part in cell["made_from"]})
    return f"average of {tasks} task{'s' if tasks != 1 else ''} (%)"


def _draw_panel(axes: Axes, points: Sequence[PerformancePoint], reference: PerformancePoint) -> None:
    axes.set_xscale("log")
    for number, series in enumerate(dict.fromkeys(point.series for point in points)):
        look = SERIES[number % len(SERIES)]
        own = [point for point in points if point.series == series]
        costly = sorted((point for point in own if point.flops), key=lambda point: point.flops or 0)
        for point in own:
            if not point.flops:  # no place on the horizontal axis: a horizontal line to compare with
                axes.axhline(point.performance, label=series + _LEVEL, **{**look, "marker": ""})
        if costly:
            axes.errorbar(
                [(point.flops or 0) / (reference.flops or 1) for point in costly],
                [point.performance for point in costly],
                yerr=[point.sd or 0 for point in costly] if any(point.sd for point in costly) else None,
                label=series,
                markersize=6,
                markeredgecolor="white",
                capsize=3,
                linewidth=1.4,
                **look,
            )
    axes.set_xlabel(f"FLOPs of stage 1, relative to {reference.label}")
    # Whole decades, at least one: ticks at 0.1 and 1 even if all points lie between.
    least = min((point.flops or 0) / (reference.flops or 1) for point in points if point.flops)
    axes.set_xlim(10 ** math.floor(math.log10(least) - 0.15), 10**0.4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.15)
    handles, labels = axes.get_legend_handles_labels()
    names = list(dict.fromkeys(point.series for point in points))
    order = sorted(range(len(labels)), key=lambda place: names.index(labels[place].removesuffix(_LEVEL)))
    axes.legend(
        # The line and its marker: error bars would overlap the next entry.
        [_sample(handles[place]) for place in order],
        [labels[place] for place in order],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.22),
        ncols=2,
        frameon=False,
        handlelength=3,
    )


def _sample(handle: Any) -> Any:
    """The legend entry of a series: without error bars."""
    return handle[0] if isinstance(handle, ErrorbarContainer) else handle
