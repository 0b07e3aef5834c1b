"""Plans a build of an own task: the changes of its file, and the forecast of the jobs that are still needed.

Place in the flow: `tlm train` → here → `config/own/<name>.yaml`, `config/own/<name>.forecast.json` → Snakemake.
Seconds of jobs that ran before are those of the last build, others are estimated as by `tlm cost`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlm.artifacts import write_text
from tlm.config.base import load_yaml, parse
from tlm.config.forecast import Forecast, read_forecast
from tlm.config.own import OwnSpec
from tlm.cost.command import measuring
from tlm.cost.estimate import estimate
from tlm.cost.facts import DataFacts
from tlm.cost.jobs import pending, read_project
from tlm.cost.machine import HERE, Rate
from tlm.errors import TlmError
from tlm.layout import MODEL, manifest
from tlm.own.defaults import trainings
from tlm.own.edit import set_value
from tlm.own.more_time import LongerStage1, finished_stage1, longer, readings_note, seconds_after
from tlm.plan import runs, tables
from tlm.plan.own_tasks import forecast_file, own_file
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun
from tlm.progress import duration

_WIDTH = 13


@dataclass(frozen=True)
class PlannedBuild:
    """What the command prints and writes."""

    forecast: Forecast
    changes: tuple[str, ...]
    """The changed lines of the file: `training.stage1.budget: {tokens: 5}`."""
    notes: tuple[str, ...]


def plan_build(
    name: str,
    folder: Path,
    target: str,
    cores: int,
    *,
    granted: float | None = None,
    compare: bool = False,
    seeds: int | None = None,
    stop: bool = False,
) -> PlannedBuild:
    """Write the changes into the file of `name` and estimate the pending jobs of `target` on `cores`.

    `granted`: seconds to add to a finished model. Raises TlmError; the file may then be changed.
    """
    path = own_file(folder, name)
    changes: list[tuple[tuple[str, ...], str]] = []
    notes: list[str] = []
    stage1_seconds: float | None = None
    if compare:
        changes.append((("compare",), "true"))
    if seeds is not None:
        changes.append((("training", "seeds"), str([*range(1, seeds + 1)])))
    _write(path, changes)
    project = read_project([], folder)
    run = runs.resolve_reference(project.at(name), name, project.at(name).seeds[0])
    if granted is not None:
        found = finished_stage1(run)
        outputs = _later_outputs(run, name)
        new = longer(found, granted, sum(seconds_after(outputs).values()), _rounds(project, name, cores))
        more = _budget(run, new, stop=stop)
        if found.warmup_steps is None:
            notes.append("no state from before the decay is kept: stage 1 starts at its first step")
        elif run.spec.stage1.optimizer.warmup_steps is None:
            more.append((("training", "stage1", "optimizer", "warmup_steps"), str(found.warmup_steps)))
        _write(path, more)
        changes += more
        tokens = DataFacts(project).manifest(run.external_tokens) if run.external_tokens else None
        if note := readings_note(run, new.tokens, tokens.counts if tokens else None):
            notes.append(note)
        stage1_seconds = new.added_seconds
    elif stop:
        more = [_limited(run, _limit(name, folder, run))]
        _write(path, more)
        changes += more
    project = read_project([], folder)
    tables.check(project)
    forecast = _forecast(project, name, target, cores, stage1_seconds, granted)
    return PlannedBuild(forecast, tuple(f"{'.'.join(key)}: {value}" for key, value in changes), tuple(notes))


def summary(name: str, planned: PlannedBuild, path: Path) -> str:
    """The printed plan."""
    lines = [f"  {'changed':<{_WIDTH}} {path}: {change}" for change in planned.changes]
    if not planned.forecast.jobs:
        return "\n".join([*lines, f"  {'nothing to do':<{_WIDTH}} the report of {name} is up to date"])
    by_rule: dict[str, list[float]] = {}
    for job in planned.forecast.jobs:
        by_rule.setdefault(job.rule, []).append(job.seconds)
    longest = sorted(by_rule.items(), key=lambda each: -sum(each[1]))[:4]
    shown = ", ".join(f"{rule} {duration(sum(each))}" for rule, each in longest)
    lines.append(f"  {'forecast':<{_WIDTH}} about {duration(planned.forecast.wall)} ({shown})")
    return "\n".join([*lines, *(f"  {'note':<{_WIDTH}} {note}" for note in planned.notes)])


def _write(path: Path, changes: Sequence[tuple[tuple[str, ...], str]]) -> None:
    text = path.read_text(encoding="utf-8")
    for key, value in changes:
        try:
            text = set_value(text, key, value)
        except TlmError as error:
            raise TlmError(f"{path}: {error}") from None
    if changes:
        write_text(path, text)
        parse(OwnSpec, load_yaml(path), str(path))


def _later_outputs(run: EncoderRun, name: str) -> list[tuple[str, str]]:
    """(rule, output) of the jobs after stage 1 of one training."""
    found = [("evaluate", manifest(run.evaluation)), ("export", MODEL.manifest.format(model=name))]
    return [*([("stage2", manifest(run.stage2))] if run.stage2 else []), *found]


def _rounds(project: Project, name: str, cores: int) -> int:
    """How many trainings follow each other on the cores."""
    view, threads = project.at(name), project.at(name).scale.threads
    own = project.own[name]
    count = trainings(len(view.seeds), compare=own.compare, unlabelled=own.task.unlabelled is not None)
    return math.ceil(count / max(1, cores // threads))


def _budget(run: EncoderRun, new: LongerStage1, *, stop: bool) -> list[tuple[tuple[str, ...], str]]:
    kind = "tokens" if run.spec.stage1.budget.tokens is not None else "steps"
    limit = f", seconds: {new.seconds:.0f}" if stop else ""
    return [
        (
            ("training", "stage1", "budget"),
            f"{{{kind}: {new.tokens if kind == 'tokens' else new.steps}{limit}}}",
        )
    ]


def _limited(run: EncoderRun, limit: float) -> tuple[tuple[str, ...], str]:
    budget = run.spec.stage1.budget
    kind, amount = ("tokens", budget.tokens) if budget.tokens is not None else ("steps", budget.steps)
    return ("training", "stage1", "budget"), f"{{{kind}: {amount}, seconds: {limit:.0f}}}"


def _limit(name: str, folder: Path, run: EncoderRun) -> float:
    """Seconds of stage 1 within the granted time, by the last forecast.

    Raises TlmError if there is no such forecast, or if stage 1 is finished.
    """
    if Path(manifest(str(run.stage1))).is_file():
        raise TlmError(f"--stop-at-budget: stage 1 of {name} is finished")
    found = read_forecast(forecast_file(folder, name))
    limit = found.limit(manifest(str(run.stage1))) if found else None
    if limit is None:
        raise TlmError(
            f"--stop-at-budget: there is no forecast of a granted time for {name}; write `seconds:` into "
            f"training.stage1.budget of {own_file(folder, name)}"
        )
    return limit


def _forecast(
    project: Project,
    name: str,
    target: str,
    cores: int,
    stage1_seconds: float | None,
    granted: float | None,
) -> Forecast:
    """The pending jobs of `target`; seconds of the last build, and `stage1_seconds` if given, replace estimates."""
    jobs = pending([target], [], str(cores))
    facts, view = DataFacts(project), project.at(name)
    rates: dict[str, Rate] = {}
    measured = seconds_after([(job.rule, job.output) for job in jobs if job.rule != "stage1"])
    if stage1_seconds is not None:
        measured |= {job.output: stage1_seconds for job in jobs if job.rule == "stage1"}
    found = estimate(
        jobs,
        facts,
        measuring(facts, HERE, rates, view.scale.threads),
        measured=measured,
    )
    gpu = any(rate.gpu for rate in rates.values())
    return found.forecast(cores, view.scale.threads, gpu=gpu, granted=granted)
