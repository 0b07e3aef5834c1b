"""results/attention.csv: positional and vertical heads of every model, counted over dev texts, with intervals.

Place in the flow: attention artifacts → table. Section 4.4.1 claims that TLM has more positional and fewer vertical
heads than pretrained models, and shows one sentence a task. This table tests the claim: differences with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlm.config.figures import AttentionTable
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import (
    AttentionArtifact,
    interval,
    is_positional,
    is_vertical,
    resampled_shares,
    shares,
)

MEASURES = ("positional", "vertical", "positional_share", "vertical_share")
HEADER = (
    "task",
    "model",
    "seeds",
    "texts",
    "heads",
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
    *(f"{name}_by_seed" for name in MEASURES),
)
NOTES = (
    "positional, vertical: number of such heads in a model, mean over seeds; positional_share, vertical_share: share "
    "of the maxima of all heads that fall on adjacent tokens, or on [CLS], [SEP] or the period.",
    "Brackets: 95 % bootstrap intervals over the dev texts. They do not cover the choice of the training seed; the "
    "columns by seed show its effect. A difference is paired: both models read the same texts.",
)


@dataclass(frozen=True)
class HeadCount:
    """A measure of one task and model: its value, by seed, and in each resample of the texts (resamples,)."""

    value: float
    by_seed: tuple[float, ...]
    resampled: np.ndarray


def attention_rows(spec: AttentionTable, artifacts: Sequence[AttentionArtifact]) -> list[tuple[Any, ...]]:
    """One row a task and model, and one row for the first model minus each other model; see `HEADER`.

    Raises TlmError if a task lacks a model, or if the heads of its models were measured on different texts.
    """
    rows: list[tuple[Any, ...]] = []
    variants = sorted({each.variant for each in artifacts})
    for task in dict.fromkeys(each.task for each in artifacts):
        measured = []
        for model in spec.models:
            own = [each for each in artifacts if (each.task, each.variant) == (task, model.variant)]
            if not own:
                raise TlmError(
                    f"attention of {model.variant} on {task} is missing; found: {', '.join(variants)}"
                )
            measured.append({name: counted(name, own) for name in MEASURES})
            rows.append(_row(task, model.label, own, measured[-1]))
        first = spec.models[0]
        for model, other in zip(spec.models[1:], measured[1:], strict=True):
            own = [each for each in artifacts if each.task == task]
            check_paired(own)
            rows.append(_difference(task, f"{first.label} − {model.label}", own[0], measured[0], other))
    return rows


def counted(name: str, models: Sequence[AttentionArtifact]) -> HeadCount:
    """One of `MEASURES`, over the seeds of a model on one task."""
    values, resampled = [], []
    for model in models:
        part, queries = getattr(model.hits, name.removesuffix("_share")), model.hits.queries
        values.append(float(_measure(name, shares(part, queries))))
        resampled.append(_measure(name, resampled_shares(part, queries, model.resampling)))
    return HeadCount(float(np.mean(values)), tuple(values), np.mean(resampled, axis=0))


def _measure(name: str, share: np.ndarray) -> np.ndarray:
    """Shares (…, layers, heads) → number of heads of a kind, or mean share, (…)."""
    if name.endswith("_share"):
        return share.mean(axis=(-2, -1))
    rule = is_positional if name == "positional" else is_vertical
    return rule(share).sum(axis=(-2, -1)).astype(float)


def _row(
    task: str, label: str, models: Sequence[AttentionArtifact], found: dict[str, HeadCount]
) -> tuple[Any, ...]:
    heads = models[0].hits.vertical[0].size
    return (
        task,
        label,
        len(models),
        len(models[0].hits.queries),
        heads,
        *(number for name in MEASURES for number in _with_interval(found[name].value, found[name].resampled)),
        *(" ".join(f"{value:.3g}" for value in found[name].by_seed) for name in MEASURES),
    )


def _difference(
    task: str, label: str, model: AttentionArtifact, one: dict[str, HeadCount], other: dict[str, HeadCount]
) -> tuple[Any, ...]:
    numbers = [
        number
        for name in MEASURES
        for number in _with_interval(
            one[name].value - other[name].value, one[name].resampled - other[name].resampled
        )
    ]
    return (task, label, None, len(model.hits.queries), None, *numbers, *[None] * len(MEASURES))


def _with_interval(value: float, resampled: np.ndarray) -> tuple[float, float, float]:
    low, high = interval(resampled)
    return value, float(low), float(high)


def check_paired(models: Sequence[AttentionArtifact]) -> None:
    """Raises TlmError if the heads of the models were measured on different texts."""
    first = models[0]
    for model in models[1:]:
        if (model.task_digest, model.spec) != (first.task_digest, first.spec):
            raise TlmError(f"{model.folder}: measured on other texts than {first.folder}; measure both again")


def as_markdown(rows: Sequence[tuple[Any, ...]]) -> str:
    """The table as Markdown: shares in percent, intervals in brackets."""
    lines = [
        "# Attention heads",
        "",
        "| | | heads | positional | vertical | maxima on adjacent tokens (%) | maxima on [CLS], [SEP], period (%) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        numbers = row[5:17]
        shown = []
        for place, unit in enumerate((1, 1, 100, 100)):
            value, low, high = (unit * number for number in numbers[3 * place : 3 * place + 3])
            shown.append(f"{value:.1f} [{low:.1f}, {high:.1f}]")
        lines.append(f"| {row[0]} | {row[1]} | {'' if row[4] is None else row[4]} | {' | '.join(shown)} |")
    texts = sorted({row[3] for row in rows})
    notes = [f"Counts over {' or '.join(map(str, texts))} dev texts.", *NOTES]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"
