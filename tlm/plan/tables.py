"""From declared tables to rows, columns and cells of one scale; and which tables a scale can have.

Place in the flow: `tlm.config.experiments` (declarations) and `tlm.plan.runs` (resolved runs) → here →
`tlm.rules`, whose rules ask for tables and cells by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlm.config.experiments import (
    PRIMARY,
    CellSpec,
    Column,
    ColumnSpec,
    Row,
    RowRuns,
    RowSpec,
    Score,
    Table,
    TableSpec,
)
from tlm.config.scale import ScaleSpec
from tlm.errors import TlmError
from tlm.layout import EVALUATION, Pattern
from tlm.plan import runs
from tlm.plan.project import Project
from tlm.plan.task_report import compared_variants


def table(project: Project, name: str) -> Table:
    """The table `name` for the project's scale. Raises TlmError if this scale cannot have it, naming those that can."""
    spec = project.table(name)
    if reason := _lacking(project, spec):
        able = [each for each in project.scales if not _lacking(project.at(each), spec)]
        raise TlmError(f"{name}: {reason}; scales that have it: {', '.join(able) or 'none'}")
    rows = tuple(row for declared in _declared_rows(project, spec) for row in _rows(project, declared))
    names = [row.id for row in rows]
    if double := sorted({each for each in names if names.count(each) > 1}):
        raise TlmError(f"table {name}: two rows are called {double[0]!r}")
    return Table(
        name=name,
        title=spec.title,
        columns=tuple(columns_of(spec, project.scale)),
        rows=rows,
        reported=spec.reported,
        notes=spec.notes,
        transpose=spec.transpose,
    )


def available(project: Project) -> list[str]:
    """The tables that the project's scale can have."""
    return [name for name, spec in project.experiments.tables.items() if not _lacking(project, spec)]


def _lacking(project: Project, spec: TableSpec) -> str | None:
    """The reason why the scale cannot have this table, or None."""
    scale, where = project.scale, f"scale {project.settings.scale}"
    named = [column for column in spec.columns if column.tasks is not None]
    if named and not any(_tasks(column, scale) for column in named):
        first = next(task for column in named for task in column.tasks or ())
        return f"{where} has no task {first}, nor another of the table (its tasks are {', '.join(scale.all_tasks)})"
    for column in named:
        if missing := [task for task in _tasks(column, scale) if task not in scale.all_tasks]:
            return f"{where} has no task {missing[0]} (its tasks are {', '.join(scale.all_tasks)})"
    for row in _declared_rows(project, spec):
        if row.optional or not row.variant:
            continue
        if project.variant(row.variant).corpus == "other" and scale.other_corpus is None:
            return f"{where} has no other_corpus to set beside {scale.corpus}"
        if not runs.possible(project, project.variant(row.variant)):
            return f"{where} does not say for each task what {row.variant} reads"
    return None


def _declared_rows(project: Project, spec: TableSpec) -> list[RowSpec]:
    """The entries of `rows:` that the scale shows."""
    return [row for row in spec.rows if not row.scales or project.settings.scale in row.scales]


def _tasks(column: ColumnSpec, scale: ScaleSpec) -> Sequence[str]:
    """The tasks that a column shows at a scale."""
    if column.tasks is None:
        return ()
    if column.otherwise == "none":
        return [task for task in column.tasks if task in scale.all_tasks]
    if column.tasks == "all" or (column.otherwise == "all" and not set(column.tasks) & set(scale.tasks)):
        return scale.tasks
    shown = [task for task in column.tasks if task in scale.tasks]
    return shown if column.otherwise == "all" else column.tasks


def columns_of(spec: TableSpec, scale: ScaleSpec) -> list[Column]:
    """The columns of a table for a scale, in order.

    The column of a task is called after it, `<task>.<metric>` when the metric is not the task's own. Facts are means
    over the tasks that the table shows. Raises TlmError if two columns get the same id.
    """
    shown = tuple(dict.fromkeys(task for column in spec.columns for task in _tasks(column, scale)))
    columns: list[Column] = []
    open_scores: list[Score] = []
    for declared in spec.columns:
        if declared.tasks is not None:
            for task in _tasks(declared, scale):
                for metric in declared.metrics:
                    score = Score(task=task, metric=metric, split=declared.split or "test")
                    name = declared.called or (None if metric == PRIMARY else metric)
                    name = f"{task}.{name}" if name else task
                    columns.append(Column(id=name, kind="score", tasks=(task,), scores=(score,)))
                    open_scores.append(score)
            continue
        if declared.average:
            over = tuple(dict.fromkeys(score.task for score in open_scores))
            columns.append(Column(id=declared.id, kind="average", tasks=over, scores=tuple(open_scores)))
            open_scores = []
        elif declared.text is not None:
            columns.append(Column(id=declared.id, kind="text", heading=declared.text))
        else:
            columns.append(
                Column(id=declared.id, kind="fact", tasks=shown or tuple(scale.tasks), fact=declared.fact)
            )
    names = [column.id for column in columns]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise TlmError(f"table {spec.title!r}: two columns are called {double[0]!r}")
    return columns


