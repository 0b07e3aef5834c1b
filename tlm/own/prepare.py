"""Completes a declaration to a configuration: reads the data, then chooses the settings.

Place in the flow: `tlm new`'s arguments → findings → choice → the text of `config/own/<name>.yaml`, parsed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tlm import layout
from tlm.config.base import merge, parse
from tlm.config.forecast import Forecast
from tlm.config.own import OwnSpec, OwnTraining
from tlm.config.training import ModelSpec, Optimizer
from tlm.cost import work
from tlm.cost.command import measuring
from tlm.cost.estimate import CostEstimate
from tlm.cost.facts import SPECIALS, DataFacts
from tlm.cost.jobs import read_project
from tlm.cost.machine import HERE, Rate
from tlm.cost.training_rules import RateOf
from tlm.layout import manifest
from tlm.own.declare import as_yaml
from tlm.own.defaults import (
    EXTERNAL_LENGTH,
    ChosenSettings,
    DataSizes,
    choose,
    training_threads,
    trainings,
    with_fixed_steps,
)
from tlm.own.findings import Findings, read_data
from tlm.own.new_task_cost import NewTaskFacts, TextLengths, estimate_new_task, measure_lengths
from tlm.own.tokenizer import build_characters
from tlm.plan import runs
from tlm.plan.own_tasks import own_file, own_scale
from tlm.plan.project import Project

_MARKS = 0.08  # share of letters with accents or vowel signs above which lower-casing, which drops them, loses meaning
_CHARACTERS = 8192  # entries of a vocabulary of characters
_VOCABULARY, _ROWS, _STEP_FLOPS = 8192, 16, 1e10  # of a usual step, to compare numbers of threads
_CLEARLY = 1.15  # times as fast: fewer threads are chosen


@dataclass(frozen=True)
class NewTask:
    """Everything that `tlm new` prints and writes."""

    spec: OwnSpec
    text: str
    """The content of `config/own/<name>.yaml`."""
    found: Findings
    lengths: TextLengths
    choice: ChosenSettings
    estimate: CostEstimate
    vocabulary: Path | None
    """The folder of the vocabulary of characters; None if there is none."""
    granted: float
    """Seconds."""
    cores: int
    rates: Mapping[str, Rate]
    forecast: Forecast
    comparison: float
    """Seconds of the build that the methods of `--compare` take, or would add."""

    @property
    def seeds(self) -> int:
        """The number of training seeds."""
        return len(self.choice.training["seeds"])

    @property
    def model_seconds(self) -> float:
        """Stages 1 and 2 of one TLM model."""
        unlabelled = self.spec.task.unlabelled is not None
        trained = trainings(self.seeds, compare=self.spec.compare, unlabelled=unlabelled)
        return (
            sum(rule.sum("seconds") for rule in self.estimate.rules if rule.rule in ("stage1", "stage2"))
            / trained
        )


def prepare(
    name: str,
    spec: OwnSpec,
    granted: float,
    cores: int,
    gflops: float | None,
    folder: Path,
    scratch: Path,
    characters: bool | None = None,
    *,
    stop: bool = False,
) -> NewTask:
    """Read the data of `spec` and complete it for `granted` seconds on `cores`.

    `characters`: use a vocabulary of characters, for writing without spaces; None guesses. It is written to `scratch`.
    `stop`: limit the time of stage 1, so that the build ends in time on a slow machine.
    Raises TlmError for every fault of the data.
    """
    found = read_data(name, spec, characters)
    tokenizer, vocabulary = _tokenizer(name, spec, found, scratch)
    declared = merge({"tokenizer": tokenizer}, spec.training.model_dump(exclude_unset=True))
    if not declared["tokenizer"]:
        del declared["tokenizer"]
    language = spec.language or found.task.writing.language
    known = spec.model_copy(update={"corpus": found.corpus_spec, "language": language})
    project = read_project([], folder, {name: _with(known, declared)})
    sample = found.corpus.sample if found.corpus is not None else found.task.texts
    lengths = measure_lengths(found.task, sample, project.own_scales[name].tokenizer)
    unlabelled = spec.task.unlabelled is not None
    trained = trainings(len(declared.get("seeds", [1])), compare=spec.compare, unlabelled=unlabelled)
    most = training_threads(trained, cores)
    threads = spec.training.threads or (most if gflops is not None else _fastest_threads(project, most))
    if threads > 1:
        declared = {**declared, "threads": threads}
    rates: dict[str, Rate] = {}
    rate_of = _rate_of(DataFacts(project), gflops, rates, threads)

    def facts_of(training: Mapping[str, Any], *, compare: bool) -> NewTaskFacts:
        own = _with(known, training).model_copy(update={"compare": compare})
        changed = project.model_copy(
            update={
                "own": {**project.own, name: own},
                "own_scales": {**project.own_scales, name: own_scale(name, own, project.scales)},
            }
        )
        return NewTaskFacts(project=changed, name=name, task=found.task, corpus=found.corpus, lengths=lengths)

    def estimate_of(training: Mapping[str, Any], *, compare: bool = spec.compare) -> CostEstimate:
        return estimate_new_task(facts_of(training, compare=compare), rate_of)

    def clock(training: Mapping[str, Any], *, compare: bool = spec.compare) -> float:
        gpu = any(rate.gpu for rate in rates.values())
        return estimate_of(training, compare=compare).wall_seconds(cores, threads, gpu=gpu)

    def stage1_output(training: Mapping[str, Any]) -> str:
        view = facts_of(training, compare=False).project.at(name)
        return manifest(str(runs.resolve_reference(view, name, training["seeds"][0]).stage1))

    def planned(training: Mapping[str, Any]) -> tuple[int, Optimizer]:
        """Steps of the TLM run's stage 1, and its optimizer."""
        facts = facts_of(training, compare=False)
        run = runs.resolve_reference(facts.project.at(name), name, training["seeds"][0])
        return work.stage1(facts, run).steps, run.spec.stage1.optimizer

    data = _data_sizes(DataFacts(project), found, lengths)
    choice = choose(data, granted, clock, declared)
    training = with_fixed_steps(choice.training, *planned(choice.training))
    forecast = estimate_of(training).forecast(
        cores, threads, gpu=any(rate.gpu for rate in rates.values()), granted=granted
    )
    if stop and (limit := forecast.limit(stage1_output(training))) is not None:
        budget = {**training["stage1"]["budget"], "seconds": round(limit)}
        training = merge(training, {"stage1": {"budget": budget}})
    choice = replace(choice, training=training)
    if vocabulary is not None:  # it moves from `scratch` to config/own/
        final = own_file(folder, name).parent / vocabulary.name
        training = {**training, "tokenizer": {"pretrained": final.as_posix()}}
    text = as_yaml(name, _with(known, training), choice.reasons)
    return NewTask(
        spec=parse(OwnSpec, yaml.safe_load(text), str(own_file(folder, name))),
        text=text,
        found=found,
        lengths=lengths,
        choice=choice,
        estimate=estimate_of(choice.training),
        vocabulary=vocabulary,
        granted=granted,
        cores=cores,
        rates=rates,
        forecast=forecast,
        comparison=clock(choice.training, compare=True) - clock(choice.training, compare=False),
    )


