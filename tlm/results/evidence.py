"""The paper's evidence for a claim: the same weighted sum of rows over its own numbers (config/reported.yaml).

Place in the flow: `tlm.results.claims` shows it beside our effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlm.config.claims import Claim
from tlm.config.facts import FACTS
from tlm.config.reported import Reported, reported_line

ALL = "all"
PAPER_HIGH_RESOURCE = ("agnews", "imdb", "rct", "helpfulness")  # Section 4.1


@dataclass(frozen=True)
class Evidence:
    """The paper's numbers, in short (`+2.00; +3.14`) and in words; empty if it prints none."""

    short: str = ""
    words: str = ""


def comparison_of(sides: Sequence[tuple[float, str]]) -> str:
    """The comparison in words, a row of positive weight first: `BM25, demo − Random, demo`."""
    first = next(number for number, (weight, _) in enumerate(sides) if weight > 0)
    shown = ""
    for weight, label in [sides[first], *sides[:first], *sides[first + 1 :]]:
        sign = ("" if weight > 0 else "−") if not shown else (" + " if weight > 0 else " − ")
        shown += sign + (label if abs(weight) == 1 else f"{abs(weight):g} × {label}")
    return shown


def evidence(claim: Claim, reported: Reported) -> dict[str, Evidence]:
    """Task → the paper's numbers; `all` → over its tasks."""
    shown: dict[str, list[str]] = {ALL: []}
    words: list[str] = []
    if claim.reported is None:
        return {ALL: Evidence(words=claim.shows)}
    for weights in claim.paper:
        lines = {row: reported_line(reported, f"{claim.reported}/{row}") for row in weights}
        tasks: dict[str, float] = {}
        for column in next(iter(lines.values())).cells:
            cells = [lines[row].cells.get(column, {}).get("mean") for row in weights]
            if None not in cells and column not in FACTS:
                tasks[column] = sum(
                    weight * cell for weight, cell in zip(weights.values(), cells, strict=True) if cell
                )
        names = comparison_of([(weight, lines[row].label) for row, weight in weights.items()])
        average = tasks.pop("average", None)
        if claim.resources:
            kinds = [
                [effect for task, effect in tasks.items() if (task in PAPER_HIGH_RESOURCE) is many]
                for many in (False, True)
            ]
            total, word = float(np.mean(kinds[0]) - np.mean(kinds[1])), "few texts minus many"
        else:
            total, word = float(np.mean(list(tasks.values()))) if average is None else average, "mean"
        for task, effect in tasks.items():
            shown.setdefault(task, []).append(_signed(effect))
        each = ", ".join(f"{task} {_signed(effect)}" for task, effect in tasks.items())
        shown[ALL].append(_signed(total))
        words.append(f"{names}: {word} {_signed(total)} ({each}){_cost(claim, weights, lines)}")
    found = {task: Evidence("; ".join(texts)) for task, texts in shown.items()}
    return {**found, ALL: Evidence(found[ALL].short, "; ".join(words) or claim.shows)}


def _signed(effect: float) -> str:
    return f"{effect:+.2f}".replace("-", "−")


def _cost(claim: Claim, weights: Mapping[str, float], lines: Mapping[str, Any]) -> str:
    """The paper's ratio of FLOPs, if the claim is about cost."""
    if not claim.cheaper:
        return ""
    ours, theirs = (
        sum(lines[row].cells["flops"]["mean"] for row, weight in weights.items() if (weight > 0) is positive)
        for positive in (True, False)
    )
    return f" at 1/{theirs / ours:.3g} of the FLOPs"
