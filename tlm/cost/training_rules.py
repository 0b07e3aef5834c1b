"""What the rules that train and evaluate cost: from their FLOPs, at a rate of FLOPs a second.

Place in the flow: a job of workflow/rules/train.smk or evaluate.smk, its resolved run and facts → here → the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from tlm.config.training import INFINITE, ModelSpec
from tlm.cost import parameters, work
from tlm.cost.facts import Facts
from tlm.cost.jobs import Job
from tlm.cost.machine import Rate
from tlm.cost.parts import TORCH_START, Part
from tlm.plan.runs import EncoderRun

RateOf = Callable[[ModelSpec, int, int, int], Rate]
"""The speed of a model's training: (model, vocabulary, rows of a batch, their length) → Rate."""

_COOCCURRENCE = 1.5e-6  # seconds for a token that the start of the embeddings counts
_FLOAT = 4  # bytes of a parameter as saved
_CHECKPOINT = 3  # the weights and AdamW's two moments
_KEPT = 2  # checkpoints at a time


def run_of(facts: Facts, job: Job) -> EncoderRun:
    """The run that `runs/<scale>/<task>/<variant>/seed<seed>/…` names."""
    _, scale, task, variant, seed = job.parts[:5]
    names = SimpleNamespace(scale=scale, task=task, variant=variant, seed=seed.removeprefix("seed"))
    return facts.workflow.encoder_run(names)


def stage1(facts: Facts, run: EncoderRun, rate_of: RateOf) -> Part:
    """…/stage1/manifest.json: both models are kept, without a task only the language model."""
    spec, sizes = run.spec.stage1, _sizes(facts, run)
    kept = sizes.mlm + (0 if spec.rho1 == INFINITE else sizes.classification)
    cost = work.stage1(facts, run)
    rate = rate_of(*facts.model(run), spec.batch_size, spec.external_length)
    return _trained(run, cost, rate, kept=kept, trained=sizes.both)


def stage2(facts: Facts, run: EncoderRun, rate_of: RateOf) -> Part:
    """…/stage2/manifest.json."""
    spec, sizes = run.spec.stage2, _sizes(facts, run)
    if spec is None:
        return Part()
    cost = work.stage2(facts, run, spec)
    rate = rate_of(*facts.model(run), spec.batch_size, spec.length)
    return _trained(run, cost, rate, kept=sizes.classification, trained=sizes.classification)


def evaluate(facts: Facts, run: EncoderRun, rate_of: RateOf) -> Part:
    """…/evaluation/manifest.json."""
    rows = (run.spec.stage2 or run.spec.stage1).batch_size
    return _trained(run, work.evaluation(facts, run), rate_of(*facts.model(run), rows, run.length))


def attention(facts: Facts, run: EncoderRun, rate_of: RateOf) -> Part:
    """…/attention/manifest.json."""
    cost = work.attention(facts, run, facts.project.experiments.attention.texts)
    return _trained(run, cost, rate_of(*facts.model(run), 1, run.length))


def _sizes(facts: Facts, run: EncoderRun) -> parameters.Parameters:
    return parameters.count(*facts.model(run), facts.classes(run.task))


def _trained(run: EncoderRun, cost: work.Cost | None, rate: Rate, kept: int = 0, trained: int = 0) -> Part:
    """`kept` and `trained` are parameters: of the models that stay, and of those that checkpoints hold."""
    disk, checkpoints = float(_FLOAT * kept), float(_FLOAT * _CHECKPOINT * _KEPT * trained)
    if cost is None:
        return Part(
            seconds=TORCH_START,
            disk_bytes=disk,
            checkpoint_bytes=checkpoints,
            waits_for=f"data/tasks/{run.task} is built",
        )
    return Part(
        seconds=TORCH_START + cost.start_tokens * _COOCCURRENCE + rate.seconds(cost.total_flops, cost.steps),
        tokens=cost.tokens,
        paper_flops=cost.paper_flops,
        matmul_flops=cost.total_flops,
        disk_bytes=disk,
        checkpoint_bytes=checkpoints,
    )
