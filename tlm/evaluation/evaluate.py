"""Evaluate one trained run: the only module that opens a test split, once, for the chosen checkpoint.

Place in the flow: stage 1 and stage 2 → evaluation → cells. Section 4.1: F1 on test; held-out masked language
modelling and both ways of counting FLOPs are reported beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from tlm.artifacts import Manifest, read_json, read_manifest
from tlm.config.training import INFINITE
from tlm.errors import TlmError
from tlm.evaluation.artifact import (
    RunName,
    SplitRows,
    TaskInfo,
    decide,
    read_rows,
    read_task,
    write_evaluation,
)
from tlm.evaluation.flops import MatmulWork, Shape, matmul_flops, paper_flops, shape_of
from tlm.evaluation.heldout import held_out_loss
from tlm.evaluation.outputs import class_names, encode, load_classifier, model_outputs, read_tokenizer
from tlm.problems import problem_of_type


def evaluate_run(
    run: RunName,
    task_dir: Path,
    destination: Path,
    *,
    stage1_dir: Path | None,
    pretraining_dir: Path | None = None,
    stage2_dir: Path | None = None,
    data_dir: Path | None = None,
    threads: int = 1,
) -> Manifest:
    """Predict dev and test with the run's model and write its evaluation artifact to `destination`.

    The model is that of stage 2, or the classifier of stage 1 where there is no stage 2. `stage1_dir` is None for a
    checkpoint that others pretrained: then neither FLOPs, data nor held-out loss are known. `pretraining_dir` is the
    stage 1 that `stage1_dir` went on from; its cost is counted too. `data_dir` is the selection (or corpus) that
    stage 1 read, None where it read none. Inputs are cut to the length of the last stage. Raises TlmError for a model
    whose classes are not the task's, or artifacts of the wrong kind.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    task = read_task(task_dir)
    manifests = {
        "stage1": None if stage1_dir is None else read_manifest(stage1_dir, "stage1"),
        "pretraining": None if pretraining_dir is None else read_manifest(pretraining_dir, "stage1"),
        "stage2": None if stage2_dir is None else read_manifest(stage2_dir, "stage2"),
        "data": None if data_dir is None else read_manifest(data_dir),
    }
    if stage2_dir is not None:
        model_dir = stage2_dir / "model"
    elif stage1_dir is not None:
        model_dir = stage1_dir / "classifier"
    else:
        raise TlmError(f"run {run}: neither stage 1 nor stage 2 is given; there is no model to evaluate")
    length = _length(manifests)
    model = load_classifier(model_dir)
    _check_labels(model, task, model_dir)
    outputs = {split: _outputs(model, model_dir, task, task_dir, split, length) for split in task.splits}
    decided = decide(task, outputs)
    first, second = _record(stage1_dir), _record(stage2_dir)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    shape = shape_of(model.config.to_dict())
    costs = [
        _stage1_cost(record, manifest, shape, parameters)
        for record, manifest in (
            (_record(pretraining_dir), manifests["pretraining"]),
            (first, manifests["stage1"]),
        )
        if record is not None and manifest is not None
    ]
    others = _from_checkpoint(manifests["stage1"])
    flops = {
        "parameters": parameters,
        "data": None if others else _external(manifests["data"]),
        "stage1": None if others else _sum(costs),
        "stage2": _stage2_cost(second, shape),
    }
    loss = None
    if stage1_dir is not None and manifests["stage1"] is not None:
        spec = manifests["stage1"].parameters["stage1"]
        dev = outputs["dev"][0]
        loss = held_out_loss(
            stage1_dir / "mlm",
            dev.texts,
            dev.pairs,
            length=spec["internal_length"],
            probability=spec["mlm_probability"],
        )
    stages = (pretraining_dir, stage1_dir, stage2_dir)
    seconds = [_seconds(folder) for folder in stages if folder is not None]
    return write_evaluation(
        destination,
        run=run,
        task=task,
        splits=decided.splits,
        flops=flops,
        timing={
            "train_seconds": round(sum(seconds), 3),
            "evaluate_seconds": round(time.perf_counter() - started, 3),
        },
        parameters={"length": length},
        inputs={role: found.digest for role, found in manifests.items() if found is not None},
        mlm_loss=loss,
        thresholds=decided.thresholds,
    )


