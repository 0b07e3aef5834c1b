"""What a selector takes: its sources against those of the whole corpus, and the ranks at which passages were found.

Place in the flow: selections, retrievals and the corpus → figure. Beyond the paper; also for the report of a task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tlm.results.figures.style import GREY, SERIES, SMALL, TEXT_WIDTH, Drawn, new_figure

HEADER = ("task", "selector", "what", "name", "passages", "share")
_MOST = 10  # sources that a panel names
_APART = 0.22  # lines between the marks of two selectors
_OTHERS = "{} others"


@dataclass(frozen=True)
class Mix:
    """Passages by source, of a selection or of the whole corpus."""

    label: str
    passages: Mapping[str, int]

    def share(self, source: str) -> float:
        """The part of them that is of this source."""
        return self.passages.get(source, 0) / sum(self.passages.values())


@dataclass(frozen=True)
class Found:
    """A task's panel: the corpus first, then what was selected from it, and the ranks of one selection."""

    mixes: tuple[Mix, ...]
    ranks: np.ndarray
    """(K,) passages whose best rank over all queries is 1, 2, …, K."""
    queries: int


def draw_selection(title: str, panels: Mapping[str, Found]) -> Drawn:
    """A column of two panels a task: `panels` is task → what was found for it."""
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    width = TEXT_WIDTH if across > 1 else TEXT_WIDTH / 2
    lines = sources([mix for found in panels.values() for mix in found.mixes])
    most = len(lines)
    canvas = new_figure(width, 0.8 + down * (2.4 + 0.24 * most))
    canvas.suptitle(title)
    grid = canvas.subplots(2 * down, across, squeeze=False, height_ratios=(0.35 + 0.24 * most, 1.1) * down)
    for number in range(down * across):
        row, column = divmod(number, across)
        upper, lower = grid[2 * row, column], grid[2 * row + 1, column]
        if number >= len(panels):
            upper.axis("off")
            lower.axis("off")
            continue
        task, found = list(panels.items())[number]
        draw_sources(upper, found, lines, named=not column)
        draw_ranks(lower, found)
        upper.set_title(task)
        if not column:
            lower.set_ylabel("new passages\na query")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    canvas.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=4 if across > 1 else 2,
        frameon=False,
        handlelength=2,
    )
    return Drawn(canvas, HEADER, [row for task, found in panels.items() for row in as_rows(task, found)])


def sources(mixes: Sequence[Mix]) -> list[tuple[str, ...]]:
    """The lines of a panel: a source each, the first mix's largest on top, and what is left together in the last."""
    names = dict.fromkeys(source for mix in mixes for source in mix.passages)
    order = sorted(names, key=lambda source: -max(mix.share(source) for mix in mixes))
    kept = order if len(order) <= _MOST else order[: _MOST - 1]
    rest = order[len(kept) :]
    return [(source,) for source in sorted(kept, key=lambda source: -mixes[0].share(source))] + (
        [tuple(rest)] if rest else []
    )


def draw_sources(axes: Axes, found: Found, lines: Sequence[tuple[str, ...]], *, named: bool = True) -> None:
    """A line for each of `lines` (`sources`), a mark a selector."""
    looks: list[dict[str, Any]] = [{"color": GREY, "marker": "|", "markersize": 13, "markeredgewidth": 2.5}]
    looks += [{"color": each["color"], "marker": each["marker"], "markersize": 4.5} for each in SERIES]
    for number, (mix, look) in enumerate(zip(found.mixes, looks, strict=False)):
        shares = [sum(map(mix.share, line)) for line in lines]
        shift = _APART * (number - len(found.mixes) / 2) if number else 0.0
        axes.plot(shares, np.arange(len(lines)) + shift, linestyle="", label=mix.label, **look)
    names = [line[0] if len(line) == 1 else _OTHERS.format(len(line)) for line in lines]
    axes.set_yticks(range(len(lines)), names if named else [""] * len(lines))
    axes.set(ylim=(len(lines) - 0.5, -0.5), xlim=(-0.05, 1.07), xlabel="share of the passages")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "50 %", "", "100 %"])
    axes.tick_params(labelsize=SMALL)


def draw_ranks(axes: Axes, found: Found) -> None:
    """Passages that a query finds at this rank and no query above it: those that a larger K would add."""
    ranks = np.arange(1, len(found.ranks) + 1)
    new = found.ranks / max(found.queries, 1)
    few = len(ranks) <= 30
    axes.plot(ranks, new, color=SERIES[0]["color"], marker="o" if few else "", markersize=3, linewidth=1.1)
    axes.set(
        ylim=(0, max(1.0, 1.08 * float(new.max()))),
        xlabel=f"best rank ({found.mixes[1].label})",
    )
    if len(ranks) > 1:
        axes.set_xlim(1 - 0.03 * len(ranks), 1.03 * len(ranks))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=SMALL)


def as_rows(task: str, found: Found) -> list[Sequence[Any]]:
    """A line a source of each mix, and a line a rank."""
    sources = [
        (task, mix.label, "source", source, count, mix.share(source))
        for mix in found.mixes
        for source, count in sorted(mix.passages.items())
    ]
    total = max(int(found.ranks.sum()), 1)
    ranks = [
        (task, found.mixes[1].label, "rank", rank, int(count), count / total)
        for rank, count in enumerate(found.ranks, start=1)
    ]
    return [*sources, *ranks]
