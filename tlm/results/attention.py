"""results/attention.csv: positional and vertical heads of every model, counted over dev texts, with intervals.

Place in the flow: attention artifacts → table. Section 4.4.1 claims that TLM has more positional and fewer vertical
heads than pretrained models, and shows one sentence a task. This table tests the claim: differences with intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from tlm.results.rendering import Record

MEASURES = ("positional", "vertical", "positional_share", "vertical_share")
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


def attention_rows(spec: AttentionTable, artifacts: Sequence[AttentionArtifact]) -> list[Record]:
    """One row a task and model, and one row for the first model minus each other model.

    Raises TlmError if a task lacks a model, or if the heads of its models were measured on different texts.
    """
    rows: list[Record] = []
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
            label = f"{first.label} − {model.label}"
            rows.append(_difference(task, label, len(own[0].hits.queries), measured[0], other))
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
    task: str, label: str, models: Sequence[AttentionArtifact], found: Mapping[str, HeadCount]
) -> Record:
    first = models[0].hits
    return {
        "task": task,
        "model": label,
        "seeds": len(models),
        "texts": len(first.queries),
        "heads": first.vertical[0].size,
        **_numbers(found),
        **{f"{name}_by_seed": " ".join(f"{each:.3g}" for each in found[name].by_seed) for name in MEASURES},
    }


def _difference(
    task: str, label: str, texts: int, one: Mapping[str, HeadCount], other: Mapping[str, HeadCount]
) -> Record:
    found = {
        name: HeadCount(one[name].value - other[name].value, (), one[name].resampled - other[name].resampled)
        for name in MEASURES
    }
    start = {"task": task, "model": label, "seeds": None, "texts": texts, "heads": None}
    return {**start, **_numbers(found), **{f"{name}_by_seed": None for name in MEASURES}}


def _numbers(found: Mapping[str, HeadCount]) -> dict[str, float]:
    """Each measure with the ends of its interval."""
    numbers: dict[str, float] = {}
    for name in MEASURES:
        low, high = interval(found[name].resampled)
        numbers |= {name: found[name].value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return numbers


def check_paired(models: Sequence[AttentionArtifact]) -> None:
    """Raises TlmError if the heads of the models were measured on different texts."""
    first = models[0]
    for model in models[1:]:
        if (model.task_digest, model.spec) != (first.task_digest, first.spec):
            raise TlmError(f"{model.folder}: measured on other texts than {first.folder}; measure both again")


def as_markdown(rows: Sequence[Record]) -> str:
    """The table as Markdown: shares in percent, intervals in brackets."""
    lines = [
        "# Attention heads",
        "",
        "| | | heads | positional | vertical | maxima on adjacent tokens (%) | maxima on [CLS], [SEP], period (%) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        shown = []
        for name in MEASURES:
            unit = 100 if name.endswith("_share") else 1
            value, low, high = (unit * row[f"{name}{end}"] for end in ("", "_low", "_high"))
            shown.append(f"{value:.1f} [{low:.1f}, {high:.1f}]")
        heads = "" if row["heads"] is None else row["heads"]
        lines.append(f"| {row['task']} | {row['model']} | {heads} | {' | '.join(shown)} |")
    texts = sorted({row["texts"] for row in rows})
    notes = [f"Counts over {' or '.join(map(str, texts))} dev texts.", *NOTES]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"
