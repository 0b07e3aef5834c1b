"""From a bare declaration to a whole one: the data are read, their lengths counted, and the settings chosen.

Place in the flow: between `tlm new`'s arguments and the file that it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlm import layout
from tlm.config.base import merge, parse
from tlm.config.own import OwnCorpus, OwnSpec
from tlm.cost.command import measuring
from tlm.cost.estimate import CostEstimate
from tlm.cost.facts import SPECIALS, DataFacts
from tlm.cost.jobs import read_project
from tlm.cost.machine import HERE, Rate
from tlm.cost.training_rules import RateOf
from tlm.own.defaults import Choice, Data, choose, seeds_in, training_threads
from tlm.own.findings import CorpusFound, TaskFound, check_apart, read_corpus, read_task, resolved, unit_of
from tlm.own.outlook import Foreseen, Lengths, measure_lengths, outlook
from tlm.own.tokenizer import build_characters
from tlm.plan.own_tasks import own_file, own_scale
from tlm.plan.project import Project

_UNSPACED = 0.3  # share of letters of writing without spaces above which a text is such
_MARKS = 0.08  # share of letters with accents or vowel signs above which taking them away takes meaning away


@dataclass(frozen=True)
class Chosen:
    """Everything that `tlm new` tells and writes."""

    spec: OwnSpec
    task: TaskFound
    corpus: CorpusFound | None
    lengths: Lengths
    choice: Choice
    estimate: CostEstimate
    vocabulary: Path | None
    """Where the vocabulary of characters lies, if there is one."""
    seconds: float
    """Until everything is built."""
    granted: float
    cores: int
    seeds: int
    rates: Mapping[str, Rate]


def prepare(
    name: str,
    spec: OwnSpec,
    granted: float,
    cores: int,
    gflops: float | None,
    folder: Path,
    scratch: Path,
    characters: bool | None = None,
) -> Chosen:
    """Read the data of `spec` and complete it for `granted` seconds on `cores`.

    `characters`: whether its writing has no spaces; None guesses. Its vocabulary is then put in `scratch`. Raises
    TlmError for every fault of the data.
    """
    check_apart(spec)
    task = read_task(name, spec)
    corpus = None
    unspaced = task.writing.unspaced > _UNSPACED if characters is None else characters
    if unspaced and isinstance(spec.corpus, OwnCorpus):
        spec = spec.model_copy(update={"corpus": OwnCorpus(**{**spec.corpus.model_dump(), "spaces": False})})
    if isinstance(spec.corpus, OwnCorpus):
        unit = unit_of(resolved(spec.corpus.paths, "corpus"), spec.corpus.encodings)
        if unit is not None:
            spec = spec.model_copy(update={"corpus": spec.corpus.model_copy(update={"unit": unit})})
        assert isinstance(spec.corpus, OwnCorpus)
        corpus = read_corpus(spec.corpus)
    vocabulary = None
    if unspaced and not spec.training.tokenizer.get("pretrained"):
        texts = [*(corpus.sample if corpus is not None else ()), *task.texts]
        vocabulary = build_characters(texts, scratch, name, 8192)
        spec = _with_tokenizer(spec, {"pretrained": str(vocabulary)})
    spec = _with_language(spec, task)
    project = read_project([], folder, {name: spec})
    sample: Sequence[str] = corpus.sample if corpus is not None else task.texts
    lengths = measure_lengths(task, sample, project.own_scales[name].tokenizer)
    said = spec.training.model_dump(exclude_unset=True)
    threads = spec.training.threads or training_threads(said.get("seeds") or seeds_in(granted), cores)
    rates: dict[str, Rate] = {}
    rate_of = _rate_of(DataFacts(project), gflops, rates, threads)

    def foreseen(training: Mapping[str, Any]) -> CostEstimate:
        return outlook(_facts(project, name, spec, training, task, corpus, lengths), rate_of)

    def clock(training: Mapping[str, Any]) -> float:
        gpu = any(rate.gpu for rate in rates.values())
        return foreseen(training).wall_seconds(cores, threads, gpu=gpu)

    if threads > 1:
        said = {**said, "threads": threads}
    choice = choose(_data(project, spec, task, corpus, lengths), granted, clock, said)
    training = choice.training
    if vocabulary is not None:
        training = {
            **training,
            "tokenizer": {"pretrained": (own_file(folder, name).parent / vocabulary.name).as_posix()},
        }
    whole = {**spec.model_dump(exclude_unset=True), "training": training}
    return Chosen(
        spec=parse(OwnSpec, whole, name),
        task=task,
        corpus=corpus,
        lengths=lengths,
        choice=choice,
        estimate=foreseen(choice.training),
        vocabulary=vocabulary,
        seconds=choice.seconds,
        granted=granted,
        cores=cores,
        seeds=len(choice.training["seeds"]),
        rates=rates,
    )


def _with_tokenizer(spec: OwnSpec, tokenizer: Mapping[str, Any]) -> OwnSpec:
    return parse(
        OwnSpec, merge(spec.model_dump(exclude_unset=True), {"training": {"tokenizer": tokenizer}}), "tlm new"
    )


def _with_language(spec: OwnSpec, task: TaskFound) -> OwnSpec:
    """With the language, and a tokenizer that suits the writing, unless they are said."""
    writing = task.writing
    # Lower-casing takes accents and vowel signs away, too.
    fitting = (
        {"lowercase": False}
        if writing.marked > _MARKS and not spec.training.tokenizer.get("pretrained")
        else {}
    )
    values = merge({"training": {"tokenizer": fitting}}, spec.model_dump(exclude_unset=True))
    return parse(OwnSpec, {**values, "language": spec.language or writing.language}, "tlm new")


def _facts(
    project: Project,
    name: str,
    spec: OwnSpec,
    training: Mapping[str, Any],
    task: TaskFound,
    corpus: CorpusFound | None,
    lengths: Lengths,
) -> Foreseen:
    """What would be if `training` were the settings."""
    whole = parse(OwnSpec, {**spec.model_dump(exclude_unset=True), "training": training}, name)
    scale = own_scale(name, whole, project.scales)
    changed = project.model_copy(
        update={"own": {**project.own, name: whole}, "own_scales": {**project.own_scales, name: scale}}
    )
    return Foreseen(project=changed, name=name, task=task, corpus=corpus, lengths=lengths)


def _rate_of(facts: DataFacts, gflops: float | None, seen: dict[str, Rate], threads: int) -> RateOf:
    if gflops is None:
        return measuring(facts, HERE, seen, threads)
    return lambda *_: Rate(0.0, gflops * 1e9)


def _data(
    project: Project, spec: OwnSpec, task: TaskFound, corpus: CorpusFound | None, lengths: Lengths
) -> Data:
    tokens = float(np.mean(lengths.passages)) + SPECIALS
    if corpus is not None:
        return Data(lengths.splits["train"], corpus.passages, tokens, corpus.text_bytes, task.pair)
    assert isinstance(spec.corpus, str)
    facts = DataFacts(project)
    size = float(facts.corpus_bytes(spec.corpus) or 0)
    built = facts.manifest(layout.CORPUS.format(corpus=spec.corpus))
    passages = float(built.counts["passages"]) if built else size / 600
    return Data(lengths.splits["train"], passages, 128.0, size, task.pair)
