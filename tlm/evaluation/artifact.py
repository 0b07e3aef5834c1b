"""The evaluation artifact of a run: metrics, predictions and costs, the same for every kind of model.

Place in the flow: written by `tlm.evaluation.evaluate` (encoders) and `tlm.evaluation.linear`; `open_evaluation` opens
it for tables, claims, figures, task reports and exported models. Opening loads no machine-learning library.

| file | content |
|---|---|
| `metrics.json` | task, its metric, and per split: rows `n`, `primary`, `metrics`, `classes`, `mlm_loss` |
| `predictions.parquet` | `split`, `row_id`, `label`, `prediction` (lists where a row has several labels), \
`probabilities` (in order of the labels) |
| `flops.json` | parameters, external data, tokens and FLOPs of each stage; null where a run has none |
| `linear.json`, `linear.safetensors` | the model itself, of a linear run alone |
| `timing.json` | seconds on the machine that ran it; not part of the digest |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.artifacts import (
    MANIFEST,
    Manifest,
    read_json,
    read_manifest,
    staged_directory,
    write_json,
    write_manifest,
)
from tlm.errors import TlmError
from tlm.evaluation.stored_predictions import SplitPredictions, read_predictions
from tlm.problems import PROBLEMS, REGRESSION, Problem

if (
    TYPE_CHECKING
):  # numpy and pyarrow load on use, so that a cell is built in the time that Python takes to start
    import numpy as np
    import pyarrow as pa

KIND = "evaluation"
EVALUATED = ("dev", "test")
METRICS, PREDICTIONS, FLOPS, TIMING = "metrics.json", "predictions.parquet", "flops.json", "timing.json"


@dataclass(frozen=True)
class RunName:
    """`scale / task / variant / seed`: the evaluated run, as named in the manifest."""

    scale: str
    task: str
    variant: str
    seed: int

    @classmethod
    def of(cls, words: Sequence[str]) -> RunName:
        """From the four words on a command line. Raises TlmError for another number of words."""
        if len(words) != 4 or not words[3].isdigit():
            raise TlmError(f"--run: needs a scale, a task, a variant and a seed, got {' '.join(words)}")
        return cls(words[0], words[1], words[2], int(words[3]))

    def __str__(self) -> str:
        return f"{self.scale}/{self.task}/{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class TaskInfo:
    """The task as its manifest describes it; `labels` are in the order of the model's outputs."""

    name: str
    problem: Problem
    labels: tuple[str, ...]
    metric: str
    splits: tuple[str, ...]  # dev, and test unless the task's test labels are secret
    digest: str

    @property
    def regression(self) -> bool:
        """Whether its labels are numbers."""
        return self.problem is REGRESSION


@dataclass(frozen=True)
class SplitRows:
    """The columns of a split, all of the same length; `pairs` is None for tasks with one text per row."""

    row_ids: np.ndarray
    texts: list[str]
    pairs: list[str] | None
    labels: list[Any]  # str for classification, lists of str for several labels, float for regression


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on a split: labels as in `SplitRows`; probabilities (rows, labels) unless they are
    numbers."""

    labels: list[Any]
    probabilities: np.ndarray | None


def read_task(directory: Path) -> TaskInfo:
    """The task stored in `directory`. Raises TlmError if it is not a task artifact, or has no dev split."""
    manifest = read_manifest(directory, "task")
    parameters = manifest.parameters
    splits = tuple(split for split in EVALUATED if f"{split}.parquet" in manifest.files)
    if "dev" not in splits:
        raise TlmError(f"{directory}: no dev split, which is needed to choose models; give the task one")
    return TaskInfo(
        name=parameters["task"],
        problem=PROBLEMS[parameters["problem"]],
        labels=tuple(parameters["labels"]),
        metric=parameters["metric"],
        splits=splits,
        digest=manifest.digest,
    )


def read_rows(directory: Path, split: str) -> SplitRows:
    """One split of a task. Raises TlmError if its file is missing or empty."""
    import pyarrow.parquet as pq

    path = directory / f"{split}.parquet"
    if not path.is_file():
        raise TlmError(f"{path}: no such split; delete {directory} and build the task again")
    table = pq.read_table(path)
    if not table.num_rows:
        raise TlmError(f"{path}: no rows, nothing to evaluate; give the task a {split} split")
    return SplitRows(
        row_ids=table["row_id"].to_numpy(),
        texts=table["text"].to_pylist(),
        pairs=table["text_pair"].to_pylist() if "text_pair" in table.column_names else None,
        labels=table["label"].to_pylist(),
    )


def as_predictions(task: TaskInfo, outputs: np.ndarray, cut: np.ndarray | None = None) -> Predictions:
    """Labels and probabilities from a model's outputs (rows, labels); numbers from (rows, 1). `cut`: thresholds."""
    problem = task.problem
    return Predictions(
        labels=problem.values(problem.predict(outputs, cut), task.labels),
        probabilities=problem.probabilities(outputs),
    )


@dataclass(frozen=True)
class Decided:
    """The predictions of all splits, and the thresholds (labels,) chosen on dev, if the problem has any."""

    splits: dict[str, tuple[SplitRows, Predictions]]
    thresholds: np.ndarray | None


