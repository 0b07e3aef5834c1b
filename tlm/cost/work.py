"""The work of training and evaluation before it is done: steps, tokens and FLOPs of a resolved run.

Place in the flow: `RunSpec` and `DataFacts` → here → `tlm.cost.training_rules`. The formulas are those that count FLOPs
after a run (`tlm.evaluation.flops`), on expected counts. Numbers that the budget fixes are exact. Others use the mean
length of the texts, or, before they are tokenized, the stage's length, which is an upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tlm.config.training import INFINITE, Stage1Spec, Stage2Spec
from tlm.cost import parameters
from tlm.cost.facts import DataFacts
from tlm.evaluation.flops import MatmulWork, Shape, matmul_flops, paper_flops
from tlm.plan.run_types import EncoderRun

FORWARD = 1 / 3  # of the FLOPs of training on the same text: backward costs twice as much


@dataclass(frozen=True)
class TrainingWork:
    """The computation of one stage of one run."""

    steps: int = 0
    tokens: float = 0.0
    """Training tokens as the budget counts them: tokens read, or the paper's steps · batch · length."""
    paper_flops: float = 0.0
    """6 · tokens · parameters, stage 1 only (note 1 of Table 2)."""
    matmul_flops: float = 0.0
    checked: float = 0.0
    """Matmul FLOPs of the evaluations on dev during the stage."""
    start_tokens: int = 0
    """Tokens counted for the co-occurrence start of the embeddings."""

    @property
    def total_flops(self) -> float:
        """Matmul FLOPs of training and of its evaluations on dev."""
        return self.matmul_flops + self.checked


def stage1(facts: DataFacts, run: EncoderRun) -> TrainingWork:
    """Stage 1 of a run, or the shared pretraining of a PLM."""
    spec, (model, vocabulary) = run.spec.stage1, facts.model(run)
    classes = facts.classes(run.task)
    counted = parameters.count(model, vocabulary, classes)
    share = 0.0 if spec.rho1 == INFINITE else 1 / (int(spec.rho1) + 1)
    internal = facts.internal_length(run, "train", spec.internal_length) if share else 0.0
    external = facts.external_length(run, spec.external_length) if share < 1 else 0.0
    if spec.unlabelled and facts.unlabelled(run.task):
        internal *= 2  # an internal step reads as many unlabelled texts as labelled ones
    rows = spec.batch_size * spec.accumulation
    per_row = share * internal + (1 - share) * external
    if spec.batch_tokens is not None:
        rows = max(1, int(spec.batch_tokens * spec.accumulation / per_row))
    if spec.budget.tokens is not None:
        steps = math.ceil(spec.budget.tokens / (rows * per_row))
    else:
        steps = spec.budget.steps or 0
    tokens = float(spec.training_tokens)
    read = steps * rows * per_row
    masked = spec.mlm_probability * steps * rows
    masked *= per_row if spec.rho2 != 0 else (1 - share) * external
    work = MatmulWork(
        padded_tokens=round(read),
        padded_squares=round(steps * rows * (share * internal**2 + (1 - share) * external**2)),
        mlm_positions=round(masked),
        classified_rows=round(steps * rows * share),
    )
    sizes = parameters.shape(model, vocabulary, classes)
    held_out = 0.0
    if share and (dev := facts.rows(run.task, "dev")) is not None:
        texts = _evaluations(spec, steps) * min(dev, spec.held_out_rows)
        length = facts.internal_length(run, "dev", spec.internal_length)
        held_out = _read_once(sizes, texts, length, spec.mlm_probability)
    starts = model.embedding_init == "cooccurrence" and model.pretrained is None
    return TrainingWork(
        steps=steps,
        tokens=tokens,
        paper_flops=paper_flops(tokens, counted.classification),
        matmul_flops=float(matmul_flops(sizes, work).total),
        checked=held_out,
        start_tokens=run.spec.embedding_init.tokens if starts else 0,
    )


def _evaluations(spec: Stage1Spec, steps: int) -> int:
    """How often stage 1 measures the held-out loss."""
    if spec.evaluate_every is None:
        return spec.evaluations
    return spec.evaluations + spec.optimizer.decay_start(steps) // spec.evaluate_every


def stage2(facts: DataFacts, run: EncoderRun, spec: Stage2Spec) -> TrainingWork | None:
    """Stage 2 of a run; None if it counts epochs and the task's rows are not known yet."""
    model, vocabulary = facts.model(run)
    rows = facts.rows(run.task, "train")
    if spec.steps is not None:
        steps = spec.steps
    elif rows is None:
        return None
    else:
        steps = math.ceil((spec.epochs or 0) * rows / spec.batch_size)
    length = facts.internal_length(run, "train", spec.length)
    seen = steps * spec.batch_size
    sizes = parameters.shape(model, vocabulary, facts.classes(run.task))
    work = MatmulWork(round(seen * length), round(seen * length**2), 0, seen)
    dev = facts.rows(run.task, "dev") or 0
    checked = _read_once(sizes, spec.evaluations * dev, facts.internal_length(run, "dev", spec.length))
    return TrainingWork(
        steps=steps,
        tokens=seen * length,
        matmul_flops=float(matmul_flops(sizes, work).total),
        checked=checked,
    )


def evaluation(facts: DataFacts, run: EncoderRun) -> TrainingWork | None:
    """Predictions on dev and test, and the held-out loss on dev; None if the rows are not known yet."""
    dev, test = facts.rows(run.task, "dev"), facts.rows(run.task, "test")
    if dev is None or test is None:
        return None
    spec, (model, vocabulary) = run.spec, facts.model(run)
    length = facts.internal_length(run, "test", run.length)
    sizes = parameters.shape(model, vocabulary, facts.classes(run.task))
    read = _read_once(sizes, dev + test, length)
    read += _read_once(sizes, dev, length, spec.stage1.mlm_probability)
    return TrainingWork(checked=read)


def attention(facts: DataFacts, run: EncoderRun, texts: int) -> TrainingWork:
    """Attention weights of a model on `texts` dev texts, or on all if there are fewer."""
    model, vocabulary = facts.model(run)
    rows = min(texts, facts.rows(run.task, "dev") or texts)
    length = facts.internal_length(run, "dev", run.length)
    sizes = parameters.shape(model, vocabulary, facts.classes(run.task))
    return TrainingWork(checked=_read_once(sizes, rows, length))


def _read_once(sizes: Shape, rows: int, length: float, mlm_probability: float = 0.0) -> float:
    """FLOPs of a forward pass over the rows."""
    masked = round(mlm_probability * rows * length)
    work = MatmulWork(round(rows * length), round(rows * length**2), masked, 0 if masked else rows)
    return FORWARD * matmul_flops(sizes, work).total