def _with(spec: OwnSpec, training: Mapping[str, Any]) -> OwnSpec:
    return spec.model_copy(update={"training": OwnTraining(**training)})


def _tokenizer(
    name: str, spec: OwnSpec, found: Findings, scratch: Path
) -> tuple[Mapping[str, Any], Path | None]:
    """Settings of a tokenizer that suits the writing, and the vocabulary of characters if one was built."""
    if spec.training.tokenizer.get("pretrained"):
        return {}, None
    if found.unspaced:
        texts = [*(found.corpus.sample if found.corpus is not None else ()), *found.task.texts]
        vocabulary = build_characters(texts, scratch, name, _CHARACTERS)
        return {"pretrained": str(vocabulary)}, vocabulary
    return ({"lowercase": False} if found.task.writing.marked > _MARKS else {}), None


def _fastest_threads(project: Project, most: int) -> int:
    """Threads of one training: `most`, or a half or a quarter of them where this is clearly faster here and now."""
    facts = DataFacts(project)
    model = parse(ModelSpec, project.scales["mini"].model, "config/scales/mini.yaml: model")
    seconds: dict[int, float] = {}
    for threads in dict.fromkeys(max(1, most // part) for part in (1, 2, 4)) if most > 1 else ():
        rate = measuring(facts, HERE, {}, threads)(model, _VOCABULARY, _ROWS, EXTERNAL_LENGTH)
        if rate.gpu:
            return most
        seconds[threads] = rate.seconds(_STEP_FLOPS, 1)
    return min(seconds, key=lambda each: seconds[each] * (1 if each == most else _CLEARLY), default=1)


def _rate_of(facts: DataFacts, gflops: float | None, seen: dict[str, Rate], threads: int) -> RateOf:
    if gflops is None:
        return measuring(facts, HERE, seen, threads)
    return lambda *_: Rate(0.0, gflops * 1e9)


def _data_sizes(facts: DataFacts, found: Findings, lengths: TextLengths) -> DataSizes:
    """The sizes for choosing settings: from the findings, or for a shared corpus as built or declared."""
    train, pair, more = lengths.splits["train"], found.task.pair, len(found.task.unlabelled)
    if found.corpus is not None:
        tokens = float(np.mean(lengths.passages)) + SPECIALS
        return DataSizes(train, found.corpus.passages, tokens, found.corpus.text_bytes, pair, more)
    assert isinstance(found.corpus_spec, str)
    size = float(facts.corpus_bytes(found.corpus_spec) or 0)
    built = facts.manifest(layout.CORPUS.format(corpus=found.corpus_spec))
    passages = float(built.counts["passages"]) if built else size / 600
    return DataSizes(train, passages, 128.0, size, pair, more)
