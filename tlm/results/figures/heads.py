"""Figures 3, C.1 and C.2: every head's attention on one sentence, model beside model.

Place in the flow: attention artifacts → figure. A panel is a model, a row a layer, a column a head; each head is a
picture of queries (down) by keys (across). Frames and masks are computed from this sentence, as in the paper; below
each panel are the same counts over a sample of dev texts, with intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from tlm.config.figures import HeadsDrawing
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import (
    AttentionArtifact,
    AttentionExample,
    Hits,
    interval,
    is_positional,
    is_vertical,
    resampled_shares,
    shares,
)
from tlm.results.figures.style import GREY, INK, RED, SMALL, TEXT_WIDTH, Drawn, new_figure
from tlm.results.rendering import Record

COLOURS = "Blues"
# Weights of a long sentence are small: their square root makes them visible, and keeps 0 and 1.
SCALE = PowerNorm(0.5, vmin=0, vmax=1)
_GAP = 0.16  # between heads, in widths of a head
_LEGIBLE = 4.5  # points: smaller tokens are not printed
_WIDER = 1.3  # times the width of a page, if tokens are printed
_MARGIN = 1.0  # inches for the tokens beside or under a panel
_DOT: dict[str, Any] = {"markerfacecolor": "#fca311", "markeredgecolor": INK, "markersize": 4}
_POINTS: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False}


def draw_heads(figure: HeadsDrawing, artifacts: Sequence[AttentionArtifact]) -> Drawn:
    """The figure; `artifacts` in the order of `figure.models`.

    Raises TlmError if their number or task is not the figure's, or if one lacks the example.
    """
    labels = [model.label for model in figure.models]
    if len(artifacts) != len(labels) or any(model.task != figure.task for model in artifacts):
        given = ", ".join(str(model.folder) for model in artifacts)
        raise TlmError(
            f"figure {figure.title!r}: needs one model each of {labels} on {figure.task}, got {given}"
        )
    examples = [_example(model, figure.example) for model in artifacts]
    across = min(len(artifacts), 3)
    down = math.ceil(len(artifacts) / across)
    size = min(_token_size(each, across) for each in examples)
    named = size >= _LEGIBLE
    ratio = max(each.weights.shape[0] / each.weights.shape[1] for each in examples)
    width = (TEXT_WIDTH if across > 1 else TEXT_WIDTH / 2) * (_WIDER if named else 1)
    side = width / across - (_MARGIN if named else 0.3)
    canvas = new_figure(width, down * (side * ratio + (1.75 if named else 0.85)) + 1.2)
    canvas.suptitle(f"{figure.title}\n“{examples[0].sentence}”")
    grid = canvas.subplots(down, across, squeeze=False).ravel()
    for axes, label, model, example in zip(grid, labels, artifacts, examples, strict=False):
        _draw_panel(axes, example, size if named else None)
        axes.set_title(f"{label} ({model.task})", pad=14)
        axes.set_xlabel(_counts(model, example), fontsize=SMALL, labelpad=5)
    for axes in grid[len(artifacts) :]:
        axes.axis("off")
    _draw_key(canvas, list(grid), named)
    rows = [row for each in zip(labels, artifacts, examples, strict=True) for row in _rows(*each)]
    return Drawn(canvas, rows)


def _example(model: AttentionArtifact, name: str) -> AttentionExample:
    if name not in model.examples:
        raise TlmError(f"{model.folder}: has no example {name!r}; measure its heads again")
    return model.examples[name]


def mosaic(example: AttentionExample) -> np.ndarray:
    """All heads in one picture, (layers · step, heads · step), with gaps of NaN: drawing one image is fast."""
    layers, heads, tokens, _ = example.weights.shape
    gap = max(1, round(_GAP * tokens))
    step = tokens + gap
    picture = np.full((layers * step - gap, heads * step - gap), np.nan)
    for layer in range(layers):
        for head in range(heads):
            picture[layer * step :, head * step :][:tokens, :tokens] = example.weights[layer, head]
    return picture


def _draw_panel(axes: Axes, example: AttentionExample, token_size: float | None) -> None:
    """One model. `token_size` in points; None if tokens would not be legible."""
    layers, heads, tokens, _ = example.weights.shape
    step = tokens + max(1, round(_GAP * tokens))
    picture = mosaic(example)
    axes.imshow(picture, cmap=COLOURS, norm=SCALE, interpolation="nearest")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    positional, vertical = classes(example.hits)
    thin = token_size is None
    for layer in range(layers):
        for head in range(heads):
            corner = (head * step - 0.5, layer * step - 0.5)
            frame = Rectangle(corner, tokens, tokens, fill=False, edgecolor="#bbbbbb", linewidth=0.4)
            axes.add_patch(frame)
            if vertical[layer, head]:
                mask = Rectangle(corner, tokens, tokens, facecolor=GREY, alpha=0.6, linewidth=0)
                lines = Rectangle(corner, tokens, tokens, fill=False, edgecolor="white", linewidth=0)
                lines.set_hatch("//////" if thin else "///")
                axes.add_patch(mask)
                axes.add_patch(lines)
            if positional[layer, head]:
                red = Rectangle(corner, tokens, tokens, fill=False, edgecolor=RED)
                red.set(linewidth=1.3 if thin else 2.2, clip_on=False, zorder=5)
                axes.add_patch(red)
    _name_heads(axes, layers, heads, tokens, step)
    if token_size is not None:
        _name_tokens(axes, example, step, token_size)
    else:
        axes.set(xticks=[], yticks=[])


def _name_heads(axes: Axes, layers: int, heads: int, tokens: int, step: int) -> None:
    """H1, H2 … above the first layer; L1, L2 … left of the first head."""
    middle = (tokens - 1) / 2
    style: dict[str, Any] = {"fontsize": SMALL if heads <= 8 else SMALL - 2, **_POINTS}
    for head in range(heads):
        axes.annotate(f"H{head + 1}", (head * step + middle, -0.5), (0, 2), ha="center", va="bottom", **style)
    for layer in range(layers):
        axes.annotate(
            f"L{layer + 1}",
            (-0.5, layer * step + middle),
            (-2, 0),
            ha="right",
            va="center",
            **style,
        )


def _name_tokens(axes: Axes, example: AttentionExample, step: int, size: float) -> None:
    """Keys under the last layer, queries right of the last head, and a dot on each counted maximum."""
    layers, heads, tokens, _ = example.weights.shape
    names = list(example.tokens)
    axes.set_xticks(
        [head * step + token for head in range(heads) for token in range(tokens)],
        names * heads,
        rotation=90,
        fontsize=size,
    )
    axes.yaxis.tick_right()
    axes.set_yticks(
        [layer * step + token for layer in range(layers) for token in range(tokens)],
        names * layers,
        fontsize=size,
    )
    axes.tick_params(length=0, pad=1)
    where = np.argwhere(
        ~example.special[:, None] & (example.weights == example.weights.max(-1, keepdims=True))
    )
    axes.scatter(
        where[:, 1] * step + where[:, 3],
        where[:, 0] * step + where[:, 2],
        s=1.5 * size,
        color=_DOT["markerfacecolor"],
        edgecolor=_DOT["markeredgecolor"],
        linewidth=0.5,
        zorder=6,
    )


def _token_size(example: AttentionExample, across: int) -> float:
    """The largest font size in points at which tokens do not touch, with `across` models side by side."""
    _, heads, tokens, _ = example.weights.shape
    side = _WIDER * (TEXT_WIDTH / across if across > 1 else TEXT_WIDTH / 2) - _MARGIN
    return min(SMALL, 72 * side / (heads * tokens * (1 + _GAP)) / 1.2)


def classes(hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Which heads are positional and which are vertical, both (layers, heads) bool."""
    return (
        is_positional(shares(hits.positional, hits.queries)),
        is_vertical(shares(hits.vertical, hits.queries)),
    )