def decide(task: TaskInfo, outputs: Mapping[str, tuple[SplitRows, np.ndarray]]) -> Decided:
    """Predictions from the outputs (rows, labels) of each split; thresholds come from dev alone (`tlm.thresholds`)."""
    problem = task.problem
    rows, dev = outputs["dev"]
    truth = problem.ids(rows.labels, task.labels)
    cut = problem.thresholds(dev, truth)
    splits = {split: (rows, as_predictions(task, found, cut)) for split, (rows, found) in outputs.items()}
    labels = problem.values(problem.predict_dev(dev, truth), task.labels)
    splits["dev"] = rows, Predictions(labels, splits["dev"][1].probabilities)
    return Decided(splits, cut)


def split_metrics(task: TaskInfo, labels: list[Any], predictions: Predictions) -> dict[str, Any]:
    """Rows, the task's own metric as `primary`, all metrics, and precision, recall and F1 of each label."""
    from sklearn.metrics import precision_recall_fscore_support  # slow to import, and not needed to read

    from tlm.metrics import average_precisions, score

    truth = task.problem.array(labels, task.labels)
    guess = task.problem.array(predictions.labels, task.labels)
    values = score(task.metric, truth, guess, task.labels, predictions.probabilities)
    result: dict[str, Any] = {"n": len(labels), "primary": values.pop("primary"), "metrics": values}
    if task.problem.has_labels:
        names = range(len(task.labels)) if task.problem.many else task.labels
        parts = precision_recall_fscore_support(
            truth, guess, labels=list(names), average=None, zero_division=0.0
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
    if task.problem.many:
        assert predictions.probabilities is not None
        found = average_precisions(truth, predictions.probabilities)
        for label, value in zip(task.labels, found.tolist(), strict=True):
            result["classes"][label]["average_precision"] = None if math.isnan(value) else value
    return result


def write_evaluation(
    destination: Path,
    *,
    run: RunName,
    task: TaskInfo,
    splits: Mapping[str, tuple[SplitRows, Predictions]],
    flops: Mapping[str, Any],
    timing: Mapping[str, float],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    mlm_loss: float | None = None,
    thresholds: np.ndarray | None = None,
    save: Callable[[Path], None] = lambda folder: None,
) -> Manifest:
    """Write the artifact. `mlm_loss` is the held-out MLM loss on the dev texts, in nats; `thresholds` are on log-odds;
    `save` writes further files.

    Raises TlmError if the run belongs to another task than `task`.
    """
    import pyarrow.parquet as pq

    if run.task != task.name:
        raise TlmError(
            f"run {run}: evaluated on the data of task {task.name!r}; pass the folder of its own task"
        )
    metrics: dict[str, Any] = {"task": task.name, "metric": task.metric}
    for split, (rows, predictions) in splits.items():
        metrics[split] = split_metrics(task, rows.labels, predictions)
    metrics["dev"]["mlm_loss"] = mlm_loss
    with staged_directory(destination) as folder:
        write_json(folder / METRICS, metrics)
        write_json(folder / FLOPS, dict(flops))
        pq.write_table(_predictions_table(splits), folder / PREDICTIONS)
        write_json(folder / TIMING, dict(timing))
        save(folder)
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
                **({} if thresholds is None else {"thresholds": thresholds.tolist()}),
                **parameters,
            },
            inputs={"task": task.digest, **inputs},
            unhashed=(TIMING,),
        )


def _predictions_table(splits: Mapping[str, tuple[SplitRows, Predictions]]) -> pa.Table:
    import pyarrow as pa

    parts = []
    for split, (rows, predictions) in splits.items():
        columns: dict[str, Any] = {
            "split": [split] * len(rows.labels),
            "row_id": pa.array(rows.row_ids, pa.int64()),
            "label": _label_column(rows.labels),
            "prediction": _label_column(predictions.labels),
        }
        if predictions.probabilities is not None:
            columns["probabilities"] = pa.array(predictions.probabilities.tolist(), pa.list_(pa.float32()))
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def _label_column(values: list[Any]) -> Any:
    import pyarrow as pa

    several = any(isinstance(value, list) for value in values)
    return pa.array(values, pa.list_(pa.string())) if several else values


@dataclass(frozen=True)
class Evaluation:
    """An evaluation artifact, opened. Each of its files is read on first use."""

    folder: Path
    manifest: Manifest

    @property
    def run(self) -> RunName:
        """The evaluated run."""
        run = self.manifest.parameters
        return RunName(run["scale"], run["task"], run["variant"], int(run["seed"]))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """`metrics.json`. Raises TlmError if it cannot be read."""
        return read_json(self.folder / METRICS)

    @cached_property
    def flops(self) -> dict[str, Any]:
        """`flops.json`. Raises TlmError if it cannot be read."""
        return read_json(self.folder / FLOPS)

    @cached_property
    def timing(self) -> dict[str, Any]:
        """`timing.json`. Raises TlmError if it cannot be read."""
        return read_json(self.folder / TIMING)

    def predictions(self, split: str) -> SplitPredictions:
        """The predictions of `split`. Raises TlmError as `read_predictions` does."""
        labels = self.manifest.parameters["labels"]
        return read_predictions(self.folder / PREDICTIONS, split, labels, f"task {self.run.task}")


def open_evaluation(path: Path) -> Evaluation:
    """Open an evaluation by its folder or its manifest. Raises TlmError for any other artifact."""
    folder = path.parent if path.name == MANIFEST else path
    return Evaluation(folder, read_manifest(folder, KIND))
