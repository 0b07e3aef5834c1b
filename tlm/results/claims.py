"""The ledger of the paper's claims: the paper's evidence, our effect with an interval, a verdict (results/claims.csv).

Place in the flow: evaluations and attention artifacts → ledger. Each claim becomes a weighted sum of row scores,
computed in every resample of a task's items; the claim holds if the sum is positive (`less`: negative). The effect over
tasks is their mean; for a claim that compares tasks with few and with many training texts it is the difference of their
means. `tlm.results.verdicts` has the rule, `tlm.results.claims_page` the page. Sections 4.2 to 4.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlm.artifacts import read_manifest
from tlm.config.claims import Claim, Ledger, Measure, Side
from tlm.config.experiments import Score
from tlm.config.reported import Reported
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import AttentionArtifact, read_attention
from tlm.results.attention import check_paired, counted
from tlm.results.claim_facts import judge_fact, with_cost
from tlm.results.evidence import ALL, Evidence, comparison_of, evidence
from tlm.results.predictions import (
    EvaluatedRun,
    Key,
    effect_fields,
    estimates,
    mean,
    open_runs,
    runs_of,
)
from tlm.results.rendering import Record
from tlm.results.verdicts import NOT_ENOUGH, Verdict, judge
from tlm.statistics import BootstrapEstimate, combine

HIGH_RESOURCE = 5000
"""Training texts: tasks with more are high-resource (Section 4.1)."""


@dataclass(frozen=True)
class ClaimResult:
    """The result of a claim on one task, or over all tasks."""

    claim: Claim
    task: str
    comparison: str
    effect: BootstrapEstimate | None
    items: int | None
    paper: Evidence
    """The paper's numbers for the same comparison."""
    verdict: Verdict | None
    """None for a task that is shown for comparison only."""
    reason: str

    @property
    def unit(self) -> str:
        """The unit of the effect."""
        return "heads" if self.claim.heads in ("positional", "vertical") else "points"


@dataclass(frozen=True)
class TaskEffect:
    """The effect of a claim on one task, and the number of resampled items."""

    effect: BootstrapEstimate
    items: int


@dataclass(frozen=True)
class LedgerSources:
    """The opened inputs of the ledger."""

    runs: Mapping[Key, EvaluatedRun]
    attention: Mapping[tuple[str, str, int], AttentionArtifact]
    training_texts: Mapping[str, int]
    corpus_bytes: Mapping[str, int]
    reported: Reported


def open_sources(
    made_from: Sequence[Path], tasks: Sequence[Path], corpora: Sequence[Path], reported: Reported
) -> LedgerSources:
    """Open the manifests of evaluations and attention, tasks, and corpora. Raises TlmError for other artifacts."""
    heads = [path for path in made_from if path.parent.name == "attention"]
    opened = [read_attention(path) for path in heads]
    opened_tasks = [read_manifest(path, "task") for path in tasks]
    return LedgerSources(
        runs=open_runs(path for path in made_from if path not in heads),
        attention={(each.task, each.variant, each.seed): each for each in opened},
        training_texts={each.parameters["task"]: each.counts["rows"]["train"] for each in opened_tasks},
        corpus_bytes={path.parent.name: read_manifest(path, "corpus").counts["bytes"] for path in corpora},
        reported=reported,
    )


def ledger_lines(ledger: Ledger, sources: LedgerSources) -> list[ClaimResult]:
    """The results of every claim: over all tasks first, then task by task.

    Raises TlmError naming a run that is missing, or two that were evaluated on different texts.
    """
    return [line for claim in ledger.claims for line in _lines(ledger, claim, sources)]


def _lines(ledger: Ledger, claim: Claim, sources: LedgerSources) -> list[ClaimResult]:
    paper = evidence(claim, sources.reported)
    if claim.untested is not None:
        return [ClaimResult(claim, ALL, "", None, None, paper[ALL], NOT_ENOUGH, claim.untested)]
    sides = _turned(claim, sources)
    comparison = comparison_of([(side.weight, side.label) for side in sides])
    if claim.fact:
        verdict, reason = judge_fact(claim, claim.fact, sources.runs, sources.reported)
        return [ClaimResult(claim, ALL, comparison, None, None, paper[ALL], verdict, reason)]
    found = {task: _on_task(claim, sides, task, sources) for task in claim.tasks}
    few = {task: sources.training_texts[task] <= HIGH_RESOURCE for task in found} if claim.resources else {}
    lines = [_overall(ledger, claim, comparison, found, few, sources, paper[ALL])]
    on_task: Verdict | None
    for task, each in found.items():
        on_task, reason = _judged(claim, each.effect)
        if claim.resources and not few[task]:
            on_task, reason = None, f"more than {HIGH_RESOURCE:,} training texts: shown for comparison"
        lines.append(
            ClaimResult(
                claim, task, comparison, each.effect, each.items, paper.get(task, Evidence()), on_task, reason
            )
        )
    return lines


