"""Builds the report of a task from the artifacts of its runs.

Place in the flow: the rule `task_report` → here → `results/tasks/<task>/report.json` and the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.forecast import read_forecast
from tlm.config.linear import LINEAR
from tlm.config.task_report import PageSpec
from tlm.evaluation.artifact import TaskInfo, read_rows, read_task
from tlm.evaluation.temperature import fitted, served
from tlm.results.build_times import build_times
from tlm.results.examples import build_examples
from tlm.results.page import details, formatting, quality, recommended, worth
from tlm.results.page.scored_runs import (
    MethodRuns,
    best_on_dev,
    open_methods,
    open_stages,
    scored_split,
)
from tlm.results.page.task_report import Method, TaskReport
from tlm.statistics import BootstrapEstimate


@dataclass(frozen=True)
class Folders:
    """The folders and files that a report is made from."""

    task: Path
    tokens: Path
    corpus: Path
    retrieval: Path
    audit: Path
    """The audit that looks for dev and test texts in the passages that TLM read."""
    evaluations: Sequence[Path]
    stages: Sequence[Path]
    benchmarks: Mapping[str, Path]
    """Step → its benchmark file; steps without a file are left out."""
    forecast: Path | None = None
    """The forecast of the build, if there is one."""


def gather(spec: PageSpec, folders: Folders) -> TaskReport:
    """The report of `spec.task`. Raises TlmError for a run that is missing or was evaluated on other rows."""
    task = read_task(folders.task)
    split = scored_split(folders.evaluations)
    methods = open_methods(spec.methods, folders.evaluations, open_stages(folders.stages), split)
    rows = read_rows(folders.task, split)
    shown = best_on_dev(methods[0].runs)
    choice = recommended.choice_of(task, methods, shown)
    all_methods = (
        methods if choice is None else (*methods, recommended.blended(methods, shown, choice, split))
    )
    compared = worth.compare(all_methods, task.metric, task.labels)
    described = tuple(_method(method, compared.scores[method.spec.name], split) for method in all_methods)
    scored = formatting.counted(len(rows.texts), f"{split} text")
    return TaskReport(
        task=task.name,
        scale=spec.scale,
        own=spec.own,
        problem=task.problem.name,
        metric=task.metric,
        labels=task.labels,
        split=split,
        methods=described,
        differences=compared.differences,
        verdict=worth.verdict(
            compared.differences,
            score=described[0].score,
            metric=task.metric,
            rows=len(rows.texts),
            split=split,
            by_seed=described[0].by_seed,
            seconds={method.name: method.cost.seconds for method in described},
        ),
        recommendation=recommended.recommendation(
            task, all_methods, compared.scores, choice, len(read_rows(folders.task, "dev").labels), scored
        )
        if choice
        else None,
        shown=shown.seed,
        **_quality(task, folders.task, methods, split),
        stage1=details.stage1_curves(methods),
        stage2=details.stage2_curves(methods),
        more_time=details.more_time(shown),
        build=build_times(forecast) if (forecast := read_forecast(folders.forecast)) else None,
        examples=tuple(
            build_examples(spec.examples, folders.task, folders.retrieval, folders.corpus)["examples"]
        ),
        data=details.data(folders.task, folders.tokens, spec.length),
        corpus=details.corpus(
            folders.corpus, folders.retrieval, shown, k=spec.k, benchmarks=folders.benchmarks
        ),
        contamination=details.contamination(folders.audit),
        settings=details.settings(shown),
        versions=details.versions(shown),
        model=spec.model,
        made_from={
            str(folder): read_manifest(folder).digest
            for folder in (
                folders.task,
                folders.corpus,
                folders.retrieval,
                folders.audit,
                *folders.evaluations,
            )
        },
    )


def _method(method: MethodRuns, score: BootstrapEstimate, split: str) -> Method:
    records = [run.metrics for run in method.runs]
    losses = [record["dev"]["mlm_loss"] for record in records]
    return Method(
        name=method.spec.name,
        label=method.spec.label,
        variant=method.spec.variant,
        seeds=method.spec.seeds,
        score=worth.estimate(score),
        by_seed=score.by_seed,
        metrics={
            name: sum(record[split]["metrics"][name] for record in records) / len(records)
            for name in records[0][split]["metrics"]
        },
        mlm_loss=None if None in losses else sum(losses) / len(losses),
        cost=details.cost(method),
    )


def _quality(task: TaskInfo, task_dir: Path, methods: Sequence[MethodRuns], split: str) -> dict[str, object]:
    """The fields of the report that describe the shown run's predictions."""
    run, rows = best_on_dev(methods[0].runs), read_rows(task_dir, split)
    others = [method for method in methods if method.spec.name in LINEAR]
    trained = run.probabilities
    if task.regression or trained is None:
        train = pq.read_table(task_dir / "train.parquet", columns=["label"])["label"].to_pylist()
        return {
            "accuracy": None,
            "classes": (),
            "confusion": (),
            "calibration": None,
            "regression": quality.regression(run, train),
            "mistakes": quality.mistakes(run, others, rows, task.labels),
            "wrong": 0,
        }
    matrix = () if task.problem.many else tuple(map(tuple, quality.confusion(run, task.labels).tolist()))
    t = fitted(run.folder / "predictions.parquet", task.labels)
    exported = served(trained, t, task.problem)
    return {
        "accuracy": quality.accuracy(run),
        "classes": quality.classes(run, task.labels, t),
        "confusion": matrix,
        "calibration": quality.calibration(run, trained, exported, t),
        "regression": None,
        "mistakes": quality.mistakes(replace(run, probabilities=exported), others, rows, task.labels),
        "wrong": int((~quality.right(run)).sum()),
    }
