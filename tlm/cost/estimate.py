"""From pending jobs to their sum: one line a rule, the runs, the longest chain, and what a person must know.

Place in the flow: `tlm.cost.jobs` → here → `tlm.cost.report`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tlm.cost import data_rules, training_rules
from tlm.cost.facts import Facts, file_bytes, total
from tlm.cost.jobs import Job
from tlm.cost.parts import Part
from tlm.cost.training_rules import RateOf, run_of
from tlm.plan.runs import EncoderRun

_DATA: Mapping[str, Callable[[Facts, Job], Part]] = {
    "fetch": data_rules.fetch,
    "task": data_rules.task,
    "corpus": data_rules.corpus,
    "index_share": data_rules.index_share,
    "index": data_rules.index,
    "retrieve_share": data_rules.retrieve_share,
    "retrieve": data_rules.retrieve,
    "selection": data_rules.selection,
    "audit": data_rules.audit,
    "tokenizer": data_rules.tokenizer,
    "internal_tokens": data_rules.internal_tokens,
    "external_tokens": data_rules.external_tokens,
}
_TRAINING: Mapping[str, Callable[[Facts, EncoderRun, RateOf], Part]] = {
    "stage1": training_rules.stage1,
    "stage2": training_rules.stage2,
    "evaluate": training_rules.evaluate,
    "attention": training_rules.attention,
}
_ALL_CORES = ("corpus", "index", "retrieve", "tokenizer")
"""Rules of which one job uses all cores."""


@dataclass(frozen=True)
class Line:
    """The pending jobs of one rule together."""

    rule: str
    parts: Sequence[Part]

    @property
    def on_device(self) -> bool:
        """Whether these jobs run on the GPU where there is one; all others run on cores."""
        return self.rule in _TRAINING

    def sum(self, name: str) -> float:
        """The sum of one field of the parts."""
        return sum(float(getattr(part, name)) for part in self.parts)


@dataclass(frozen=True)
class Estimate:
    """What a target costs."""

    lines: Sequence[Line]
    runs: Sequence[str]
    """Folders of the runs that train or evaluate something."""
    chains: Sequence[float]
    """Seconds of the jobs of each run, one after the other: more cores do not shorten them."""
    longest_chain: float
    """Seconds of the longest run, its pretraining included."""
    notes: Sequence[str]

    def sum(self, name: str) -> float:
        """The sum of one field over all jobs."""
        return sum(line.sum(name) for line in self.lines)

    def wall_seconds(self, cores: int, threads: int, *, gpu: bool) -> float:
        """Wall clock: runs side by side on the cores, `threads` each, or one job after the other on one GPU.

        Three equal runs on two cores take as long as two of them, not as one and a half. Never less than the longest
        run takes after the longest job of each kind that prepares its data.
        """
        before = sum(
            max(part.seconds for part in line.parts) / (cores if line.rule in _ALL_CORES else 1)
            for line in self.lines
            if line.rule in _DATA
        )
        rest = sum(line.sum("seconds") for line in self.lines if not line.on_device)
        together = 1 if gpu else max(1, cores // threads)  # training jobs side by side
        trained = packed(self.chains, together) + rest / cores
        return trained if gpu else max(before + self.longest_chain, trained)


def packed(seconds: Iterable[float], slots: int) -> float:
    """When the last of these is done if each goes to the slot that is free first, the longest ones first."""
    busy = [0.0] * slots
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def estimate(jobs: Sequence[Job], facts: Facts, rate_of: RateOf) -> Estimate:
    """What these jobs, which Snakemake has planned, cost. Raises TlmError where a model's sizes are not known."""
    parts: dict[str, list[Part]] = {}
    runs: dict[str, EncoderRun] = {}
    seconds: dict[str, float] = {}
    chains: dict[str, float] = {}
    for job in jobs:
        if job.rule in _TRAINING:
            run = run_of(facts, job)
            part = _TRAINING[job.rule](facts, run, rate_of)
            runs[run.folder] = run
            chains[run.folder] = chains.get(run.folder, 0.0) + part.seconds
            seconds[str(PurePosixPath(job.output).parent)] = part.seconds
        else:
            part = _DATA[job.rule](facts, job) if job.rule in _DATA else Part()
        parts.setdefault(job.rule, []).append(part)
    # In the order of the flow, and what no estimate knows at the end.
    order = [rule for rule in (*_DATA, *_TRAINING) if rule in parts]
    order += [rule for rule in parts if rule not in order]
    return Estimate(
        lines=[Line(rule, parts[rule]) for rule in order],
        runs=sorted(runs),
        chains=list(chains.values()),
        longest_chain=max((_chain(run, seconds) for run in runs.values()), default=0.0),
        notes=[*_downloads(facts, jobs), *_hub(facts, jobs, runs), *_bounds(parts), *_unknown(parts)],
    )


def _chain(run: EncoderRun, seconds: Mapping[str, float]) -> float:
    """Seconds of a run from its first job to its last: `seconds` is by folder, and some are other runs' too."""
    # A pretraining is a run with a stage 1 of its own, and then the last of its chain.
    folders = {run.start, run.stage1, f"{run.folder}/stage2", run.evaluation, f"{run.folder}/attention"}
    return sum(seconds.get(folder, 0.0) for folder in folders if folder)


def _downloads(facts: Facts, jobs: Sequence[Job]) -> Iterator[str]:
    sources = [job.parts[2] for job in jobs if job.rule == "fetch"]
    needed = {source: [file_bytes(file) for file in facts.to_download(source)] for source in sources}
    needed = {source: sizes for source, sizes in needed.items() if sizes}
    if needed:
        known = sum(size or 0 for sizes in needed.values() for size in sizes)
        silent = [source for source, sizes in needed.items() if total(sizes) is None]
        more = f", and files of {', '.join(silent)} whose sizes are not declared" if silent else ""
        yield f"to be downloaded: {known / 1e9:,.2f} GB of {len(needed)} source{'s' * (len(needed) > 1)}{more}"


def _hub(facts: Facts, jobs: Sequence[Job], runs: Mapping[str, EncoderRun]) -> Iterator[str]:
    names = {run.spec.model.pretrained for run in runs.values()}
    names |= {facts.tokenizers[job.parts[2]][0].pretrained for job in jobs if job.rule == "tokenizer"}
    if found := sorted(name for name in names if name):
        yield f"needs the Hugging Face Hub, or its cache: {', '.join(found)}"


def _unknown(parts: Mapping[str, Sequence[Part]]) -> Iterator[str]:
    waiting = [(part.waits_for, rule) for rule, found in parts.items() for part in found if part.waits_for]
    for what in dict.fromkeys(what for what, _ in waiting):
        rules = Counter(rule for each, rule in waiting if each == what)
        jobs = ", ".join(f"{count} {rule}" for rule, count in rules.items())
        yield f"missing in the sums until {what}: {jobs}"


def _bounds(parts: Mapping[str, Sequence[Part]]) -> Iterator[str]:
    if {"internal_tokens", "external_tokens"} & set(parts):
        yield "texts that are not tokenized yet count with the full length of their stage: an upper bound"
