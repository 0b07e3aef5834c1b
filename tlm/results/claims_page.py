"""The ledger of claims as Markdown (results/claims.md): a table of verdicts, then each claim with its tasks.

Place in the flow: `tlm.results.claims` → here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tlm.config.claims import RIVAL_CLAIMS, Ledger
from tlm.results.claims import ALL, ClaimResult
from tlm.results.differences import rival_sentence, signed
from tlm.results.rendering import markdown_rows
from tlm.results.verdicts import VERDICTS
from tlm.statistics import BootstrapEstimate

NOTES = (
    "An effect is a weighted sum of row scores, positive if the claim holds (negative for claims of less or fewer). "
    "Its unit is a point of the task's metric, or a head.",
    "Brackets after an effect: 95 % percentile interval of a paired bootstrap over items, with all runs in the same "
    "resamples, for the models as trained. `with seeds`: this interval widened by the spread over training seeds; the "
    "table at the top and the sentences on linear models use it.",
    "Supported: the interval with seeds is on the claim's side of 0. Not supported: it is on the other side, or within "
    "the margin that makes no practical difference. Otherwise: not enough data. docs/claims.md has the whole rule.",
    "The intervals are not corrected for the number of claims or tasks: if twenty effects are truly 0, one interval is "
    "expected to exclude 0.",
)


def as_markdown(ledger: Ledger, lines: Sequence[ClaimResult]) -> str:
    """The whole page."""
    overall = [line for line in lines if line.task == ALL]
    summary = [
        ["claim", "the paper's effect", "our effect, with seeds", "verdict"],
        ["---", "---:", "---:", "---"],
    ]
    summary += [
        [line.claim.claim, line.paper.short, signed(line.effect) if line.effect else "", line.verdict or ""]
        for line in overall
    ]
    counts = Counter(line.verdict for line in overall)
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    parts = [
        "# The paper's claims",
        f"\nScale {ledger.scale}: {verdicts}. Effects over all tasks, in points (heads: in heads).\n",
        markdown_rows(summary),
    ]
    parts += [f"\n{sentence}" for sentence in against_rivals(lines)]
    for line in overall:
        own = [each for each in lines if each.claim is line.claim]
        parts.append(_section(own))
    return "\n".join([*parts, "\n## How to read this\n", *(f"- {note}" for note in NOTES)]) + "\n"


def against_rivals(lines: Sequence[ClaimResult]) -> list[str]:
    """A sentence on TLM against each linear model that the ledger has a claim on."""
    sentences = []
    for claim, label in RIVAL_CLAIMS.items():
        own = [(line.task, line.effect) for line in lines if line.claim.id == claim and line.task != ALL]
        if known := [(task, effect) for task, effect in own if effect is not None]:
            sentences.append(rival_sentence("TLM", label, known))
    return sentences


def _section(lines: Sequence[ClaimResult]) -> str:
    """The section of one claim: over all tasks, and task by task."""
    overall = lines[0]
    claim = overall.claim
    parts = [f"\n## {claim.claim}\n", f"{claim.place}. **{overall.verdict}**: {overall.reason}."]
    if overall.paper.words:
        parts.append(f"\nThe paper: {overall.paper.words}.")
    shown = [(line, line.effect) for line in lines if line.effect is not None]
    if shown:
        split = f" on {claim.split}" if claim.split else " on dev texts"
        parts.append(f"\nOurs: {shown[-1][0].comparison}{split}.\n")
        rows = [
            ["", "effect", "with seeds", "by seed", "items", "verdict", "reason"],
            ["---", "---:", "---:", "---:", "---:", "---", "---"],
        ]
        rows += [_row(line, effect) for line, effect in shown]
        parts.append(markdown_rows(rows))
    return "\n".join([*parts, *(f"\n{note}" for note in claim.notes)])


def _row(line: ClaimResult, effect: BootstrapEstimate) -> list[str]:
    wide = effect.over_seeds
    return [
        "all tasks" if line.task == ALL else line.task,
        signed(effect, effect.interval),
        f"[{wide.low:.2f}, {wide.high:.2f}]".replace("-", "−") if wide else "",
        " ".join(f"{value:+.2f}" for value in effect.by_seed).replace("-", "−"),
        str(line.items or ""),
        line.verdict or "",
        line.reason,
    ]
