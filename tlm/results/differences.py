"""Differences between the rows of a table with intervals: each row minus the first, and minus each linear model.

Place in the flow: evaluations → results/differences/<table>.csv and .md. The standard deviations of a table are over
seeds and cannot show whether two rows differ, because the same test items make both rows better or worse. Here the
items are resampled, for all rows and seeds at once (`tlm.statistics`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tlm.config.differences import ComparedRow, Differences
from tlm.config.experiments import Column
from tlm.results.predictions import EvaluatedRun, Key, effect_fields, estimates, mean, runs_of
from tlm.results.rendering import Rendered, markdown_rows, records_csv
from tlm.statistics import BootstrapEstimate, Interval, combine

NOTES = (
    "Each number is the row's score minus the score of the row in the heading, in points. Brackets: 95 % intervals "
    "of a paired bootstrap over the items, with all rows and seeds in the same resamples, widened by the spread over "
    "training seeds. The CSV has the intervals before and after widening.",
    "Bold: the interval excludes 0. No correction for the number of comparisons.",
)


@dataclass(frozen=True)
class Difference:
    """A row's score minus another's, in one column."""

    row: ComparedRow
    against: ComparedRow
    column: Column
    score: float
    effect: BootstrapEstimate
    items: int


def all_differences(spec: Differences, runs: Mapping[Key, EvaluatedRun]) -> list[Difference]:
    """Every row minus the first, then every row minus each linear model, column by column.

    Raises TlmError naming a run that is missing.
    """
    found = {column.id: _column(spec, column, runs) for column in spec.columns}
    pairs = [(row, spec.rows[0]) for row in spec.rows[1:]]
    for other in spec.rows:
        if other.is_linear:
            pairs += [(row, other) for row in spec.rows if row is not other and (row, other) not in pairs]
    lines = []
    for row, against in pairs:
        for column in spec.columns:
            by_row, items = found[column.id]
            effect = combine([(1, by_row[row.id]), (-1, by_row[against.id])])
            lines.append(Difference(row, against, column, by_row[row.id].value, effect, items))
    return lines


def _column(
    spec: Differences, column: Column, runs: Mapping[Key, EvaluatedRun]
) -> tuple[dict[str, BootstrapEstimate], int]:
    """Row → its score in the column: the mean over tasks, and for each task over its scores, as in a cell."""
    by_task: dict[str, list[list[BootstrapEstimate]]] = {}
    items: dict[tuple[str, str], int] = {}
    for score in column.scores:
        systems = [runs_of(runs, row, score.task) for row in spec.rows]
        found, number = estimates(systems, score.split, score.metric)
        by_task.setdefault(score.task, []).append(found)
        items[score.task, score.split] = number
    means = {
        row.id: mean([mean([found[place] for found in each]) for each in by_task.values()])
        for place, row in enumerate(spec.rows)
    }
    return means, sum(items.values())


def signed(effect: BootstrapEstimate, interval: Interval | None = None) -> str:
    """`+1.20 [0.31, 2.08]`, by default with the interval over items and seeds."""
    interval = interval or effect.widest
    return f"{effect.value:+.2f} [{interval.low:.2f}, {interval.high:.2f}]".replace("-", "−")


def rival_sentence(name: str, rival: str, against: Iterable[tuple[str, BootstrapEstimate]]) -> str:
    """A sentence that compares `name` (such as TLM) with a linear model, from the difference on each task.

    It beats the rival on a task if the interval over items and seeds is above 0, and is worse if it is below.
    """
    effects = list(against)
    better = [f"{task} ({signed(effect)})" for task, effect in effects if effect.widest.low > 0]
    worse = [f"{task} ({signed(effect)})" for task, effect in effects if effect.widest.high < 0]
    unclear = [f"{task} ({signed(effect)})" for task, effect in effects if 0 in effect.widest]
    rest = [
        f"it is worse on {_listed(worse)}" if worse else "",
        f"the difference is inconclusive on {_listed(unclear)}" if unclear else "",
    ]
    start = f"{name} beats {rival} on {_listed(better)}" if better else f"{name} does not beat {rival}"
    return "; ".join(part for part in (start, *rest) if part) + "."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def against_linear(lines: Sequence[Difference]) -> list[str]:
    """Sentences on the TLM rows against each linear model; without TLM rows, on the best row of each task."""
    scores = [line for line in lines if line.against.is_linear and line.column.kind == "score"]
    rivals = dict.fromkeys(line.against.id for line in scores)
    return [
        sentence
        for rival in rivals
        for sentence in _against([line for line in scores if line.against.id == rival])
    ]


def _against(found: Sequence[Difference]) -> list[str]:
    """Sentences on one rival."""
    rival = found[0].against.label
    ours = [line for line in found if line.row.is_tlm]
    if ours:
        rows = dict.fromkeys(line.row.id for line in ours)
        return [
            rival_sentence(own[0].row.label, rival, [(line.column.id, line.effect) for line in own])
            for row in rows
            for own in [[line for line in ours if line.row.id == row]]
        ]
    best = []
    others = [line for line in found if not line.row.is_linear]
    for column in dict.fromkeys(line.column.id for line in others):
        line = max((line for line in others if line.column.id == column), key=lambda each: each.score)
        best.append((f"{column} with {line.row.label}", line.effect))
    return [rival_sentence("The best row of each task", rival, best)]


def render(spec: Differences, lines: Sequence[Difference]) -> Rendered:
    """The differences as CSV and as Markdown."""
    records = [
        {
            "row": line.row.id,
            "label": line.row.label,
            "against": line.against.id,
            "column": line.column.id,
            "split": line.column.split or "",
            **effect_fields(line.effect),
            "items": line.items,
        }
        for line in lines
    ]
    parts = [f"# {spec.title}: differences between rows\n", f"Scale {spec.scale}."]
    for against in dict.fromkeys(line.against.id for line in lines):
        own = [line for line in lines if line.against.id == against]
        parts.append(f"\n## Against {own[0].against.label}\n")
        table = [["", *(column.id for column in spec.columns)]]
        table.append(["---", *("---:" for _ in spec.columns)])
        for row in dict.fromkeys(line.row.id for line in own):
            shown = [line for line in own if line.row.id == row]
            table.append([shown[0].row.label, *(_shown(line.effect) for line in shown)])
        parts.append(markdown_rows(table))
    notes = [*against_linear(lines), *NOTES]
    return Rendered(
        csv=records_csv(records),
        markdown="\n".join([*parts, "", *(f"- {note}" for note in notes)]) + "\n",
    )


def _shown(effect: BootstrapEstimate) -> str:
    return signed(effect) if 0 in effect.widest else f"**{signed(effect)}**"
