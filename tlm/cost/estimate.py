"""Adds up the estimates of pending jobs: sums by rule, the runs, the longest chain, and notes for the user.

Place in the flow: `tlm.cost.jobs` → here → `tlm.cost.printed`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType

from tlm.config.forecast import Forecast, JobForecast
from tlm.cost import data_rules, training_rules
from tlm.cost.facts import DataFacts, file_bytes, total
from tlm.cost.job_estimate import JobEstimate
from tlm.cost.jobs import PendingJob
from tlm.cost.training_rules import RateOf, run_of
from tlm.dag import RULES
from tlm.plan.run_types import EncoderRun

_DATA: Mapping[str, Callable[[DataFacts, PendingJob], JobEstimate]] = {
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
    "linear": data_rules.linear,
    "export": data_rules.export,
    "task_report": data_rules.task_report,
}
_TRAINING: Mapping[str, Callable[[DataFacts, EncoderRun, RateOf], JobEstimate]] = {
    "stage1": training_rules.stage1,
    "stage2": training_rules.stage2,
    "released": training_rules.released,
    "evaluate": training_rules.evaluate,
    "attention": training_rules.attention,
}


@dataclass(frozen=True)
class RuleEstimate:
    """The pending jobs of one rule together."""

    rule: str
    jobs: Sequence[JobEstimate]

    def sum(self, name: str) -> float:
        """The sum of one field over the jobs."""
        return sum(float(getattr(job, name)) for job in self.jobs)

    def longest(self, cores: int) -> float:
        """Seconds of the longest job, which has all `cores` to itself if the rule takes them."""
        return max(job.seconds for job in self.jobs) / (cores if RULES[self.rule].all_cores else 1)


@dataclass(frozen=True)
class CostEstimate:
    """The cost of all pending jobs of a target."""

    rules: Sequence[RuleEstimate]
    jobs: Sequence[tuple[PendingJob, JobEstimate]]
    """Every job, in the order of the plan."""
    runs: Sequence[str]
    """Folders of the runs that train or evaluate something."""
    chains: Sequence[float]
    """Seconds of the jobs of each run, one after the other: more cores do not shorten them."""
    longest_chain: float
    """Seconds of the longest run, its pretraining included."""
    notes: Sequence[str]

    def sum(self, name: str) -> float:
        """The sum of one field over all jobs."""
        return sum(rule.sum(name) for rule in self.rules)

    def forecast(self, cores: int, threads: int, *, gpu: bool, granted: float | None) -> Forecast:
        """Seconds of each job on `cores`, and of the whole."""
        return Forecast(
            granted=granted,
            wall=round(self.wall_seconds(cores, threads, gpu=gpu), 1),
            cores=cores,
            jobs=tuple(
                JobForecast(
                    rule=job.rule,
                    output=job.output,
                    seconds=round(one.seconds / (cores if RULES[job.rule].all_cores else 1), 1),
                )
                for job, one in self.jobs
            ),
        )

    def wall_seconds(self, cores: int, threads: int, *, gpu: bool) -> float:
        """Wall clock: runs side by side on the cores, `threads` each, or one job after the other on one GPU.

        Three equal runs on two cores take as long as two of them, not one and a half. The result is at least the
        longest job of each rule that prepares data or presents results, one after the other, and the longest run.
        """
        before = sum(rule.longest(cores) for rule in self.rules if rule.rule in _DATA)
        rest = sum(rule.sum("seconds") for rule in self.rules if not RULES[rule.rule].on_device)
        together = 1 if gpu else max(1, cores // threads)  # training jobs side by side
        trained = packed(self.chains, together) + rest / cores
        return trained if gpu else max(before + self.longest_chain, trained)


def packed(seconds: Iterable[float], slots: int) -> float:
    """Seconds until the last job ends, if the longest remaining job always takes the first free slot."""
    busy = [0.0] * slots
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def estimate(
    jobs: Sequence[PendingJob],
    facts: DataFacts,
    rate_of: RateOf,
    measured: Mapping[str, float] = MappingProxyType({}),
) -> CostEstimate:
    """The cost of these jobs; `measured` are seconds by output that replace estimates.

    Raises TlmError if a model's sizes are unknown.
    """
    by_rule: dict[str, list[JobEstimate]] = {}
    estimates: list[tuple[PendingJob, JobEstimate]] = []
    runs: dict[str, EncoderRun] = {}
    seconds: dict[PurePosixPath, float] = {}  # by the folder that a job of a run makes
    chains: dict[str, float] = {}
    for job in jobs:
        if job.rule in _TRAINING:
            run = run_of(facts, job)
            one = _with_measured(_TRAINING[job.rule](facts, run, rate_of), job, measured)
            runs[run.folder] = run
            chains[run.folder] = chains.get(run.folder, 0.0) + one.seconds
            seconds[PurePosixPath(job.output).parent] = one.seconds
        else:
            one = _with_measured(
                _DATA[job.rule](facts, job) if job.rule in _DATA else JobEstimate(), job, measured
            )
        by_rule.setdefault(job.rule, []).append(one)
        estimates.append((job, one))
    # In the order of the flow; rules without a formula of their own at the end.
    known = (*_DATA, *_TRAINING)
    order = sorted(by_rule, key=[*(rule for rule in RULES if rule in known), *by_rule].index)
    return CostEstimate(
        rules=[RuleEstimate(rule, by_rule[rule]) for rule in order],
        jobs=estimates,
        runs=sorted(runs),
        chains=list(chains.values()),
        longest_chain=max((_chain(run, seconds) for run in runs.values()), default=0.0),
        notes=[*_downloads(facts, jobs), *_hub(facts, jobs, runs), *_bounds(by_rule), *_unknown(by_rule)],
    )


def _with_measured(one: JobEstimate, job: PendingJob, measured: Mapping[str, float]) -> JobEstimate:
    return replace(one, seconds=measured[job.output]) if job.output in measured else one


def _chain(run: EncoderRun, seconds: Mapping[PurePosixPath, float]) -> float:
    """Seconds of a run from its first job to its last, with the stage 1 of another run if it starts from one."""
    own = {folder for folder in seconds if str(folder.parent) == run.folder}
    others = {PurePosixPath(folder) for folder in (run.start, run.stage1) if folder}
    return sum(seconds.get(folder, 0.0) for folder in own | others)


def _downloads(facts: DataFacts, jobs: Sequence[PendingJob]) -> Iterator[str]:
    sources = [job.names["source"] for job in jobs if job.rule == "fetch"]
    needed = {source: [file_bytes(file) for file in facts.to_download(source)] for source in sources}
    needed = {source: sizes for source, sizes in needed.items() if sizes}
    if needed:
        known = sum(size or 0 for sizes in needed.values() for size in sizes)
        undeclared = [source for source, sizes in needed.items() if total(sizes) is None]
        more = f", and files of {', '.join(undeclared)} without declared sizes" if undeclared else ""
        yield f"to be downloaded: {known / 1e9:,.2f} GB of {len(needed)} source{'s' * (len(needed) > 1)}{more}"


def _hub(facts: DataFacts, jobs: Sequence[PendingJob], runs: Mapping[str, EncoderRun]) -> Iterator[str]:
    names = {run.spec.model.pretrained for run in runs.values()}
    tokenizers = [job.names["tokenizer"] for job in jobs if job.rule == "tokenizer"]
    names |= {facts.tokenizers[name][0].pretrained for name in tokenizers}
    if found := sorted(name for name in names if name):
        yield f"needs the Hugging Face Hub or its cache: {', '.join(found)}"


def _unknown(by_rule: Mapping[str, Sequence[JobEstimate]]) -> Iterator[str]:
    waiting = [(job.waits_for, rule) for rule, jobs in by_rule.items() for job in jobs if job.waits_for]
    for condition in dict.fromkeys(condition for condition, _ in waiting):
        rules = Counter(rule for each, rule in waiting if each == condition)
        jobs = ", ".join(f"{count} {rule}" for rule, count in rules.items())
        yield f"missing in the sums until {condition}: {jobs}"


def _bounds(by_rule: Mapping[str, Sequence[JobEstimate]]) -> Iterator[str]:
    if {"internal_tokens", "external_tokens"} & set(by_rule):
        yield "texts that are not tokenized yet count with the full length of their stage: an upper bound"
