"""Draws a figure of any kind from its files.

Place in the flow: `scripts/figure.py` → here → one module for each kind. `DRAW` has one entry a kind, with the
names of `tlm.plan.figures.KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlm.artifacts import canonical_json
from tlm.config.figures import (
    CalibrationDrawing,
    CostsDrawing,
    Drawing,
    HeadsDrawing,
    LearningDrawing,
    PerformanceDrawing,
    PipelineDrawing,
    SelectionDrawing,
    SensitivityDrawing,
)
from tlm.config.reported import Reported
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import read_attention
from tlm.results.cells import read_cell
from tlm.results.costs import costs
from tlm.results.figures.calibration import read_and_draw_calibration
from tlm.results.figures.costs import draw_costs
from tlm.results.figures.heads import draw_heads
from tlm.results.figures.learning import draw_learning, read_curves
from tlm.results.figures.performance import draw_performance
from tlm.results.figures.pipeline import draw_pipeline
from tlm.results.figures.selection import draw_selection, read_selections
from tlm.results.figures.sensitivity import draw_sensitivity
from tlm.results.figures.style import Drawn
from tlm.results.predictions import open_runs
from tlm.snakemake_adapter import rule_graph


def draw(drawing: Drawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    """The figure, not yet saved. `made_from`: the files that the rule lists, in its order.

    Raises TlmError if the scale has no run for the figure, or if a file is missing or broken.
    """
    figure = drawing.figure
    if not getattr(figure, "runs", True):
        raise TlmError(f"figure {figure.title!r}: this scale has no run that the figure can show")
    return DRAW[figure.kind](figure, made_from, reported)


def _performance(figure: PerformanceDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_performance(figure, [read_cell(path) for path in made_from], reported)


def _pipeline(figure: PipelineDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    graph = rule_graph(figure.targets, canonical_json(figure.settings))
    return draw_pipeline(figure, graph, [path for path in made_from if path.suffix == ".smk"])


def _heads(figure: HeadsDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_heads(figure, [read_attention(path) for path in made_from])


def _sensitivity(figure: SensitivityDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_sensitivity(figure, open_runs(made_from))


def _learning(figure: LearningDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_learning(figure.title, read_curves(figure.runs))


def _calibration(figure: CalibrationDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return read_and_draw_calibration(figure)


def _selection(figure: SelectionDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_selection(figure.title, read_selections(figure.runs))


def _costs(figure: CostsDrawing, made_from: Sequence[Path], reported: Reported) -> Drawn:
    return draw_costs(figure.title, costs(figure.runs))


DRAW: Mapping[str, Callable[[Any, Sequence[Path], Reported], Drawn]] = {
    "performance": _performance,
    "pipeline": _pipeline,
    "heads": _heads,
    "sensitivity": _sensitivity,
    "learning": _learning,
    "calibration": _calibration,
    "selection": _selection,
    "costs": _costs,
}
