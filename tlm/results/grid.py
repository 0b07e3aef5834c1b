"""results/grid.csv: the dev score of every pair of ρ1 and ρ2, and the pair that the search chooses.

Place in the flow: stage-2 artifacts of the grid's runs → here. Their best checkpoint's score on dev is read; no test
split is scored. Section 4.1, Appendix B.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlm.artifacts import read_manifest
from tlm.config.grid import GridPoint, GridSearch, GridTask
from tlm.config.reported import Reported
from tlm.results.rendering import Rendered, csv_text, markdown_rows

_HEADER = ("scale", "task", "metric", "rho1", "rho2", "dev", "sd", "by_seed", "chosen", "table_b1")
_TITLE = "# Grid search over ρ1 and ρ2 on dev (Section 4.1, Appendix B)"
_NOTES = (
    "Scores are in percent: the best dev checkpoint of stage 2, mean over the seeds of the search. No test split is "
    "scored.",
    "**Bold**: the highest score, which the search chooses; of equal scores the first. †: the paper's choice in Table "
    "B.1 (reported).",
    "All other settings are those of the task's TLM run: K, steps, batch size and lengths.",
    "The score of the chosen pair is the highest of many, so it is too optimistic; compare rows on test.",
)


@dataclass(frozen=True)
class ScoredPoint:
    """A pair of values with its dev scores in percent, one a seed."""

    point: GridPoint
    metric: str
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.mean(self.scores)


def read_points(task: GridTask) -> list[ScoredPoint]:
    """The dev scores of every point. Raises TlmError if a stage 2 is missing."""
    found = []
    for point in task.points:
        records = []
        for folder in map(Path, point.folders):
            read_manifest(folder, "stage2")
            records.append(json.loads((folder / "record.json").read_text(encoding="utf-8")))
        scores = tuple(100 * record["best"]["dev_primary"] for record in records)
        found.append(ScoredPoint(point, records[0]["metric"], scores))
    return found


def assemble(search: GridSearch, reported: Reported) -> Rendered:
    """One line of CSV a point; in Markdown a table a task."""
    lines: list[tuple[object, ...]] = []
    parts = [_TITLE, f"\nScale {search.scale}."]
    for task in search.tasks:
        points = read_points(task)
        chosen = max(points, key=lambda each: each.mean)
        column = reported.hyperparameters.get(search.scale, {}).get(task.task)
        paper = None if column is None else (column.rho1, column.rho2)
        for each in points:
            spread = f"{statistics.stdev(each.scores):.4f}" if len(each.scores) > 1 else ""
            by_seed = " ".join(f"{score:.4f}" for score in each.scores)
            marks = ("yes" if each is chosen else "", "yes" if _pair(each) == paper else "")
            scored = (each.metric, *_pair(each), f"{each.mean:.4f}", spread, by_seed, *marks)
            lines.append((search.scale, task.task, *scored))
        parts += [f"\n## {task.task}\n", _matrix(points, chosen, paper), f"\n{_sentence(chosen, paper)}"]
    notes = "\n".join(f"- {note}" for note in _NOTES)
    return Rendered(csv=csv_text(_HEADER, lines), markdown="\n".join([*parts, f"\n{notes}\n"]))


def _pair(scored: ScoredPoint) -> tuple[int, int]:
    return scored.point.rho1, scored.point.rho2


def _matrix(points: Sequence[ScoredPoint], chosen: ScoredPoint, paper: tuple[int, int] | None) -> str:
    """A row for each ρ1, a column for each ρ2."""
    by_pair = {_pair(each): each for each in points}
    columns = sorted({rho2 for _, rho2 in by_pair})
    rows = [[points[0].metric, *(f"ρ2 = {rho2}" for rho2 in columns)], ["---", *["---:"] * len(columns)]]
    for rho1 in sorted({rho1 for rho1, _ in by_pair}):
        cells = []
        for rho2 in columns:
            each = by_pair[rho1, rho2]
            text = f"{each.mean:.2f}" + ("†" if (rho1, rho2) == paper else "")
            cells.append(f"**{text}**" if each is chosen else text)
        rows.append([f"ρ1 = {rho1}", *cells])
    return markdown_rows(rows)


def _sentence(chosen: ScoredPoint, paper: tuple[int, int] | None) -> str:
    rho1, rho2 = _pair(chosen)
    theirs = "" if paper is None else f" Table B.1 (reported): ρ1 = {paper[0]}, ρ2 = {paper[1]}."
    return f"Chosen: ρ1 = {rho1}, ρ2 = {rho2}, with {chosen.mean:.2f}.{theirs}"
