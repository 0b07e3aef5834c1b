"""A figure of any kind, from the files that it is made from.

Place in the flow: `scripts/figure.py` → here → one module a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlm.artifacts import canonical_json
from tlm.config.figures import Drawing, HeadsFigure, MeasuredFigure, PerformanceFigure, SensitivityFigure
from tlm.evaluation.heads import read_attention
from tlm.results.cells import read_cell
from tlm.results.figures.heads import draw_heads
from tlm.results.figures.measured import draw_measured
from tlm.results.figures.performance import draw_performance
from tlm.results.figures.pipeline import draw_pipeline, rule_graph
from tlm.results.figures.sensitivity import draw_sensitivity
from tlm.results.figures.style import Drawn
from tlm.results.predictions import open_runs
from tlm.results.reported import Reported


def draw(drawing: Drawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    """The figure, not yet saved.

    `made_from`: cells, attention artifacts, evaluations or rule files, in the order of the rule; figures of
    measurements name their files in `drawing`.
    """
    figure = drawing.figure
    if isinstance(figure, PerformanceFigure):
        return draw_performance(drawing, [read_cell(path) for path in made_from], reported)
    if isinstance(figure, HeadsFigure):
        return draw_heads(drawing, [read_attention(path) for path in made_from])
    if isinstance(figure, SensitivityFigure):
        return draw_sensitivity(drawing, open_runs(made_from))
    if isinstance(figure, MeasuredFigure):
        return draw_measured(drawing)
    dot = rule_graph(figure.targets, canonical_json(drawing.settings))
    return draw_pipeline(figure, dot, [path for path in made_from if path.suffix == ".smk"])