def _length(manifests: Mapping[str, Manifest | None]) -> int:
    """The number of tokens that inputs are cut to: the length in the last stage of training."""
    lengths = {"stage2": "length", "stage1": "internal_length"}
    stages = [(stage, found) for stage in lengths if (found := manifests[stage]) is not None]
    stage, last = stages[0]
    return int(last.parameters[stage][lengths[stage]])


def _check_labels(model: PreTrainedModel, task: TaskInfo, where: Path) -> None:
    names, kind = class_names(model), problem_of_type(model.config.problem_type)
    if task.regression and len(names) != 1:
        raise TlmError(
            f"{where}: has {len(names)} outputs, but task {task.name} is a regression; train it again"
        )
    if task.problem.many != kind.many:
        raise TlmError(
            f"{where}: is a {kind.name} model, but task {task.name} is a {task.problem.name} task; train it again"
        )
    if not task.regression and names != task.labels:
        raise TlmError(
            f"{where}: has the classes {', '.join(names)}, but task {task.name} has {', '.join(task.labels)}; "
            "train it again"
        )


def _outputs(
    model: PreTrainedModel, model_dir: Path, task: TaskInfo, task_dir: Path, split: str, length: int
) -> tuple[SplitRows, np.ndarray]:
    rows = read_rows(task_dir, split)
    encoded = encode(read_tokenizer(model_dir), rows.texts, rows.pairs, length)
    return rows, model_outputs(model, encoded, what=f"predict {task.name} {split}")


def _record(directory: Path | None) -> Mapping[str, Any] | None:
    return None if directory is None else read_json(directory / "record.json")


def _external(manifest: Manifest | None) -> dict[str, int]:
    """Bytes and passages of external text; both are 0 for a run on task data alone."""
    if manifest is None:
        return {"bytes": 0, "passages": 0}
    return {name: int(manifest.counts[name]) for name in ("bytes", "passages")}


def _stage1_cost(
    record: Mapping[str, Any], manifest: Manifest, shape: Shape, parameters: int
) -> dict[str, Any]:
    """Tokens, the paper's FLOPs and the matmul count of stage 1, including the initialisation of its embeddings."""
    work = record["work"]
    # With rho2 = 0 the language-model head is not computed for internal batches, though they are masked.
    positions, rho2 = work["external"]["masked_positions"], manifest.parameters["stage1"]["rho2"]
    if rho2 != 0:
        positions += work["internal"]["masked_positions"]
    classified = 0 if rho2 == INFINITE else work["internal"]["rows"]
    matmul = matmul_flops(
        shape, MatmulWork(work["padded_tokens"], work["squared_lengths"], positions, classified)
    )
    start = int(record["embedding_init"].get("flops", 0))
    return {
        "tokens": _tokens(work),
        # Tokens without padding. The paper counts padding, but our batches are sorted by length and hold little of it.
        "paper": paper_flops(work["real_tokens"], parameters),
        "matmul": {**matmul.as_dict(), "embedding_init": start, "total": matmul.total + start},
    }


def _from_checkpoint(stage1: Manifest | None) -> bool:
    """Whether training started from a checkpoint of others, whose cost is unknown."""
    return stage1 is None or stage1.parameters["model"]["pretrained"] is not None


def _sum(costs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The sum of costs with the same keys, number by number; None for an empty list."""
    if not costs:
        return None
    total = costs[0]
    for cost in costs[1:]:
        total = {
            key: _sum([value, cost[key]]) if isinstance(value, dict) else value + cost[key]
            for key, value in total.items()
        }
    return total


def _stage2_cost(record: Mapping[str, Any] | None, shape: Shape) -> dict[str, Any] | None:
    """Tokens and the matmul count of stage 2, which the paper's formula leaves out."""
    if record is None:
        return None
    work = record["work"]
    matmul = matmul_flops(shape, MatmulWork(work["padded_tokens"], work["squared_lengths"], 0, work["rows"]))
    return {"tokens": _tokens(work), "matmul": matmul.as_dict()}


def _tokens(work: Mapping[str, Any]) -> dict[str, int]:
    """Tokens without padding, with padding, and as the paper counts them."""
    return {name: int(work[f"{name}_tokens"]) for name in ("real", "padded", "nominal")}


def _seconds(directory: Path) -> float:
    """Wall-clock time of a stage: training, all resumes included, or the whole process if that is longer."""
    timing = read_json(directory / "timing.json")
    return max(float(timing["train_seconds"]), float(timing["total_seconds"]))
