"""Completes a declaration to a configuration: reads the data, then chooses the settings.

Place in the flow: `tlm new`'s arguments → findings → choice → the text of `config/own/<name>.yaml`, parsed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tlm import layout
from tlm.config.base import merge, parse
from tlm.config.own import OwnSpec, OwnTraining
from tlm.cost.command import measuring
from tlm.cost.estimate import CostEstimate
from tlm.cost.facts import SPECIALS, DataFacts
from tlm.cost.jobs import read_project
from tlm.cost.machine import HERE, Rate
from tlm.cost.training_rules import RateOf
from tlm.own.declare import as_yaml
from tlm.own.defaults import ChosenSettings, DataSizes, choose, training_threads, trainings
from tlm.own.findings import Findings, read_data
from tlm.own.new_task_cost import NewTaskFacts, TextLengths, estimate_new_task, measure_lengths
from tlm.own.tokenizer import build_characters
from tlm.plan.own_tasks import own_file, own_scale

_MARKS = 0.08  # share of letters with accents or vowel signs above which lower-casing, which drops them, loses meaning
_CHARACTERS = 8192  # entries of a vocabulary of characters


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
    comparison: float
    """Seconds of the build that the methods of `--compare` take, or would add."""

    @property
    def seeds(self) -> int:
        """The number of training seeds."""
        return len(self.choice.training["seeds"])

    @property
    def model_seconds(self) -> float:
        """Stages 1 and 2 of one TLM model."""
        trained = trainings(self.seeds, compare=self.spec.compare)
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
) -> NewTask:
    """Read the data of `spec` and complete it for `granted` seconds on `cores`.

    `characters`: use a vocabulary of characters, for writing without spaces; None guesses. It is written to `scratch`.
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
    trained = trainings(len(declared.get("seeds", [1])), compare=spec.compare)
    threads = spec.training.threads or training_threads(trained, cores)
    if threads > 1:
        declared = {**declared, "threads": threads}
    rates: dict[str, Rate] = {}
    rate_of = _rate_of(DataFacts(project), gflops, rates, threads)

    def estimate_of(training: Mapping[str, Any], *, compare: bool = spec.compare) -> CostEstimate:
        own = _with(known, training).model_copy(update={"compare": compare})
        changed = project.model_copy(
            update={
                "own": {**project.own, name: own},
                "own_scales": {**project.own_scales, name: own_scale(name, own, project.scales)},
            }
        )
        facts = NewTaskFacts(
            project=changed, name=name, task=found.task, corpus=found.corpus, lengths=lengths
        )
        return estimate_new_task(facts, rate_of)

    def clock(training: Mapping[str, Any], *, compare: bool = spec.compare) -> float:
        gpu = any(rate.gpu for rate in rates.values())
        return estimate_of(training, compare=compare).wall_seconds(cores, threads, gpu=gpu)

    data = _data_sizes(DataFacts(project), found, lengths)
    choice = choose(data, granted, clock, declared)
    training = choice.training
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


def _rate_of(facts: DataFacts, gflops: float | None, seen: dict[str, Rate], threads: int) -> RateOf:
    if gflops is None:
        return measuring(facts, HERE, seen, threads)
    return lambda *_: Rate(0.0, gflops * 1e9)


def _data_sizes(facts: DataFacts, found: Findings, lengths: TextLengths) -> DataSizes:
    """The sizes for choosing settings: from the findings, or for a shared corpus as built or declared."""
    train, pair = lengths.splits["train"], found.task.pair
    if found.corpus is not None:
        tokens = float(np.mean(lengths.passages)) + SPECIALS
        return DataSizes(train, found.corpus.passages, tokens, found.corpus.text_bytes, pair)
    assert isinstance(found.corpus_spec, str)
    size = float(facts.corpus_bytes(found.corpus_spec) or 0)
    built = facts.manifest(layout.CORPUS.format(corpus=found.corpus_spec))
    passages = float(built.counts["passages"]) if built else size / 600
    return DataSizes(train, passages, 128.0, size, pair)
