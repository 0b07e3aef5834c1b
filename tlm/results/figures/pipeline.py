"""Figure 2: the pipeline, drawn from the rule graph that Snakemake itself computes.

Place in the flow: Snakefile and rules → figure. The paper's Figure 2 sketches retrieval and joint training; this one
shows every rule, and always matches the rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath

from tlm.config.figures import PipelineDrawing
from tlm.errors import TlmError
from tlm.results.figures.graph_layout import Edge, GraphLayout, lay_out
from tlm.results.figures.style import INK, SMALL, TEXT_WIDTH, Drawn, new_figure
from tlm.snakemake_adapter import RuleGraph

_RULE = re.compile(r'^rule (\w+):\n\s+"""(.*?)"""', re.M | re.S)
_LINES = 3  # of text in a box
_HEIGHT = 0.71  # of a box, in layers
_WIDTH = 0.92  # of a box, in columns
_INSIDE = 0.035  # from the edge of a box to its text


@dataclass(frozen=True)
class Step:
    """A rule: its name, the file of workflow/rules/ that declares it, and its docstring."""

    name: str
    stage: str
    does: str


def read_steps(files: Sequence[Path]) -> dict[str, Step]:
    """Rule → its name, file and docstring."""
    steps = {}
    for path in files:
        for name, docstring in _RULE.findall(path.read_text(encoding="utf-8")):
            steps[name] = Step(name, path.stem, " ".join(docstring.split()))
    return steps


def draw_pipeline(figure: PipelineDrawing, graph: RuleGraph, files: Sequence[Path]) -> Drawn:
    """The figure, one box a rule. Raises TlmError for a rule that `files` do not declare with a docstring."""
    nodes, edges = graph
    steps = read_steps(files)
    if unknown := [name for name in nodes if name not in steps]:
        raise TlmError(
            f"rule {unknown[0]!r}: no declaration with a docstring in workflow/rules/*.smk; add one"
        )
    layout = lay_out(nodes, edges)
    ends = [x + side for x, _ in layout.at.values() for side in (-0.5, 0.5)]
    ends += [x for route in layout.routes.values() for x, _ in route]
    canvas = new_figure(TEXT_WIDTH, 0.82 * layout.layers + 0.4)
    canvas.suptitle(figure.title)
    axes = canvas.add_subplot()
    stages = sorted({step.stage for step in steps.values()})
    colours = dict(zip(stages, sns.color_palette("pastel", len(stages)).as_hex(), strict=True))
    for edge in edges:
        _draw_edge(axes, layout, edge)
    room = 72 * 0.97 * TEXT_WIDTH * (_WIDTH - 2 * _INSIDE) / (max(ends) - min(ends) + 0.06)
    for name in nodes:
        _draw_step(axes, steps[name], layout.at[name], colours[steps[name].stage], room)
    axes.set_xlim(min(ends) - 0.03, max(ends) + 0.03)
    axes.set_ylim(layout.layers - 0.5, -0.5)
    axes.axis("off")
    return Drawn(canvas, [{"rule": start, "feeds": end} for start, end in edges])


def _draw_step(axes: Axes, step: Step, at: tuple[float, int], colour: str, room: float) -> None:
    """A box with lines `room` points wide: the rule's name, its file in italics, and its docstring."""
    x, y = at
    left, top = x - _WIDTH / 2, y - _HEIGHT / 2
    box = FancyBboxPatch(
        (left, top), _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.06", mutation_aspect=1.5
    )
    box.set(facecolor=colour, edgecolor=INK, linewidth=0.8, zorder=3)
    axes.add_patch(box)
    inside: dict[str, Any] = {"zorder": 4, "va": "top", "fontsize": SMALL}
    axes.text(left + _INSIDE, top + 0.06, step.name, ha="left", **{**inside, "fontweight": "bold"})
    axes.text(
        left + _WIDTH - _INSIDE, top + 0.06, step.stage, ha="right", **{**inside, "fontstyle": "italic"}
    )
    axes.text(left + _INSIDE, top + 0.23, "\n".join(wrapped(step.does, room)), ha="left", **inside)


def wrapped(text: str, room: float) -> list[str]:
    """`text` in at most three lines, each at most `room` points wide; "…" replaces further words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        last = len(lines) == _LINES
        if TextPath((0, 0), f"{longer} …" if last else longer, size=SMALL).get_extents().width <= room:
            lines[-1] = longer
        elif last:
            lines[-1] += " …"
            break
        else:
            lines.append(word)
    return lines


def _draw_edge(axes: Axes, layout: GraphLayout, edge: Edge) -> None:
    """A smooth line, vertical at its start and end and where it passes a layer."""
    points = layout.routes[edge]
    vertices = [(points[0][0], points[0][1] + _HEIGHT / 2)]
    codes = [Curve.MOVETO]
    for number, (x, y) in enumerate(points[1:], 1):
        last = number == len(points) - 1
        start = vertices[-1]
        end = (x, y - _HEIGHT / 2)
        middle = (start[1] + end[1]) / 2
        vertices += [(start[0], middle), (x, middle), end]
        codes += [Curve.CURVE4] * 3
        if not last:  # straight past the boxes of a skipped layer
            vertices.append((x, y + _HEIGHT / 2))
            codes.append(Curve.LINETO)
    arrow = FancyArrowPatch(
        path=Curve(vertices, codes), arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0
    )
    arrow.set(color="#666666", linewidth=0.8, zorder=2)
    axes.add_patch(arrow)