def _overall(
    ledger: Ledger,
    claim: Claim,
    comparison: str,
    found: Mapping[str, TaskEffect],
    few: Mapping[str, bool],
    sources: LedgerSources,
    paper: Evidence,
) -> ClaimResult:
    """The result over all tasks."""
    effects = {task: each.effect for task, each in found.items()}
    effect: BootstrapEstimate | None
    verdict: Verdict
    if not claim.resources:
        effect = mean(list(effects.values()))
        verdict, reason = _judged(claim, effect)
        if claim.cheaper:
            verdict, reason = with_cost(claim, verdict, reason, sources.runs, sources.reported)
    elif len(set(few.values())) < 2:
        most = "at most" if all(few.values()) else "more than"
        effect, verdict = None, NOT_ENOUGH
        reason = (
            f"every compared task of scale {ledger.scale} has {most} {HIGH_RESOURCE:,} training texts; "
            "the claim needs tasks with few and with many"
        )
    else:
        sides = [mean([effects[task] for task in few if few[task] is kind]) for kind in (True, False)]
        effect = combine([(1, sides[0]), (-1, sides[1])])
        comparison = f"tasks with few texts minus tasks with many: {comparison}"
        verdict, reason = _judged(claim, effect)
    items = sum(each.items for each in found.values()) if effect is not None else None
    return ClaimResult(claim, ALL, comparison, effect, items, paper, verdict, reason)


def _judged(claim: Claim, effect: BootstrapEstimate) -> tuple[Verdict, str]:
    if not np.any(effect.draws) and not any(effect.by_seed):
        kind = (claim.heads or "").removesuffix("_share")
        same = (
            f"none or all of these few heads are {kind}" if kind else "both rows give identical predictions"
        )
        return NOT_ENOUGH, f"no difference in any resample: {same}"
    return judge(claim.direction, claim.margin, effect)


def _turned(claim: Claim, sources: LedgerSources) -> list[Side]:
    """The sides; weights change sign if the claim is about the larger corpus and that is the scale's other corpus."""
    sign = 1
    if claim.corpora is not None:
        own, other = (sources.corpus_bytes[name] for name in claim.corpora)
        sign = 1 if own > other else -1
    return [side.model_copy(update={"weight": sign * side.weight}) for side in claim.sides]


def _on_task(claim: Claim, sides: Sequence[Side], task: str, sources: LedgerSources) -> TaskEffect:
    if claim.heads:
        return _heads_on_task(claim.heads, sides, task, sources)
    parts, items = [], 0
    for score in claim.scores[task]:
        effect, items = _on_score(sides, score, sources)
        parts.append(effect)
    return TaskEffect(mean(parts), items)


def _on_score(sides: Sequence[Side], score: Score, sources: LedgerSources) -> tuple[BootstrapEstimate, int]:
    """The effect on one metric and split of a task, and the number of its items."""
    systems = [runs_of(sources.runs, row, score.task) for side in sides for row in (side, *side.others)]
    found, items = estimates(systems, score.split, score.metric)
    rows = iter(found)
    parts = []
    for side in sides:
        own = [next(rows) for _ in (side, *side.others)]
        choose = min if side.choice == "worst" else max
        parts.append((side.weight, choose(own, key=lambda each: each.value)))
    return combine(parts), items


def _heads_on_task(measure: Measure, sides: Sequence[Side], task: str, sources: LedgerSources) -> TaskEffect:
    parts: list[tuple[float, BootstrapEstimate]] = []
    models: list[AttentionArtifact] = []
    for side in sides:
        keys = [(task, side.variants[task], seed) for seed in side.seeds]
        if missing := [key for key in keys if key not in sources.attention]:
            raise TlmError(f"attention of {'/'.join(map(str, missing[0]))} is missing; measure its heads")
        models += [sources.attention[key] for key in keys]
        found = counted(measure, models[-len(keys) :])
        scale = 100 if measure.endswith("_share") else 1
        parts.append((side.weight * scale, BootstrapEstimate(found.value, found.resampled, found.by_seed)))
    check_paired(models)
    both = combine(parts)
    # All tasks share the same draws of text numbers. Shuffling the resamples makes tasks independent again.
    shuffled = np.random.default_rng(zlib.crc32(task.encode())).permutation(both.draws)
    return TaskEffect(BootstrapEstimate(both.value, shuffled, both.by_seed), len(models[0].hits.queries))


def records(ledger: Ledger, lines: Sequence[ClaimResult]) -> list[Record]:
    """The results as rows of the CSV."""
    return [
        {
            "claim": line.claim.id,
            "statement": line.claim.claim,
            "place": line.claim.place,
            "scale": ledger.scale,
            "task": line.task,
            "split": ("dev" if line.claim.heads else line.claim.split) or "",
            "comparison": line.comparison,
            "unit": line.unit,
            **effect_fields(line.effect),
            "items": line.items,
            "paper": line.paper.words or line.paper.short,
            "verdict": line.verdict or "",
            "reason": line.reason,
        }
        for line in lines
    ]
