"""The runs that test each claim at the project's scale, or the reason why the scale cannot test it.

Place in the flow: `tlm.config.claims` → here → `tlm.rules` for workflow/rules/claims.smk. The rows are those of tables
(`tlm.plan.tables`), so that a claim needs no runs besides those of its table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tlm.config.claims import CLAIMS, Claim, ClaimSpec, Ledger, Side
from tlm.config.experiments import MLM_LOSS, PRIMARY, CellSpec, Column, Row, Score, Split, Table
from tlm.errors import TlmError
from tlm.layout import ATTENTION, EVALUATION
from tlm.plan import figures, runs, tables
from tlm.plan.project import Project

Cells = Mapping[tuple[str, str, str], CellSpec]
_WHERE = "config/experiments.yaml: claims"
_SWEPT = re.compile(r"\{(largest|smallest|best|worst) (k|rho1|rho2)\}")


def ledger(project: Project, cells: Cells) -> Ledger:
    """Every claim, resolved for the project's scale; `cells` are those of `tlm.plan.tables.cells`."""
    found = [_claim(project, cells, name, spec) for name, spec in project.experiments.claims.items()]
    return Ledger(scale=project.settings.scale, claims=tuple(found))


def check_claims(project: Project) -> None:
    """Raises TlmError naming the first claim whose table does not exist, or a row that no scale's table has."""
    experiments = project.experiments
    if CLAIMS in {*experiments.tables, *experiments.figures}:
        raise TlmError(f"{_WHERE} are written to results/{CLAIMS}.csv; rename the table or figure {CLAIMS!r}")
    for name, spec in experiments.claims.items():
        if spec.table is None:
            continue
        project.table(spec.table)
        views = [project.at(scale) for scale in project.scales]
        able = [view for view in views if spec.table in tables.available(view)]
        for row in spec.ours:
            if able and not any(_has(view, spec.table, row) for view in able):
                raise TlmError(f"{_WHERE}.{name}: table {spec.table} has no row {row!r} at any scale")


def _claim(project: Project, cells: Cells, name: str, spec: ClaimSpec) -> Claim:
    sides: list[Side] = []
    untested = spec.untested
    split, scores = spec.split, {}
    try:
        if spec.table is not None and untested is None:
            table = tables.table(project, spec.table)
            columns = _columns(table)
            scores = _scores(columns, spec.split)
            split = next(iter(scores.values()))[0].split
            sides = _sides(project, table, cells, columns, spec)
        elif spec.heads is not None:
            sides = _models(project)
    except TlmError as error:
        untested = str(error)
    own_scale = [weights for weights in spec.paper if f"tlm-{project.settings.scale}" in weights]
    return Claim(
        id=name,
        sides=tuple(sides),
        untested=untested,
        split=None if spec.fact else split,
        scores={} if untested or spec.fact else scores,
        reported=project.table(spec.table).reported if spec.table else None,
        corpora=_corpora(project) if spec.larger_corpus and not untested else None,
        paper=tuple(own_scale) if own_scale and not spec.across_scales else spec.paper,
        **spec.model_dump(
            include=set(ClaimSpec.model_fields) & set(Claim.model_fields) - {"split", "untested", "paper"}
        ),
    )


def _columns(table: Table) -> dict[str, tuple[Column, ...]]:
    """Task → the column of its own metric, or all its columns of scores. Raises TlmError if there is none."""
    found: dict[str, tuple[Column, ...]] = {}
    for column in table.columns:
        if column.kind == "score" and column.metric != MLM_LOSS:
            (task,) = column.tasks
            found[task] = (*found.get(task, ()), column)
    if not found:
        raise TlmError(f"{table.name} shows no task by a metric")
    return {task: tuple(column for column in own if column.id == task) or own for task, own in found.items()}


def _scores(columns: Mapping[str, tuple[Column, ...]], split: Split | None) -> dict[str, tuple[Score, ...]]:
    """Task → the scores that a claim averages; with `split`, the task's own metric on that split."""
    if split is not None:
        return {task: (Score(task=task, metric=PRIMARY, split=split),) for task in columns}
    return {task: tuple(score for column in own for score in column.scores) for task, own in columns.items()}


