"""The paper's evidence for a claim: the same weighted sum of rows over its own numbers (config/reported.yaml).

Place in the flow: `tlm.results.claims` shows it beside our effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlm.config.claims import Claim
from tlm.config.facts import FACTS
from tlm.config.reported import Reported, ReportedLine, reported_line
from tlm.results.claim_facts import reported_shares

ALL = "all"
_CHOSEN = re.compile(r"\{(best|worst) (k|rho1|rho2)\}")
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
        rows = {name: _rows(claim, name, reported) for name in weights}
        lines = {name: own[0] for name, own in rows.items()}
        shares = reported_shares(claim, weights, lines)
        names = comparison_of([(weight, _label(name, rows[name])) for name, weight in weights.items()])
        if claim.fact:
            shown[ALL] += shares
            words.append(f"{names}: {' and '.join(shares)}")
            continue
        tasks = _effects(weights, rows)
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
        cost = f" at {' and '.join(shares)}" if shares else ""
        words.append(f"{names}: {word} {_signed(total)} ({each}){cost}")
    found = {task: Evidence("; ".join(texts)) for task, texts in shown.items()}
    return {**found, ALL: Evidence(found[ALL].short, "; ".join(words) or claim.shows)}


def _rows(claim: Claim, name: str, reported: Reported) -> list[ReportedLine]:
    """The paper's row of that name, or, for `{best rho1}`, its rows to choose from."""
    if not (match := _CHOSEN.fullmatch(name)):
        return [reported_line(reported, f"{claim.reported}/{name}")]
    own = re.compile(rf"{match[2]}-?[1-9]\d*")
    rows = [row for row in reported.tables[str(claim.reported)].rows if own.fullmatch(row)]
    return [reported_line(reported, f"{claim.reported}/{row}") for row in rows]


def _label(name: str, rows: Sequence[ReportedLine]) -> str:
    return name.strip("{}") if _CHOSEN.fullmatch(name) else rows[0].label


def _effects(weights: Mapping[str, float], rows: Mapping[str, Sequence[ReportedLine]]) -> dict[str, float]:
    """Column → the weighted sum of the paper's numbers, where it prints all of them."""
    found = {}
    for column in next(iter(rows.values()))[0].cells:
        total = 0.0
        for name, weight in weights.items():
            cells = [line.cells.get(column, {}).get("mean") for line in rows[name]]
            means = [float(cell) for cell in cells if cell is not None]
            if len(means) < len(cells) or column in FACTS:
                break
            total += weight * (min if name.startswith("{worst") else max)(means)
        else:
            found[column] = total
    return found


def _signed(effect: float) -> str:
    return f"{effect:+.2f}".replace("-", "−")
