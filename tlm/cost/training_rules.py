"""The cost of the rules that train and evaluate: their FLOPs, at a rate of FLOPs a second.

Place in the flow: a job of workflow/rules/train.smk, evaluate.smk or figures.smk, its resolved run and `DataFacts` →
here → `tlm.cost.estimate`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from tlm.config.training import INFINITE, ModelSpec
from tlm.cost import parameters, work
from tlm.cost.facts import DataFacts
from tlm.cost.job_estimate import TORCH_START, JobEstimate
from tlm.cost.jobs import PendingJob
from tlm.cost.machine import Rate
from tlm.layout import TASK
from tlm.plan.run_types import EncoderRun

RateOf = Callable[[ModelSpec, int, int, int], Rate]
"""The speed of a model's training: (model, vocabulary, rows of a batch, their length) → Rate."""

_COOCCURRENCE = 1.5e-6  # seconds to count a token for the start of the embeddings
_FLOAT = 4  # bytes of a parameter as saved
_CHECKPOINT = 3  # the weights and AdamW's two moments
_KEPT = 2  # checkpoints at a time


def run_of(facts: DataFacts, job: PendingJob) -> EncoderRun:
    """The run that a job of training or evaluation belongs to."""
    return facts.workflow.encoder_run(SimpleNamespace(**job.names))


def stage1(facts: DataFacts, run: EncoderRun, rate_of: RateOf) -> JobEstimate:
    """Stage 1: keeps the language model and the classifier; a pretraining keeps the language model only."""
    spec, sizes = run.spec.stage1, _sizes(facts, run)
    kept = sizes.mlm + (0 if spec.rho1 == INFINITE else sizes.classification)
    planned = work.stage1(facts, run)
    rate = rate_of(*facts.model(run), spec.batch_size, spec.external_length)
    return _trained(run, planned, rate, kept=kept, trained=sizes.both)


def stage2(facts: DataFacts, run: EncoderRun, rate_of: RateOf) -> JobEstimate:
    """Stage 2."""
    spec, sizes = run.spec.stage2, _sizes(facts, run)
    if spec is None:
        return JobEstimate()
    planned = work.stage2(facts, run, spec)
    rate = rate_of(*facts.model(run), spec.batch_size, spec.length)
    return _trained(run, planned, rate, kept=sizes.classification, trained=sizes.classification)


def released(facts: DataFacts, run: EncoderRun, rate_of: RateOf) -> JobEstimate:
    """A classifier of the authors: loaded and saved."""
    return JobEstimate(seconds=TORCH_START, disk_bytes=_FLOAT * _sizes(facts, run).classification)


def evaluate(facts: DataFacts, run: EncoderRun, rate_of: RateOf) -> JobEstimate:
    """The evaluation of a run."""
    rows = (run.spec.stage2 or run.spec.stage1).batch_size
    return _trained(run, work.evaluation(facts, run), rate_of(*facts.model(run), rows, run.length))


def attention(facts: DataFacts, run: EncoderRun, rate_of: RateOf) -> JobEstimate:
    """The attention heads of a run's model."""
    planned = work.attention(facts, run, facts.project.experiments.attention.texts)
    return _trained(run, planned, rate_of(*facts.model(run), 1, run.length))


def _sizes(facts: DataFacts, run: EncoderRun) -> parameters.Parameters:
    return parameters.count(*facts.model(run), facts.classes(run.task))


def _trained(
    run: EncoderRun, planned: work.TrainingWork | None, rate: Rate, kept: int = 0, trained: int = 0
) -> JobEstimate:
    """`kept` and `trained` are numbers of parameters: of the models kept, and of the model in a checkpoint."""
    disk, checkpoints = float(_FLOAT * kept), float(_FLOAT * _CHECKPOINT * _KEPT * trained)
    if planned is None:
        return JobEstimate(
            seconds=TORCH_START,
            disk_bytes=disk,
            checkpoint_bytes=checkpoints,
            waits_for=f"{TASK.format(task=run.task)} is built",
        )
    return JobEstimate(
        seconds=TORCH_START
        + planned.start_tokens * _COOCCURRENCE
        + rate.seconds(planned.total_flops, planned.steps),
        tokens=planned.tokens,
        paper_flops=planned.paper_flops,
        matmul_flops=planned.total_flops,
        disk_bytes=disk,
        checkpoint_bytes=checkpoints,
    )
