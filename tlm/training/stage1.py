"""Stage 1 (Section 3.1): masked language modelling on external and task data, and the task itself.

Place in the flow: tokens of a task and of its selection → stage 1 → stage 2. With rho1 = "inf" stage 1 pretrains a
language model on external data alone (the PLM rows, ext-only); with rho1 = 0 it learns from the task alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tlm.artifacts import Manifest, read_manifest
from tlm.config.training import INFINITE, RunSpec
from tlm.layout import UNLABELLED
from tlm.training import cooccurrence
from tlm.training.batches import Schedule, Stream, cumulative_tokens, input_lengths
from tlm.training.execution import Execution
from tlm.training.loop import train
from tlm.training.masking import Batch, TrainingData, assemble, mask
from tlm.training.model import TaskHead, TensorBatch, TwoHeads
from tlm.training.model_families import output_bias
from tlm.training.objective import Weights, stage1_weights
from tlm.training.randomness import generator
from tlm.training.stage_plan import StagePlan, StageProgress, TrainingStep
from tlm.training.stage_setup import StageSetup
from tlm.training.tokenizer import Vocabulary
from tlm.training.tokens import Store, open_split
from tlm.training.workspace import save_model, workspace

_EVALUATION_ROWS = 32  # rows of a held-out batch


@dataclass(frozen=True)
class Stage1Data:
    """The data that stage 1 reads, the task's head, and the dev texts of the held-out MLM loss."""

    internal: TrainingData | None
    unlabelled: TrainingData | None
    external: TrainingData | None
    head: TaskHead | None
    held_out: Store | None


def open_data(
    setup: StageSetup, task_tokens: Path | None, external_tokens: Path | None, held_out_tokens: Path | None
) -> Stage1Data:
    """Open the data that the spec needs, but never a test split.

    Raises TlmError for tokens of another tokenizer.
    """
    stage = setup.spec.stage1
    internal = unlabelled = external = head = held_out = None
    if stage.rho1 != INFINITE and task_tokens is not None:
        head = TaskHead.of(setup.read_tokens("task", task_tokens).parameters)
        internal = _source(setup, open_split(task_tokens, "train"), "internal", stage.internal_length)
        # Without a loss of masked language modelling, unlabelled texts have nothing to teach.
        if stage.unlabelled and stage.rho2 != 0 and (task_tokens / UNLABELLED).is_dir():
            store = open_split(task_tokens, UNLABELLED)
            unlabelled = _source(setup, store, UNLABELLED, stage.internal_length)
    if stage.rho1 != 0 and external_tokens is not None:
        setup.read_tokens("external", external_tokens)
        external = _source(setup, Store.open(external_tokens), "external", stage.external_length)
    if (directory := held_out_tokens or task_tokens) is not None:
        setup.read_tokens("held_out", directory)
        held_out = open_split(directory, "dev")
    return Stage1Data(internal, unlabelled, external, head, held_out)


def _source(setup: StageSetup, store: Store, name: str, length: int) -> TrainingData:
    stream = Stream(
        input_lengths(store, length, setup.vocabulary.between),
        seed=setup.spec.seed,
        name=name,
        batch_size=setup.spec.stage1.batch_size,
        batch_tokens=setup.spec.stage1.batch_tokens,
    )
    return TrainingData(store, stream, length)


