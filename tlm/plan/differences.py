"""Differences between the rows of a table (results/differences/<table>.csv): the compared rows, at the project's scale.

Place in the flow: `tlm.plan.tables` → here → `tlm.rules` for workflow/rules/claims.smk. Every row is
set against the table's first, and against the linear models; the runs are those of the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from tlm.config.differences import ComparedRow, Differences
from tlm.config.experiments import MLM_LOSS, CellSpec
from tlm.errors import TlmError
from tlm.plan import tables
from tlm.plan.project import Project


def differences(project: Project, cells: Mapping[tuple[str, str, str], CellSpec], name: str) -> Differences:
    """The comparisons of the table `name`. Raises TlmError if the scale cannot have it, or it shows no scores."""
    table = tables.table(project, name)
    columns = tuple(
        column
        for column in table.columns
        if column.kind in ("score", "average") and all(score.metric != MLM_LOSS for score in column.scores)
    )
    if not columns:
        raise TlmError(f"{name}: shows no scores, so its rows cannot be compared")
    compared = []
    for row in table.rows:
        own = [cells[name, row.id, column.id] for column in columns]
        variants = {task: variant for cell in own for task, variant in cell.variants.items()}
        compared.append(
            ComparedRow(
                id=row.id,
                label=row.label,
                scale=row.scale,
                variants=variants,
                seeds=own[0].seeds,
                tlm_tasks=tuple(task for task, variant in variants.items() if variant == project.reference),
                is_linear=not project.at(row.scale).variant(row.variant).trains_encoder,
            )
        )
    return Differences(
        table=name, title=table.title, scale=project.settings.scale, rows=tuple(compared), columns=columns
    )


def compared_tables(project: Project) -> list[str]:
    """The tables of scores that the scale can have."""
    return [
        name
        for name in tables.available(project)
        if any(column.tasks is not None for column in project.table(name).columns)
    ]
