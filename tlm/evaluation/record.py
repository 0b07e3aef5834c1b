"""The evaluation artifact of a run: metrics, predictions and costs, the same for every kind of model.

Place in the flow: written by `tlm.evaluation.evaluate` (encoders) and `tlm.evaluation.tfidf`; read by
`tlm.results.cells`, which needs nothing else of a run.

| file | content |
|---|---|
| `metrics.json` | task, its metric, and per split: rows `n`, `primary`, `metrics`, `classes`, `mlm_loss` |
| `predictions.parquet` | `split`, `row_id`, `label`, `prediction`, `probabilities` (in order of the labels) |
| `flops.json` | parameters, external data, tokens and FLOPs of each stage; null where a run has none |
| `timing.json` | seconds on the machine that ran it; no part of the digest |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import precision_recall_fscore_support

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_json, write_manifest
from tlm.errors import TlmError
from tlm.metrics import score

KIND = "evaluation"
EVALUATED = ("dev", "test")
TIMING = "timing.json"


@dataclass(frozen=True)
class RunName:
    """`scale / task / variant / seed`: what the evaluation is of, kept in its manifest."""

    scale: str
    task: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.scale}/{self.task}/{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class Task:
    """What a task's manifest says: its metric, and its labels in the order of the model's outputs."""

    name: str
    regression: bool
    labels: tuple[str, ...]
    metric: str
    splits: tuple[str, ...]  # those of dev and test that it has: some tasks keep their test labels secret
    digest: str


@dataclass(frozen=True)
class Rows:
    """A split, column by column, all of the same length; `pairs` are None for tasks of one text."""

    row_ids: np.ndarray
    texts: list[str]
    pairs: list[str] | None
    labels: list[Any]  # str for classification, float for regression


@dataclass(frozen=True)
class Predictions:
    """What a model says of a split: labels (rows,) and, for classification, probabilities (rows, classes)."""

    labels: list[Any]
    probabilities: np.ndarray | None


def read_task(directory: Path) -> Task:
    """The task stored in `directory`. Raises TlmError if it is not a task artifact, or has no dev split."""
    manifest = read_manifest(directory, "task")
    parameters = manifest.parameters
    splits = tuple(split for split in EVALUATED if f"{split}.parquet" in manifest.files)
    if "dev" not in splits:
        raise TlmError(f"{directory}: no dev split, by which models are chosen; give the task one")
    return Task(
        name=parameters["task"],
        regression=parameters["problem"] == "regression",
        labels=tuple(parameters["labels"]),
        metric=parameters["metric"],
        splits=splits,
        digest=manifest.digest,
    )


def read_rows(directory: Path, split: str) -> Rows:
    """One split of a task. Raises TlmError if its file is missing or empty."""
    path = directory / f"{split}.parquet"
    if not path.is_file():
        raise TlmError(f"{path}: no such split; delete {directory} and build the task again")
    table = pq.read_table(path)
    if not table.num_rows:
        raise TlmError(f"{path}: no rows, nothing to evaluate; give the task a {split} split")
    return Rows(
        row_ids=table["row_id"].to_numpy(),
        texts=table["text"].to_pylist(),
        pairs=table["text_pair"].to_pylist() if "text_pair" in table.column_names else None,
        labels=table["label"].to_pylist(),
    )


def as_predictions(task: Task, outputs: np.ndarray) -> Predictions:
    """Labels and probabilities from a model's outputs (rows, labels); numbers from (rows, 1)."""
    if task.regression:
        return Predictions(labels=[float(value) for value in outputs[:, 0]], probabilities=None)
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    best = outputs.argmax(axis=1)
    return Predictions(
        labels=[task.labels[index] for index in best],
        probabilities=shifted / shifted.sum(axis=1, keepdims=True),
    )


def split_metrics(task: Task, labels: list[Any], predictions: list[Any]) -> dict[str, Any]:
    """Rows, the task's own metric as `primary`, all metrics, and precision, recall and F1 of each class."""
    values = score(task.metric, labels, predictions, task.labels)
    result: dict[str, Any] = {"n": len(labels), "primary": values.pop("primary"), "metrics": values}
    if not task.regression:
        parts = precision_recall_fscore_support(
            labels, predictions, labels=list(task.labels), average=None, zero_division=0.0
        )
        result["classes"] = {
            label: {
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(f1),
                "n": int(n),
            }
            for label, precision, recall, f1, n in zip(task.labels, *parts, strict=True)
        }
    return result


def write_evaluation(
    destination: Path,
    *,
    run: RunName,
    task: Task,
    splits: Mapping[str, tuple[Rows, Predictions]],
    flops: Mapping[str, Any],
    timing: Mapping[str, float],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    mlm_loss: float | None = None,
) -> Manifest:
    """Write the artifact. `splits` holds the task's; `mlm_loss` is the held-out one on dev texts, in nats.

    Raises TlmError if the run is of another task than `task`.
    """
    if run.task != task.name:
        raise TlmError(
            f"run {run}: evaluated on the data of task {task.name!r}; pass the folder of its own task"
        )
    metrics: dict[str, Any] = {"task": task.name, "metric": task.metric}
    for split, (rows, predictions) in splits.items():
        metrics[split] = split_metrics(task, rows.labels, predictions.labels)
    metrics["dev"]["mlm_loss"] = mlm_loss
    with staged_directory(destination) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "flops.json", dict(flops))
        pq.write_table(_predictions_table(splits), folder / "predictions.parquet")
        write_json(folder / TIMING, dict(timing))
        return write_manifest(
            folder,
            KIND,
            counts={split: metrics[split]["n"] for split in splits},
            parameters={
                "scale": run.scale,
                "task": run.task,
                "variant": run.variant,
                "seed": run.seed,
                "metric": task.metric,
                "labels": list(task.labels),
                **parameters,
            },
            inputs={"task": task.digest, **inputs},
            unhashed=(TIMING,),
        )


def _predictions_table(splits: Mapping[str, tuple[Rows, Predictions]]) -> pa.Table:
    parts = []
    for split, (rows, predictions) in splits.items():
        columns: dict[str, Any] = {
            "split": [split] * len(rows.labels),
            "row_id": pa.array(rows.row_ids, pa.int64()),
            "label": rows.labels,
            "prediction": predictions.labels,
        }
        if predictions.probabilities is not None:
            columns["probabilities"] = pa.array(predictions.probabilities.tolist(), pa.list_(pa.float32()))
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)
