"""Selected passages: their sources compared with the whole corpus, and the ranks at which queries found them.

Place in the flow: selections, retrievals and the corpus → figure. Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tlm.artifacts import read_manifest
from tlm.config.figures import MeasuredRun
from tlm.errors import TlmError
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

_MOST = 10  # lines of a panel
_APART = 0.22  # lines between the marks of two selectors
_OTHERS = "{} others"
_CORPUS = "whole corpus"


@dataclass(frozen=True)
class SourceCounts:
    """Passages by source, of a selection or of the whole corpus."""

    label: str
    passages: Mapping[str, int]

    def share(self, source: str) -> float:
        """The share of the passages that comes from `source`."""
        return self.passages.get(source, 0) / sum(self.passages.values())


@dataclass(frozen=True)
class SelectionPanel:
    """The numbers of one task: sources of the corpus, then of each selection; ranks of the first selection."""

    counts: tuple[SourceCounts, ...]
    ranks: np.ndarray
    """(K,) passages whose best rank over all queries is 1, 2, …, K."""
    queries: int


def read_selections(runs: Sequence[MeasuredRun]) -> dict[str, SelectionPanel]:
    """Task → its panel. Raises TlmError if the first selector of a task ranks no passages."""
    panels = {}
    for task in dict.fromkeys(run.task for run in runs):
        own = [run for run in runs if run.task == task]
        if "retrieval" not in own[0].folders:
            raise TlmError(
                f"figure of selections: {own[0].label} ranks no passages; list a variant with selector bm25 first"
            )
        sources = read_manifest(Path(own[0].folders["corpus"]), "corpus").counts["sources"]
        counts = [SourceCounts(_CORPUS, {name: each["passages"] for name, each in sources.items()})]
        tables = [
            pq.read_table(Path(run.folders["selection"]) / "passages.parquet", columns=["source", "rank"])
            for run in own
        ]
        for run, table in zip(own, tables, strict=True):
            found = table["source"].value_counts().to_pylist()
            counts.append(SourceCounts(run.label, {each["values"]: each["counts"] for each in found}))
        queries = read_manifest(Path(own[0].folders["retrieval"]), "retrieval").counts["queries"]
        ranks = np.bincount(tables[0]["rank"].to_numpy())[1:]
        panels[task] = SelectionPanel(tuple(counts), ranks, int(queries))
    return panels


def draw_selection(title: str, panels: Mapping[str, SelectionPanel]) -> Drawn:
    """A column of two panels for each task: sources above, ranks below."""
    across, down, width = arrangement(len(panels))
    lines = sources([counts for panel in panels.values() for counts in panel.counts])
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
        task, panel = list(panels.items())[number]
        draw_sources(upper, panel, lines, named=not column)
        draw_ranks(lower, panel)
        upper.set_title(task)
        if not column:
            lower.set_ylabel("new passages\nper query")
    legend_below(canvas, legend_entries([grid[0, 0]]), 4 if across > 1 else 2)
    return Drawn(canvas, [row for task, panel in panels.items() for row in as_rows(task, panel)])


def sources(counts: Sequence[SourceCounts]) -> list[tuple[str, ...]]:
    """The lines of a panel: one source each, ordered by `counts[0]`; small sources share the last line."""
    names = dict.fromkeys(source for each in counts for source in each.passages)
    order = sorted(names, key=lambda source: -max(each.share(source) for each in counts))
    kept = order if len(order) <= _MOST else order[: _MOST - 1]
    rest = order[len(kept) :]
    return [(source,) for source in sorted(kept, key=lambda source: -counts[0].share(source))] + (
        [tuple(rest)] if rest else []
    )


def draw_sources(
    axes: Axes, panel: SelectionPanel, lines: Sequence[tuple[str, ...]], *, named: bool = True
) -> None:
    """A line for each of `lines` (see `sources`), a mark for each selector."""
    looks: list[dict[str, Any]] = [{"color": GREY, "marker": "|", "markersize": 13, "markeredgewidth": 2.5}]
    looks += [{"color": each["color"], "marker": each["marker"], "markersize": 4.5} for each in SERIES]
    for number, (counts, look) in enumerate(zip(panel.counts, looks, strict=False)):
        shares = [sum(map(counts.share, line)) for line in lines]
        shift = _APART * (number - len(panel.counts) / 2) if number else 0.0
        axes.plot(shares, np.arange(len(lines)) + shift, linestyle="", label=counts.label, **look)
    names = [line[0] if len(line) == 1 else _OTHERS.format(len(line)) for line in lines]
    axes.set_yticks(range(len(lines)), names if named else [""] * len(lines))
    axes.set(ylim=(len(lines) - 0.5, -0.5), xlim=(-0.05, 1.07), xlabel="share of the passages")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "50 %", "", "100 %"])
    axes.tick_params(labelsize=SMALL)


def draw_ranks(axes: Axes, panel: SelectionPanel) -> None:
    """For each rank, the passages per query that no query finds at a better rank: a larger K would add these."""
    ranks = np.arange(1, len(panel.ranks) + 1)
    new = panel.ranks / max(panel.queries, 1)
    few = len(ranks) <= 30
    axes.plot(ranks, new, color=SERIES[0]["color"], marker="o" if few else "", markersize=3, linewidth=1.1)
    axes.set(
        ylim=(0, max(1.0, 1.08 * float(new.max()))),
        xlabel=f"best rank ({panel.counts[1].label})",
    )
    if len(ranks) > 1:
        axes.set_xlim(1 - 0.03 * len(ranks), 1.03 * len(ranks))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=SMALL)


def as_rows(task: str, panel: SelectionPanel) -> list[Record]:
    """One row for each source of the corpus and of each selection, then one row a rank."""
    total = max(int(panel.ranks.sum()), 1)
    rows = [
        (counts.label, "source", source, count, counts.share(source))
        for counts in panel.counts
        for source, count in sorted(counts.passages.items())
    ]
    rows += [
        (panel.counts[1].label, "rank", str(rank), int(count), count / total)
        for rank, count in enumerate(panel.ranks, start=1)
    ]
    names = ("selector", "what", "name", "passages", "share")
    return [{"task": task, **dict(zip(names, row, strict=True))} for row in rows]