def run_stage1(
    spec: RunSpec,
    task_tokens: Path | None,
    external_tokens: Path | None,
    tokenizer: Path,
    destination: Path,
    *,
    held_out_tokens: Path | None = None,
    start: Path | None = None,
    until: float = -math.inf,
    stable: Path | None = None,
    expected_seconds: float | None = None,
    execution: Execution | None = None,
) -> Manifest:
    """Train stage 1 and save `mlm/` and, with a task, `classifier/` as a `stage1` artifact.

    `task_tokens` may be None for rho1 = "inf", `external_tokens` for rho1 = 0. The held-out MLM loss is measured on the
    dev texts of `held_out_tokens` (a task's tokens; by default `task_tokens`); training ends early when that loss is at
    most `until`. `stable` is a folder for the state before the decay: if a shorter run of the same settings has left
    one there, this run continues from it (`tlm.training.stable`). `expected_seconds` is the forecast: if training is
    much slower, a line says so.

    `start` is another `stage1` artifact whose model is trained further (PLM + MLM, Table 8). An
    interrupted run continues from its last checkpoint. Raises TlmError for inputs that do not fit each other or the
    spec.
    """
    stage = spec.stage1
    setup = StageSetup.prepare("stage 1", spec, tokenizer, destination, execution or Execution())
    accelerator, vocabulary = setup.accelerator, setup.vocabulary
    data = open_data(setup, task_tokens, external_tokens, held_out_tokens)
    if start is not None:
        setup.input_digests["start"] = read_manifest(start, "stage1").digest
    schedule = Schedule(
        data.internal.stream if data.internal else None,
        data.external.stream if data.external else None,
        rho1=stage.rho1,
        accumulation=stage.accumulation,
        unlabelled=data.unlabelled.stream if data.unlabelled else None,
    )
    given = {"internal": data.internal, "unlabelled": data.unlabelled, "external": data.external}
    sources = {kind: each for kind, each in given.items() if each is not None}
    lengths = [source.length for source in sources.values()]
    model = setup.build_model(start, data.head, lengths, with_mlm=True)
    held_out = _held_out_batches(data.held_out, spec, vocabulary)

    def step(number: int) -> TrainingStep:
        micros = schedule.step(number)
        batches = [
            sources[micro.kind].masked(micro.index, vocabulary, stage.mlm_probability) for micro in micros
        ]
        return TrainingStep(micros[0].internal, batches)

    def evaluate(_: StageProgress) -> dict[str, float]:
        return {"held_out_mlm": held_out_mlm(model, held_out, accelerator)}

    stage_plan = StagePlan(
        name=setup.name,
        seed=spec.seed,
        tokens=cumulative_tokens(stage.budget, schedule.tokens).tolist(),
        step=step,
        weights=lambda step: stage1_weights(step.internal, stage.rho2, step.batches),
        nominal_length=lambda internal: stage.internal_length if internal else stage.external_length,
        optimizer=stage.optimizer,
        chance=math.log(vocabulary.size),
        evaluations=stage.evaluations,
        checkpoint_every=stage.checkpoint_every,
        evaluate=evaluate if held_out else None,
        enough=lambda measured: measured["held_out_mlm"] <= until,
        initialise=lambda: _start_embeddings(spec, model, data, vocabulary, start),
        evaluate_every=stage.evaluate_every,
        seconds=stage.budget.seconds,
        expected_seconds=expected_seconds,
        stable=stable,
    )
    fingerprint = setup.fingerprint()
    with workspace(destination, accelerator, fingerprint) as working:
        outcome = train(stage_plan, model, accelerator, working, fingerprint, compiled=spec.compile)
        if accelerator.is_main_process:
            for name, part in (("mlm", model.mlm), ("classifier", model.classifier)):
                if part is not None:
                    save_model(part, setup.tokenizer, working / name)
            record = {"embedding_init": outcome.start, "held_out": outcome.history}
            setup.finish(working, model, outcome, record)
    return read_manifest(destination, "stage1")


def _start_embeddings(
    spec: RunSpec, model: TwoHeads, data: Stage1Data, vocabulary: Vocabulary, start: Path | None
) -> dict[str, Any]:
    """Initialise the token embeddings; return the method and its cost for the record."""
    if start is not None:
        return {"kind": "stage1"}
    if spec.model.embedding_init == "random" or spec.model.pretrained is not None:
        return {"kind": "random" if spec.model.pretrained is None else "pretrained"}
    weight = model.mlm.get_input_embeddings().weight
    sources = (data.external, data.internal, data.unlabelled)
    stores = [source.store for source in sources if source is not None]
    vectors, cost = cooccurrence.embeddings(
        stores,
        spec.embedding_init,
        vocabulary=len(weight),
        dimensions=weight.shape[1],
        seed=spec.seed,
    )
    vectors[vocabulary.pad] = 0.0
    with torch.no_grad():
        weight.copy_(torch.from_numpy(vectors))
        # PPMI vectors leave out the words' frequencies; the head's bias holds those.
        output_bias(model.mlm).copy_(torch.from_numpy(cooccurrence.log_unigrams(stores, len(weight))))
    return {"kind": "cooccurrence", "tokens": cost.tokens, "pairs": cost.pairs, "flops": cost.flops}


def _held_out_batches(store: Store | None, spec: RunSpec, vocabulary: Vocabulary) -> list[Batch]:
    """Batches of dev texts for the held-out loss, with the same masks in every run, seed and variant."""
    if store is None or not len(store):
        return []
    rng = generator(0, "held-out")
    rows = rng.permutation(len(store))[: spec.stage1.held_out_rows]
    rows = rows[np.argsort(np.diff(store.offsets)[rows], kind="stable")]
    chunks = [rows[start : start + _EVALUATION_ROWS] for start in range(0, len(rows), _EVALUATION_ROWS)]
    length = spec.stage1.internal_length
    probability = spec.stage1.mlm_probability
    return [
        mask(assemble(store, chunk, length, vocabulary), vocabulary, probability, rng) for chunk in chunks
    ]


def held_out_mlm(model: TwoHeads, batches: list[Batch], accelerator: Accelerator) -> float:
    """Mean loss over the masked positions of the held-out texts, shared out over the processes."""
    device = accelerator.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for batch in batches[accelerator.process_index :: accelerator.num_processes]:
        losses = model(TensorBatch.of(batch, device), Weights(1.0, 0.0))
        sums += torch.stack([losses["mlm"].double(), torch.tensor(float(batch.masked), device=device)])
    total, masked = accelerator.reduce(sums, "sum").tolist()
    return total / max(masked, 1.0)
