"""A cell: one number of one table, from the evaluations of its row's runs (all tables; Section 4.1).

Place in the flow: evaluations → cells → tables. Each cell is a JSON file and a target of its own,
`results/cells/<table>/<row>/<column>.json`, so that a table is rebuilt cell by cell. This module imports no
machine-learning library: making a cell takes little longer than starting Python.

A cell holds `mean`, `sd` (sample standard deviation over seeds; null for a single seed), `values` per seed,
`unit`, `source`, and `made_from`: path and manifest digest of every
evaluation, of a linear model also the settings chosen on dev. Scores are percentages.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tlm.config.experiments import MLM_LOSS, PRIMARY, CellSpec, Column, Score
from tlm.config.facts import FACTS
from tlm.errors import TlmError
from tlm.evaluation.artifact import Evaluation, open_evaluation


def build_cell(spec: CellSpec, runs: Sequence[Path]) -> dict[str, Any]:
    """The cell that `spec` describes, from the evaluations in `runs` (any order; others are not allowed).

    The value of a seed is the mean over the column's tasks, and for a task over its scores in the column; mean and
    standard deviation are over seeds. If no run of the row has the number (the FLOPs of TF-IDF), the cell's mean is
    null. Raises TlmError naming a run that is missing, belongs to another row, or alone lacks the number.
    """
    found = _match(spec, [open_evaluation(path) for path in runs])
    read = _reader(spec.column)
    numbers = {key: read(one) for key, one in found.items()}
    lacking = [key for key, number in numbers.items() if number is None]
    if lacking and len(lacking) < len(numbers):
        task, seed = lacking[0]
        raise TlmError(
            f"run {_run(spec, task, seed)} has no {spec.column.id}, although other runs of the row do; "
            "evaluate it again"
        )
    values = {
        str(seed): statistics.fmean(
            number for (_, of), number in numbers.items() if of == seed and number is not None
        )
        for seed in spec.seeds
        if not lacking
    }
    series = list(values.values())
    return {
        "table": spec.table,
        "row": spec.row,
        "column": spec.column.id,
        "mean": statistics.fmean(series) if series else None,
        "sd": statistics.stdev(series) if len(series) > 1 else None,
        "values": values,
        "unit": unit_of(spec.column),
        "source": "measured",
        "scale": spec.scale,
        "variants": spec.variants,
        "metrics": {one.run.task: _metric(spec.column, one) for one in found.values()},
        "split": spec.column.split,
        "made_from": [
            {
                "task": task,
                "seed": seed,
                "path": Path(os.path.relpath(one.folder)).as_posix(),
                "digest": one.manifest.digest,
                **({"chosen": chosen} if (chosen := one.manifest.parameters.get("chosen")) else {}),
            }
            for (task, seed), one in found.items()
        ],
    }


def read_cell(path: Path) -> dict[str, Any]:
    """A cell's file. Raises TlmError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TlmError(f"{path}: this cell is not built; build it with `snakemake {path}`") from None
    except ValueError as error:
        raise TlmError(f"{path}: not JSON ({error}); delete it and build it again") from None


def unit_of(column: Column) -> str:
    """The unit of a column's numbers."""
    if column.fact is not None:
        return FACTS[column.fact].unit
    return "nats" if column.metric == MLM_LOSS else "percent"


def _match(spec: CellSpec, opened: Sequence[Evaluation]) -> dict[tuple[str, int], Evaluation]:
    """(task, seed) → evaluation, in the order of the cell's tasks and seeds."""
    wanted = [(task, seed) for task in spec.column.tasks for seed in spec.seeds]
    given: dict[tuple[str, int], Evaluation] = {}
    for one in opened:
        run = one.run
        key = (run.task, run.seed)
        if key not in wanted or (run.scale, run.variant) != (spec.scale, spec.variants[run.task]):
            raise TlmError(
                f"{one.folder}: is {run}, which is not part of cell {spec.table}/{spec.row}/{spec.column.id}"
            )
        if key in given:
            raise TlmError(f"{one.folder}: the same run as {given[key].folder}; give each run once")
        given[key] = one
    for task, seed in wanted:
        if (task, seed) not in given:
            raise TlmError(
                f"cell {spec.table}/{spec.row}/{spec.column.id}: run {_run(spec, task, seed)} is missing; "
                "evaluate it"
            )
    return {key: given[key] for key in wanted}


def _run(spec: CellSpec, task: str, seed: int) -> str:
    return f"{spec.scale}/{task}/{spec.variants[task]}/seed{seed}"


def _reader(column: Column) -> Callable[[Evaluation], float | None]:
    if column.fact is not None:
        fact = column.fact
        return lambda one: _fact(one, fact)
    return lambda one: _mean([_score(one, score) for score in column.scores if score.task == one.run.task])


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return statistics.fmean(known) if len(known) == len(numbers) else None


def _score(one: Evaluation, score: Score) -> float | None:
    record = one.metrics.get(score.split)
    if record is None:
        raise TlmError(
            f"{one.folder}: task {one.run.task} has no {score.split} split; choose another split for the table"
        )
    if score.metric == MLM_LOSS:
        return record["mlm_loss"]
    if score.metric == PRIMARY:
        return 100 * record["primary"]
    if score.metric not in record["metrics"]:
        raise TlmError(
            f"{one.folder}: no metric {score.metric!r}; it has {', '.join(record['metrics'])}, {MLM_LOSS}"
        )
    return 100 * record["metrics"][score.metric]


def _metric(column: Column, one: Evaluation) -> str | None:
    """Names of the metrics of a run's task in the column; None for a fact."""
    names = [score.metric for score in column.scores if score.task == one.run.task]
    return ", ".join(one.metrics["metric"] if name == PRIMARY else name for name in names) or None


def _fact(one: Evaluation, fact: str) -> float | None:
    """A number of the run's records; None if the run has none."""
    record, *keys = FACTS[fact].path
    value: Any = {"flops": one.flops, "timing": one.timing}[record]
    for key in keys:
        value = value.get(key) if value is not None else None
    return value
