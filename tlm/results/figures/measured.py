"""Figures of measurements from their artifacts: opens the files, and hands plain numbers to those who draw.

Place in the flow: `draw.py` → here → learning, calibration, selection, costs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.figures import CalibrationFigure, CostsFigure, Drawing, LearningFigure, MeasuredFigure, Part
from tlm.errors import TlmError
from tlm.results.calibration import Reliability, confidences, reliability
from tlm.results.cells import open_evaluation
from tlm.results.costs import costs
from tlm.results.figures.calibration import as_rows, draw_calibration
from tlm.results.figures.costs import draw_costs
from tlm.results.figures.learning import Measured, draw_learning
from tlm.results.figures.selection import Found, Mix, draw_selection
from tlm.results.figures.style import Drawn

CORPUS = "whole corpus"


def draw_measured(drawing: Drawing) -> Drawn:
    """The figure. Raises TlmError if there is nothing to show, or an artifact is missing or broken."""
    figure = drawing.figure
    assert isinstance(figure, MeasuredFigure)
    if not drawing.parts:
        raise TlmError(f"figure {figure.title!r}: this scale has nothing that it could show")
    if isinstance(figure, LearningFigure):
        return draw_learning(figure.title, _panels(drawing.parts, read_learning))
    if isinstance(figure, CalibrationFigure):
        return _calibration(figure, drawing.parts)
    if isinstance(figure, CostsFigure):
        return draw_costs(figure.title, costs(drawing.parts))
    return draw_selection(figure.title, read_selections(drawing.parts))


def _panels(parts: Sequence[Part], read: Callable[[Part], Any]) -> dict[str, list[Any]]:
    """Task → what is read of its parts."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        found.setdefault(part.task, []).append(read(part))
    return found


def read_learning(part: Part) -> Measured:
    """The held-out losses of one training, from stage 1's record and the evaluation."""
    path = Path(part.folders["stage1"]) / "record.json"
    try:
        history = json.loads(path.read_text(encoding="utf-8"))["held_out"]
    except (OSError, ValueError, KeyError):
        raise TlmError(f"{path}: no record of stage 1; delete {path.parent} and train it again") from None
    evaluation = open_evaluation(Path(part.folders["evaluation"]))
    loss, stage1 = evaluation.metrics["dev"]["mlm_loss"], evaluation.flops["stage1"]
    return Measured(
        label=part.label,
        seed=part.seed,
        tokens=tuple(each["tokens"] for each in history),
        losses=tuple(each["held_out_mlm"] for each in history),
        end=None if loss is None or not stage1 else (stage1["tokens"]["real"], loss),
    )


def read_reliability(label: str, evaluation: Path, split: str, bins: int) -> Reliability:
    """Calibration of one evaluated run on `split`. Raises TlmError if it has no such split or no probabilities."""
    table = pq.read_table(evaluation / "predictions.parquet")
    table = table.filter(pc.equal(table["split"], split))
    if not table.num_rows:
        raise TlmError(f"{evaluation}: no predictions for split {split}; let the figure show another")
    if "probabilities" not in table.column_names:
        raise TlmError(f"{evaluation}: no probabilities; calibration is of tasks of classification")
    probabilities = np.array(table["probabilities"].to_pylist())
    confidence, correct = confidences(
        probabilities, np.array(table["label"].to_pylist()), np.array(table["prediction"].to_pylist())
    )
    return reliability(label, confidence, correct, bins=bins)


def _calibration(figure: CalibrationFigure, parts: Sequence[Part]) -> Drawn:
    """Every seed is in the table, the first one in the picture."""
    first = min(part.seed for part in parts)
    panels: dict[str, list[Reliability]] = {}
    rows: list[tuple[Any, ...]] = []
    for part in parts:
        found = read_reliability(part.label, Path(part.folders["evaluation"]), figure.split, figure.bins)
        rows += as_rows(part.task, part.seed, found)
        if part.seed == first:
            panels.setdefault(part.task, []).append(found)
    return draw_calibration(f"{figure.title} (seed {first})", panels, rows)


def read_selections(parts: Sequence[Part]) -> Mapping[str, Found]:
    """Task → the sources of its corpus and selections, and the ranks of the first of them."""
    found = {}
    for task in dict.fromkeys(part.task for part in parts):
        own = [part for part in parts if part.task == task]
        sources = read_manifest(Path(own[0].folders["corpus"]), "corpus").counts["sources"]
        mixes = [Mix(CORPUS, {name: counts["passages"] for name, counts in sources.items()})]
        tables = [
            pq.read_table(Path(part.folders["selection"]) / "passages.parquet", columns=["source", "rank"])
            for part in own
        ]
        for part, table in zip(own, tables, strict=True):
            counts = table["source"].value_counts().to_pylist()
            mixes.append(Mix(part.label, {each["values"]: each["counts"] for each in counts}))
        if "retrieval" not in own[0].folders:
            raise TlmError(
                f"figure of selections: {own[0].label} ranks nothing; name a variant of bm25 first"
            )
        queries = read_manifest(Path(own[0].folders["retrieval"]), "retrieval").counts["queries"]
        ranks = np.bincount(tables[0]["rank"].to_numpy())[1:]
        found[task] = Found(tuple(mixes), ranks, int(queries))
    return found
