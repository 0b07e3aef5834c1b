"""The simple rivals, linear models on n-grams: what a user would try first (not in the paper).

Place in the flow: task → evaluation artifact, without a corpus, tokenizer or encoder. `tfidf`: words and word pairs,
logistic regression. `ngram-svm`: n-grams of words and characters, a linear support vector machine. Numbers instead of
classes: ridge regression on the same features. C and class weights are chosen on dev alone; test is read once, after
that. The artifact holds the model too (`tlm.evaluation.linear_model`).

An SVM has margins instead of probabilities: they are divided by a temperature fitted on dev, and their softmax is the
probability. Logistic regression keeps its own probabilities.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tlm.artifacts import Manifest
from tlm.config.linear import LINEAR, LinearSpec
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
from tlm.evaluation.linear_fit import candidates, fit_linear, joined_texts
from tlm.evaluation.temperature import temperature
from tlm.progress import Progress


def evaluate_linear(
    run: RunName, task_dir: Path, destination: Path, spec: LinearSpec = LINEAR["tfidf"]
) -> Manifest:
    """Fit on train, choose on dev, predict dev and test, and write the evaluation artifact with the model.

    Uses no random numbers, so one seed is enough. Raises TlmError if the training split has a single class or no
    words, or if no fit converges.
    """
    task = read_task(task_dir)
    # More threads are slower on sparse features, and they would make the order of sums depend on the machine.
    with threadpool_limits(1):
        return _evaluate(run, task, task_dir, destination, spec)


def _evaluate(run: RunName, task: TaskInfo, task_dir: Path, destination: Path, spec: LinearSpec) -> Manifest:
    start = time.monotonic()
    train, dev = read_rows(task_dir, "train"), read_rows(task_dir, "dev")
    progress = Progress(f"linear {task.name}", len(candidates(spec, task.metric)), "candidates")
    try:
        found = fit_linear(spec, task, train, dev, lambda text: progress.add(1, text))
    except TlmError as error:
        raise TlmError(f"{task_dir}: {error}") from None
    svm = spec.classifier == "svm" and not task.regression
    t = _margin_temperature(found.dev_outputs, dev, task) if svm else 1.0
    model = found.model.scaled(t)
    seconds = time.monotonic() - start
    progress.finish(f"{found.choice} chosen on dev")
    outputs = {"dev": (dev, found.dev_outputs / t)}
    if "test" in task.splits:
        test = read_rows(task_dir, "test")
        outputs["test"] = (test, model.outputs(model.features(joined_texts(test))))
    decided = decide(task, outputs)
    return write_evaluation(
        destination,
        run=run,
        task=task,
        splits=decided.splits,
        flops={"parameters": None, "data": None, "stage1": None, "stage2": None},
        timing={"train_seconds": round(seconds, 3)},
        parameters={
            "method": "linear",
            "spec": spec.model_dump(mode="json"),
            "chosen": asdict(found.choice),
            "features": int(model.weights.shape[1]),
        },
        inputs={},
        thresholds=decided.thresholds,
        save=model.save,
    )


def _margin_temperature(margins: np.ndarray, dev: SplitRows, task: TaskInfo) -> float:
    chances = task.problem.probabilities(margins)
    assert chances is not None
    return temperature(chances, task.problem.ids(dev.labels, task.labels))