def _rows(project: Project, spec: RowSpec) -> list[Row]:
    """The rows of one entry of `rows:`."""
    if spec.sweep is not None:
        return [_row(project, spec, name, name) for name in runs.swept_variants(project, spec.sweep)]
    if spec.baselines == "first":
        return [_row(project, spec, project.scale.baselines[0], spec.id or project.scale.baselines[0])]
    if spec.baselines == "all":
        return _baselines(project, spec)
    scales = [project, *(project.at(name) for name in (project.built[1:] if spec.beside else []))]
    able = [view for view in scales if not spec.optional or runs.possible(view, view.variant(spec.variant))]
    rows = [_row(view, spec, spec.variant, spec.id) for view in able if view is project]
    if spec.beside:
        others = [
            _row(view, spec, spec.variant, f"{spec.id}-{view.settings.scale}")
            for view in able
            if view is not project
        ]
        rows = [
            row.model_copy(update={"label": f"{row.label} ({row.scale} scale)"}) if others else row
            for row in [*rows, *others]
        ]
    return rows


def _baselines(project: Project, spec: RowSpec) -> list[Row]:
    """The baselines of the scale and, with `beside`, of the other scales; each checkpoint once."""
    found: dict[str, Row] = {}
    for scale in project.built if spec.beside else project.built[:1]:
        view = project.at(scale)
        for name in view.scale.baselines:
            row_id = f"{name}-{scale}" if name in found else name
            if name not in found or view.variant(name).method != "checkpoint":
                found[row_id] = _row(view, spec, name, row_id)
    return list(found.values())


def _row(project: Project, spec: RowSpec, name: str, row_id: str) -> Row:
    variant = project.variant(name)
    corpus = runs.corpus_of(project, variant)
    baseline = project.scale.baselines[0]
    words = {
        "scale": project.settings.scale,
        "corpus": corpus,
        "baseline": project.variant(baseline).label or baseline,
        "baseline_id": baseline,
    }
    label = spec.label or variant.label or name
    costs = project.experiments.checkpoint_costs
    return Row(
        id=row_id,
        label=_filled(label, words),
        variant=name,
        scale=project.settings.scale,
        reported=_filled(spec.reported or row_id, words),
        texts=spec.texts,
        pretraining=f"{costs}/{name}" if costs and variant.method == "checkpoint" else None,
    )


def _filled(template: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        template = template.replace("{" + name + "}", word)
    return template


def cells(project: Project) -> dict[tuple[str, str, str], CellSpec]:
    """(table, row, column) → cell, for every measured number of every table that the scale can have.

    Raises TlmError if a row names an unknown variant, or a run in it is not valid.
    """
    found = {}
    for name in available(project):
        resolved = table(project, name)
        for row in resolved.rows:
            for column in resolved.columns:
                if column.kind != "text":
                    found[name, row.id, column.id] = _cell(project.at(row.scale), name, row, column)
    return found


def _cell(project: Project, name: str, row: Row, column: Column) -> CellSpec:
    if lacking := [task for task in column.tasks if task not in project.scale.all_tasks]:
        raise TlmError(f"table {name}, row {row.id}: scale {row.scale} has no task {lacking[0]!r}")
    seeds = project.seeds_of(row.variant)
    return CellSpec(
        table=name,
        row=row.id,
        scale=row.scale,
        variants={task: runs.resolve(project, task, row.variant, seeds[0]).variant for task in column.tasks},
        seeds=tuple(seeds),
        column=column,
    )


def run_folders(row: RowRuns, artifact: Pattern = EVALUATION) -> list[str]:
    """The folders of a row's evaluations, or of another artifact of its runs."""
    return [
        artifact.format(scale=row.scale, task=task, variant=variant, seed=seed)
        for task, variant in row.variants.items()
        for seed in row.seeds
    ]


def check(project: Project) -> None:
    """Resolve every run that any table or own task needs. Raises TlmError at the first that is not valid."""
    cells(project)
    for name in project.own:
        try:
            view = project.at(name)
            for variant in compared_variants(view).values():
                runs.resolve(view, name, variant, view.seeds[0])
        except TlmError as error:
            raise TlmError(f"{project.folder / 'own' / name}.yaml: training: {error}") from None
