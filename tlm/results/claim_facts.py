"""The facts that claims compare, FLOPs and bytes of training data: their ratios, in our runs and in the paper.

Place in the flow: evaluations and config/reported.yaml → here → `tlm.results.claims`, `tlm.results.evidence`. A fact
has no interval: it does not depend on the items that are scored. Section 4.2, Table 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlm.config.claims import Claim, ComparedFact, Side
from tlm.config.facts import FACTS
from tlm.config.reported import Reported, ReportedLine, reported_line
from tlm.errors import TlmError
from tlm.results.predictions import EvaluatedRun, Key, runs_of
from tlm.results.verdicts import NOT_SUPPORTED, SUPPORTED, Verdict

WORDS: dict[ComparedFact, str] = {"flops": "FLOPs", "data": "training data"}


def fact_of(
    side: Side, fact: ComparedFact, runs: Mapping[Key, EvaluatedRun], reported: Reported
) -> float | None:
    """The mean of a fact over the side's tasks and seeds; for a checkpoint the reported number. None if unknown."""
    if side.cost is not None:
        return printed(reported_line(reported, side.cost), fact)
    found = []
    for task in side.variants:
        for run in runs_of(runs, side, task):
            value: Any = run.evaluation.flops
            for name in FACTS[fact].path[1:]:
                value = (value or {}).get(name)
            found.append(value)
    return None if None in found else float(np.mean(found))


def printed(line: ReportedLine, fact: ComparedFact) -> float | None:
    """A fact of one of the paper's rows; None if its table has no such column."""
    value = line.cells.get(fact, {}).get("mean")
    return None if value is None else float(value)


def with_cost(
    claim: Claim, verdict: Verdict, reason: str, runs: Mapping[Key, EvaluatedRun], reported: Reported
) -> tuple[Verdict, str]:
    """The verdict; not supported unless the rows with positive weight took fewer FLOPs. The reason gives the ratios."""
    ratios = []
    for fact in WORDS:
        ours, theirs = (
            _total(
                [fact_of(side, fact, runs, reported) for side in claim.sides if (side.weight > 0) is positive]
            )
            for positive in (True, False)
        )
        if fact == "flops" and (not ours or not theirs):
            labels = ", ".join(side.label for side in claim.sides)
            raise TlmError(
                f"claim {claim.id}: one of {labels} has no FLOPs of stage 1, which it compares; choose other rows"
            )
        if fact == "flops" and ours >= theirs:
            return NOT_SUPPORTED, f"it took {ours / theirs:.2g} times the FLOPs, not fewer"
        if ours and theirs:
            ratios.append(_share(ours, theirs, fact))
    return verdict, f"{reason}; at {' and '.join(ratios)}"


def judge_fact(
    claim: Claim, fact: ComparedFact, runs: Mapping[Key, EvaluatedRun], reported: Reported
) -> tuple[Verdict, str]:
    """The verdict of a claim on a fact. Raises TlmError if a run does not record it."""
    values: list[float] = []
    for side in claim.sides:
        value = fact_of(side, fact, runs, reported)
        if not value:
            raise TlmError(f"claim {claim.id}: {side.label} has no {WORDS[fact]}; choose other rows")
        values.append(value)
    if not claim.across_scales:
        ours, theirs = (values[index] for index in _first_positive(claim.sides))
        verdict = SUPPORTED if ours < theirs else NOT_SUPPORTED
        return verdict, f"{_share(ours, theirs, fact)} ({ours:.3g} against {theirs:.3g})"
    # Sides are pairs, TLM and its rival, of one scale after another.
    pairs = sorted(zip(claim.sides[::2], values[::2], claim.sides[1::2], values[1::2], strict=True), key=_own)
    ratios = [ours / theirs for _, ours, _, theirs in pairs]
    words = [
        f"{_share(ours, theirs, fact)} of {rival.label} at {tlm.scale}" for tlm, ours, rival, theirs in pairs
    ]
    return SUPPORTED if ratios[-1] < ratios[0] else NOT_SUPPORTED, "; ".join(words)


def _own(pair: tuple[Side, float, Side, float]) -> float:
    return pair[1]


def _first_positive(sides: Sequence[Side]) -> tuple[int, int]:
    return (0, 1) if sides[0].weight > 0 else (1, 0)


def reported_shares(
    claim: Claim, weights: Mapping[str, float], lines: Mapping[str, ReportedLine]
) -> list[str]:
    """The paper's ratios of the facts that the claim is about: `1/33.1 of the FLOPs`."""
    facts: tuple[ComparedFact, ...] = (
        ("flops", "data") if claim.cheaper else (claim.fact,) if claim.fact else ()
    )
    found = []
    for fact in facts:
        ours, theirs = (
            _total([printed(lines[row], fact) for row, weight in weights.items() if (weight > 0) is positive])
            for positive in (True, False)
        )
        if ours and theirs:
            found.append(_share(ours, theirs, fact))
    return found


def _total(values: Sequence[float | None]) -> float:
    """The sum; 0 if one of the values is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else 0.0


def _share(ours: float, theirs: float, fact: ComparedFact) -> str:
    return f"1/{theirs / ours:.3g} of the {WORDS[fact]}"