def _counts(model: AttentionArtifact, example: AttentionExample) -> str:
    """Numbers of positional and vertical heads in this sentence, and over the dev texts with intervals."""
    here = classes(example.hits)
    lines = [f"{here[0].size} heads: this sentence | {len(model.hits.queries)} dev texts"]
    for number, (name, rule) in enumerate((("positional", is_positional), ("vertical", is_vertical))):
        part = getattr(model.hits, name)
        share = shares(part, model.hits.queries)
        found = rule(resampled_shares(part, model.hits.queries, model.resampling)).sum(axis=(1, 2))
        low, high = interval(found)
        lines.append(
            f"{name} {here[number].sum()} | {rule(share).sum()} [{low:.0f}, {high:.0f}], "
            f"{100 * share.mean():.0f} % of maxima"
        )
    return "\n".join(lines)


def _draw_key(canvas: Figure, grid: list[Axes], named: bool) -> None:
    bar = canvas.colorbar(
        ScalarMappable(SCALE, COLOURS), ax=grid, location="bottom", shrink=0.35, aspect=30, pad=0.03
    )
    bar.set_label("attention weight (query down, key across)", fontsize=SMALL)
    bar.set_ticks([0, 0.1, 0.5, 1.0], labels=["0", "0.1", "0.5", "1"])
    bar.outline.set_visible(False)
    handles: list[Artist] = [
        Patch(facecolor="none", edgecolor=RED, linewidth=2, label="positional head"),
        Patch(facecolor=GREY, edgecolor="white", hatch="///", alpha=0.8, label="vertical head"),
    ]
    if named:
        handles.append(Line2D([], [], marker="o", linestyle="", label="counted maximum of a query", **_DOT))
    canvas.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _rows(label: str, model: AttentionArtifact, example: AttentionExample) -> list[Record]:
    """One row a head: its shares in the sentence and in the dev texts."""
    columns = {
        f"{kind}_in_{where}": shares(getattr(hits, kind), hits.queries)
        for where, hits in (("sentence", example.hits), ("texts", model.hits))
        for kind in ("positional", "vertical")
    }
    run = {"model": label, "task": model.task, "variant": model.variant, "seed": model.seed}
    return [
        {
            **run,
            "layer": layer + 1,
            "head": head + 1,
            **{name: float(column[layer, head]) for name, column in columns.items()},
        }
        for layer, head in np.ndindex(*example.weights.shape[:2])
    ]
