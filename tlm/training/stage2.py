"""Stage 2 (Section 3.1): the task loss alone, from stage 1's encoder with a new head.

Place in the flow: stage 1 (or a Hub checkpoint, for the PLM baselines) → stage 2 → evaluation. Training scores the dev
split several times and keeps the best weights, the earliest of equals. It never opens the test split: evaluation reads
that once, with the checkpoint that this stage has chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from tlm.artifacts import Manifest, read_manifest
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.metrics import score
from tlm.training import checkpoint
from tlm.training.batches import Stream, input_lengths
from tlm.training.execution import Execution
from tlm.training.loop import train
from tlm.training.masking import TrainingData, assemble
from tlm.training.model import TaskHead, TensorBatch, TwoHeads
from tlm.training.objective import stage2_weights
from tlm.training.stage_plan import StagePlan, StageProgress, TrainingStep
from tlm.training.stage_setup import StageSetup
from tlm.training.tokenizer import Vocabulary
from tlm.training.tokens import Store, open_split
from tlm.training.workspace import save_model, workspace

PRIMARY = "dev_primary"
_EVALUATION_ROWS = 64  # rows of a dev batch


def run_stage2(
    spec: RunSpec,
    stage1_dir: Path | None,
    task_tokens: Path,
    tokenizer: Path,
    destination: Path,
    *,
    execution: Execution | None = None,
) -> Manifest:
    """Finetune and save the best dev checkpoint as `model/` of a `stage2` artifact.

    `stage1_dir` is a `stage1` artifact, or None to start from the Hub checkpoint that `spec.model` names.
    An interrupted run continues. Raises TlmError for inputs that do not fit, or a task without train or dev.
    """
    if (stage := spec.stage2) is None:
        raise TlmError("this run has no stage 2 (stage2: null); evaluate its stage 1 classifier instead")
    setup = StageSetup.prepare("stage 2", spec, tokenizer, destination, execution or Execution())
    accelerator, vocabulary = setup.accelerator, setup.vocabulary
    task = setup.read_tokens("task", task_tokens)
    head, metric = TaskHead.of(task.parameters), str(task.parameters["metric"])
    if stage1_dir is not None:
        setup.input_digests["stage1"] = read_manifest(stage1_dir, "stage1").digest
    elif spec.model.pretrained is None:
        raise TlmError("stage 2 has nothing to start from: give a stage 1 artifact or set model.pretrained")
    model = setup.build_model(
        stage1_dir, head, [stage.length], with_mlm=False, label_smoothing=stage.label_smoothing
    )
    train_store = open_split(task_tokens, "train")
    stream = Stream(
        input_lengths(train_store, stage.length, vocabulary.between),
        seed=spec.seed,
        name=setup.name,
        batch_size=stage.batch_size,
    )
    source = TrainingData(train_store, stream, stage.length)
    dev = open_split(task_tokens, "dev")
    if not len(dev):
        raise TlmError(f"{task_tokens}: the dev split is empty; stage 2 chooses its checkpoint by it")
    steps = stage.steps or math.ceil((stage.epochs or 0) * len(train_store) / stage.batch_size)
    fingerprint = setup.fingerprint()

    with workspace(destination, accelerator, fingerprint) as working:
        waited = 0  # evaluations since the best dev score

        def evaluate(done: StageProgress) -> dict[str, float]:
            nonlocal waited
            logits = predict(model, dev, stage.length, vocabulary, accelerator)
            values = dev_scores(logits, dev.own_labels, metric, head)
            waited = evaluations_since_best([*(each[PRIMARY] for each in done.history), values[PRIMARY]])
            if accelerator.is_main_process:
                _keep_if_best(working, model, done, values[PRIMARY])
            return values

        plan = StagePlan(
            name=setup.name,
            seed=spec.seed,
            tokens=np.cumsum([stream.lengths[stream.batch(n)].sum() for n in range(steps)]).tolist(),
            step=lambda number: TrainingStep(True, [source.plain(number, vocabulary)]),
            weights=lambda step: stage2_weights(step.batches),
            nominal_length=lambda internal: stage.length,
            optimizer=stage.optimizer,
            chance=head.problem.chance(len(head.labels)),
            evaluations=stage.evaluations,
            checkpoint_every=stage.checkpoint_every,
            evaluate=evaluate,
            enough=lambda _: stage.patience is not None and waited >= stage.patience,
        )
        outcome = train(plan, model, accelerator, working, fingerprint, compiled=spec.compile)
        if accelerator.is_main_process:
            chosen = best_of(outcome.history)
            checkpoint.load_weights(_best_file(working, chosen["step"]), model)
            save_model(model.classifier, setup.tokenizer, working / "model")
            record = {"metric": metric, "best": chosen, "dev": outcome.history}
            setup.finish(working, model, outcome, record)
    return read_manifest(destination, "stage2")


def predict(
    model: TwoHeads, store: Store, length: int, vocabulary: Vocabulary, accelerator: Accelerator
) -> np.ndarray:
    """Logits of every row, in the store's order, (rows, labels) float32; the processes share the work."""
    order = np.argsort(input_lengths(store, length, vocabulary.between), kind="stable")
    chunks = [order[start : start + _EVALUATION_ROWS] for start in range(0, len(order), _EVALUATION_ROWS)]
    mine = chunks[accelerator.process_index :: accelerator.num_processes]
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for rows in mine:
        batch = TensorBatch.of(assemble(store, rows, length, vocabulary), accelerator.device)
        parts.append((rows, model(batch)["logits"].cpu().numpy()))
    if accelerator.num_processes > 1:
        parts = gather_object(parts)
    logits = np.empty((len(store), parts[0][1].shape[1]), np.float32)
    for rows, values in parts:
        logits[rows] = values
    return logits


def dev_scores(logits: np.ndarray, labels: np.ndarray, metric: str, head: TaskHead) -> dict[str, float]:
    """The task's metrics on dev, each named `dev_…`."""
    problem = head.problem
    classes = range(len(head.labels)) if problem.has_labels else ()
    predictions, chances = problem.predict_dev(logits, labels), problem.probabilities(logits)
    values = score(metric, labels, predictions, classes, chances)
    return {f"dev_{name}": value for name, value in values.items()}


def evaluations_since_best(scores: Sequence[float]) -> int:
    """Evaluations after the first of the best ones."""
    return len(scores) - 1 - max(range(len(scores)), key=lambda place: (scores[place], -place))


def best_of(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The evaluation with the highest dev metric, the earliest of equals."""
    return max(history, key=lambda entry: entry[PRIMARY])


def _best_file(working: Path, step: int) -> Path:
    return working / "best" / f"step-{step:09d}.safetensors"


def _keep_if_best(working: Path, model: TwoHeads, done: StageProgress, value: float) -> None:
    """Save the weights if they beat every earlier evaluation.

    Keeps the best weights as of the last checkpoint, too, because a resumed run starts from there.
    """
    if done.history and value <= best_of(done.history)[PRIMARY]:
        return
    file = _best_file(working, done.step)
    file.parent.mkdir(exist_ok=True)
    checkpoint.save_weights(file, model)
    last = checkpoint.latest(working / "checkpoints")
    resumable = checkpoint.step_of(last) if last else 0
    before = [entry for entry in done.history if entry["step"] <= resumable]
    kept = {file, _best_file(working, best_of(before)["step"])} if before else {file}
    for old in set(file.parent.glob("step-*")) - kept:
        old.unlink()
