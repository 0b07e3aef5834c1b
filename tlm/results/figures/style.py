"""One style for all figures: legible in grey and on paper, and the same bytes every time.

Place in the flow: every module of this package draws inside `styled()` on a figure of `new_figure()`; `save` writes it.
Series differ in marker and dash, not in colour alone. A user's `matplotlibrc` has no effect, and no file has a date.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tlm.artifacts import atomic_file, write_text
from tlm.results.rendering import Record, records_csv

TEXT_WIDTH = 7.0  # inches between the margins of a page
SMALL = 7  # points: the least that is printed
DPI = 200
RED = "#c1121f"
GREY = "#8d8d8d"
INK = "#222222"

_PALETTE = sns.color_palette("colorblind").as_hex()
SERIES: list[dict[str, Any]] = [
    {"color": _PALETTE[0], "marker": "o", "linestyle": "-"},
    {"color": _PALETTE[3], "marker": "s", "linestyle": "--"},
    {"color": _PALETTE[2], "marker": "^", "linestyle": "-."},
    {"color": _PALETTE[4], "marker": "D", "linestyle": ":"},
    {"color": _PALETTE[5], "marker": "v", "linestyle": (0, (5, 1))},
]


@dataclass(frozen=True)
class Drawn:
    """A finished figure and the numbers in it."""

    figure: Figure
    rows: Sequence[Record]


@contextmanager
def styled() -> Iterator[None]:
    """The style as a context manager: draw and save inside it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                **sns.axes_style("whitegrid"),
                **sns.plotting_context("paper"),
                "font.family": "DejaVu Sans",  # ships with matplotlib
                "font.size": 8,
                "figure.titlesize": 9.5,
                "axes.titlesize": 9,
                "axes.labelsize": 8,
                "xtick.labelsize": SMALL,
                "ytick.labelsize": SMALL,
                "legend.fontsize": SMALL,
                "text.color": INK,
                "axes.labelcolor": INK,
                "hatch.linewidth": 0.6,
                "pdf.fonttype": 42,  # text that can be searched and copied
                "svg.hashsalt": "tlm",
                "savefig.dpi": DPI,
            }
        )
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches; its layout avoids overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def arrangement(panels: int) -> tuple[int, int, float]:
    """Columns, rows and width in inches of a figure with this number of panels; one panel takes half the page."""
    across = min(panels, 3)
    return across, math.ceil(panels / across), TEXT_WIDTH if across > 1 else TEXT_WIDTH / 2


def legend_entries(grid: Iterable[Axes]) -> dict[str, Any]:
    """Label → handle of everything that is labelled in `grid`; each label once."""
    found = [axes.get_legend_handles_labels() for axes in grid]
    return {label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)}


def legend_below(canvas: Figure, entries: Mapping[str, Any], columns: int, handlelength: float = 2) -> None:
    """A legend without a frame below all panels."""
    canvas.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=handlelength,
    )


def whiskers(centres: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Lengths of error bars below and above, (2, n), for ends at `low` and `high`.

    Never negative, because Matplotlib rejects that: the mean of equal numbers may differ from them by a rounding error.
    """
    middle = np.asarray(centres, float)
    return np.maximum(0.0, np.stack([middle - np.asarray(low), np.asarray(high) - middle]))


def save(drawn: Drawn, pdf: Path, png: Path, table: Path) -> None:
    """Write the figure as PDF and PNG and its numbers as CSV, atomically; equal figures give equal bytes."""
    for path, form, metadata in (
        (png, "png", {"Software": None}),
        (pdf, "pdf", {"CreationDate": None, "ModDate": None}),
    ):
        with atomic_file(path) as temporary:
            drawn.figure.savefig(temporary, format=form, metadata=metadata)
        drawn.figure.set_layout_engine("none")  # lay out once, so that both files show the same picture
    write_text(table, as_csv(drawn.rows))


def as_csv(rows: Sequence[Record]) -> str:
    """Lines of CSV: floats to six digits, None as an empty field."""
    return records_csv(
        [
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            for row in rows
        ]
    )