def _sides(
    project: Project,
    table: Table,
    cells: Cells,
    columns: Mapping[str, tuple[Column, ...]],
    spec: ClaimSpec,
) -> list[Side]:
    """The rows that a claim compares. Raises TlmError if this scale's table does not have them."""
    if not spec.across_scales:
        return [_side(project, table, cells, columns, row, weight) for row, weight in spec.ours.items()]
    if len(project.built) < 2:
        raise TlmError(
            f"compares scales, and scale {project.settings.scale} is built alone; list others under `beside:` of "
            "config.yaml, or with --config beside"
        )
    sides = []
    for scale in project.built:
        view = project.at(scale)
        for variant, weight in ((view.reference, 1.0), (view.scale.compared_with, -1.0)):
            # The row of a checkpoint serves all scales that have it.
            rows = (row for row in table.rows if row.variant == variant)
            row = next(row for row in rows if row.scale == scale or row.pretraining)
            sides.append(_of_row(table, cells, columns, row, weight))
    return sides


def _side(
    project: Project,
    table: Table,
    cells: Cells,
    columns: Mapping[str, tuple[Column, ...]],
    name: str,
    weight: float,
) -> Side:
    """A row of the table, or several to choose from. Raises TlmError if this scale's table does not have it."""
    by_id = {row.id: row for row in table.rows}
    wanted = _wanted(project, name)
    if missing := [row_id for row_id in wanted if row_id not in by_id]:
        here, scale = ", ".join(by_id), project.settings.scale
        raise TlmError(f"{table.name} has no row {missing[0]} at scale {scale}; it has {here}")
    first, *others = (_of_row(table, cells, columns, by_id[row_id], weight) for row_id in wanted)
    if (match := _SWEPT.fullmatch(name)) and match[1] in ("best", "worst"):
        chosen = {"label": f"{match[1]} {match[2]}", "choice": match[1]}
        return first.model_copy(update={**chosen, "others": tuple(others)})
    return first


def _of_row(
    table: Table, cells: Cells, columns: Mapping[str, tuple[Column, ...]], row: Row, weight: float
) -> Side:
    own = {task: cells[table.name, row.id, each[0].id] for task, each in columns.items()}
    return Side(
        label=row.label,
        weight=weight,
        scale=row.scale,
        variants={task: cell.variants[task] for task, cell in own.items()},
        seeds=next(iter(own.values())).seeds,
        cost=row.pretraining,
    )


def _wanted(project: Project, name: str) -> list[str]:
    """The ids of the rows that `name` stands for, with the scale's own words in place of braces."""
    name = name.replace("{baseline}", project.scale.baselines[0])
    name = name.replace("{rival}", project.scale.compared_with)
    if not (match := _SWEPT.fullmatch(name)):
        return [name]
    end, sweep = match[1], match[2]
    numbers = [value for value in project.swept_values(sweep) if isinstance(value, int)]  # type: ignore[arg-type]
    if end in ("best", "worst"):
        numbers = [value for value in numbers if value > 0]
    if len(numbers) < 2:
        kind = "positive numbers" if end in ("best", "worst") else "numbers"
        raise TlmError(f"sweep {sweep} of scale {project.settings.scale} has no two {kind} to compare")
    if end in ("largest", "smallest"):
        numbers = [max(numbers) if end == "largest" else min(numbers)]
    return [f"k{value}" if sweep == "k" else f"{sweep}-{value}" for value in numbers]


def _has(project: Project, table: str, name: str) -> bool:
    """Whether this scale's table has the rows that `name` stands for."""
    try:
        wanted = _wanted(project, name)
    except TlmError:  # the scale's sweep is too short
        return False
    return set(wanted) <= {row.id for row in tables.table(project, table).rows}


def _models(project: Project) -> list[Side]:
    """TLM and the scale's first baseline, whose heads are compared."""
    labels = {model.variant: model.label for model in figures.models(project)}
    return [
        Side(
            label=labels[variant],
            weight=weight,
            scale=project.settings.scale,
            variants={
                task: runs.resolve(project, task, variant, project.seeds[0]).variant
                for task in project.scale.tasks
            },
            seeds=tuple(project.seeds),
        )
        for variant, weight in ((project.reference, 1.0), (project.scale.baselines[0], -1.0))
    ]


def _corpora(project: Project) -> tuple[str, str] | None:
    """The scale's own corpus and its other one, if it has one."""
    other = project.scale.other_corpus
    return None if other is None else (project.scale.corpus, other)


def run_folders(claim: Claim) -> list[str]:
    """The artifacts that a claim is judged by: evaluations, or attention artifacts."""
    artifact = ATTENTION if claim.heads else EVALUATION
    rows = (row for side in claim.sides for row in (side, *side.others))
    return [folder for row in rows for folder in tables.run_folders(row, artifact)]
