"""The runs that test each claim at the project's scale, or the reason why the scale cannot test it.

Place in the flow: `tlm.config.claims` → here → `tlm.rules` for workflow/rules/claims.smk. The rows are those of tables
(`tlm.plan.tables`), so that a claim needs no runs besides those of its table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tlm.config.claims import CLAIMS, Claim, ClaimSpec, Ledger, Side
from tlm.config.experiments import MLM_LOSS, CellSpec, Column, Table
from tlm.errors import TlmError
from tlm.layout import ATTENTION, EVALUATION
from tlm.plan import figures, runs, tables
from tlm.plan.project import Project

Cells = Mapping[tuple[str, str, str], CellSpec]
_WHERE = "config/experiments.yaml: claims"
_SWEPT = re.compile(r"\{(largest|smallest) (k|rho1|rho2)\}")


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
            if able and all(_row_id(view, row) not in _row_ids(view, spec.table) for view in able):
                raise TlmError(f"{_WHERE}.{name}: table {spec.table} has no row {row!r} at any scale")


def _claim(project: Project, cells: Cells, name: str, spec: ClaimSpec) -> Claim:
    sides: list[Side] = []
    untested = None
    split, reported = spec.split, None
    try:
        if spec.table is not None:
            table = tables.table(project, spec.table)
            columns = _columns(table)
            reported = table.reported
            split = split or next(iter(columns.values())).split
            sides = [_side(project, table, cells, columns, row, weight) for row, weight in spec.ours.items()]
        else:
            sides = _models(project)
    except TlmError as error:
        untested = str(error)
    return Claim(
        id=name,
        sides=() if untested else tuple(sides),
        untested=untested,
        split=split,
        reported=reported,
        corpora=_corpora(project) if spec.larger_corpus and not untested else None,
        **spec.model_dump(include=set(ClaimSpec.model_fields) & set(Claim.model_fields) - {"split"}),
    )


def _columns(table: Table) -> dict[str, Column]:
    """Task → the column of its own metric. Raises TlmError if there is none."""
    found = {
        task: column
        for column in table.columns
        if column.kind == "score" and column.metric != MLM_LOSS
        for task in column.tasks
        if column.id == task
    }
    if not found:
        raise TlmError(f"{table.name} shows no task by its own metric")
    return found


def _side(
    project: Project, table: Table, cells: Cells, columns: Mapping[str, Column], name: str, weight: float
) -> Side:
    """A row of the table. Raises TlmError if this scale's table does not have it."""
    row_id = _row_id(project, name)
    row = next((each for each in table.rows if each.id == row_id), None)
    if row is None:
        here = ", ".join(each.id for each in table.rows)
        raise TlmError(f"{table.name} has no row {row_id} at scale {project.settings.scale}; it has {here}")
    own = {task: cells[table.name, row.id, column.id] for task, column in columns.items()}
    return Side(
        label=row.label,
        weight=weight,
        scale=row.scale,
        variants={task: cell.variants[task] for task, cell in own.items()},
        seeds=next(iter(own.values())).seeds,
        cost=row.pretraining,
    )


def _row_id(project: Project, name: str) -> str:
    """A row's id, with the scale's own words in place of braces."""
    name = name.replace("{baseline}", project.scale.baselines[0])
    if not (match := _SWEPT.fullmatch(name)):
        return name
    end, sweep = match[1], match[2]
    numbers = [value for value in project.swept_values(sweep) if isinstance(value, int)]  # type: ignore[arg-type]
    if len(numbers) < 2:
        raise TlmError(f"sweep {sweep} of scale {project.settings.scale} has no two numbers to compare")
    value = max(numbers) if end == "largest" else min(numbers)
    return f"k{value}" if sweep == "k" else f"{sweep}-{value}"


def _row_ids(project: Project, table: str) -> set[str]:
    return {row.id for row in tables.table(project, table).rows}


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


def _corpora(project: Project) -> tuple[str, str]:
    """The scale's own corpus and its other one."""
    own, other = project.scale.corpus, project.scale.other_corpus
    assert other is not None  # or there were no rows of it
    return own, other


def run_folders(claim: Claim) -> list[str]:
    """The artifacts that a claim is judged by: evaluations, or attention artifacts."""
    artifact = ATTENTION if claim.heads else EVALUATION
    return [folder for side in claim.sides for folder in tables.run_folders(side, artifact)]
