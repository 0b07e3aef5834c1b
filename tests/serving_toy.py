"""A tiny exported model by the road that real ones go: task → stages → evaluation → export; and its relatives.

Relatives are of other architectures and problems; their weights are random, their folders as complete.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import ROOT
from toy import LABELS, write_pairs, write_tags, write_task
from training_toy import CPU, LENGTH, Toy, toy_rows, toy_spec
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tlm.artifacts import write_manifest
from tlm.config.data import TaskSpec
from tlm.config.linear import LINEAR
from tlm.evaluation.artifact import RunName
from tlm.evaluation.evaluate import evaluate_run
from tlm.evaluation.linear import evaluate_linear
from tlm.problems import CLASSIFICATION, REGRESSION
from tlm.serving.export import copy_model, export_model
from tlm.tasks.build import build_task
from tlm.training.model import TaskHead, build_mlm, new_classifier
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2
from tlm.training.tokenizer import load_tokenizer, vocabulary_of
from tlm.training.tokens import tokenize_task
from tlm.training.workspace import save_model

TEXTS = [text for text, _ in toy_rows(60, 5)] + ["boat " * 400]  # the last is cut
SPLIT = {"dev": 0.2, "test": 0.2, "by": "row"}


def task_artifact(folder: Path, **changes: Any) -> Path:
    """The toy task as it is built from a file; `changes` are to its parser or, for `pairs` and `tags`, to its rows."""
    source, pairs, tags = folder / "source", changes.pop("pairs", False), changes.pop("tags", False)
    rows = 260  # 52 of them dev: enough for a temperature
    if tags:
        write_tags(source / "toy.jsonl", rows, 1)
    else:
        (write_pairs if pairs else write_task)(source / "toy.csv", rows, 1)
    write_manifest(source, "source", counts={}, parameters={})
    parser = {"format": "delimited", **changes}
    problem: dict[str, Any] = {"metric": "macro_f1", "labels": list(LABELS)}
    if tags:
        problem["problem"] = "multi_label"
    if pairs:
        parser |= {"text": "first", "text_pair": "second", "label": "score"}
        problem = {"metric": "pearson_spearman", "problem": "regression"}
    spec = TaskSpec.model_validate({"source": "toy", "parser": parser, "split": SPLIT, **problem})
    build_task("toy", spec, source, folder / "task")
    return folder / "task"


class Exported:
    """A task, its trained seeds, their evaluations, and the model in `models/toy`."""

    def __init__(
        self, folder: Path, *, seeds: Sequence[int] = (1, 2), steps: int | None = None, **task: Any
    ) -> None:
        self.folder = folder
        self.toy = Toy(folder / "toy")
        self.task = task_artifact(folder, **task)
        tokenize_task(self.task, self.toy.tokenizer, folder / "tokens", LENGTH)
        self.stages, self.evaluations = [], []
        for seed in seeds:
            run = folder / f"seed{seed}"
            spec = toy_spec(seed=seed, **({"stage2.steps": steps} if steps else {}))
            tokens = folder / "tokens"
            run_stage1(spec, tokens, self.toy.external, self.toy.tokenizer, run / "stage1", execution=CPU)
            run_stage2(spec, run / "stage1", tokens, self.toy.tokenizer, run / "stage2", execution=CPU)
            evaluate_run(
                run=RunName("smoke", "toy", "tlm", seed),
                task_dir=self.task,
                destination=run / "evaluation",
                stage1_dir=run / "stage1",
                stage2_dir=run / "stage2",
            )
            self.stages.append(run / "stage2")
            self.evaluations.append(run / "evaluation")
        self.linear = [folder / name for name in LINEAR]
        for name, out in zip(LINEAR, self.linear, strict=True):
            evaluate_linear(RunName("smoke", "toy", name, 1), self.task, out, LINEAR[name])
        self.model = self.export(folder / "models" / "toy")

    def export(self, destination: Path) -> Path:
        """The model again, elsewhere."""
        export_model(
            "toy",
            stages=self.stages,
            evaluations=self.evaluations,
            linear=self.linear,
            task_dir=self.task,
            destination=destination,
        )
        return destination


def random_model(
    folder: Path, toy: Toy, *, pair: bool = False, regression: bool = False, **model: Any
) -> Path:
    """A complete folder with random weights: of a BERT, of a model that pools the mean, of pairs, of numbers."""
    spec = toy_spec(**{f"model.{key}": value for key, value in model.items()})
    tokenizer = load_tokenizer(toy.tokenizer)
    mlm = build_mlm(spec.model, vocabulary_of(tokenizer), attention="eager", seed=1)
    problem = REGRESSION if regression else CLASSIFICATION
    head = TaskHead(problem.outputs(LABELS), problem)
    classifier = new_classifier(mlm, head, seed=2)
    with torch.no_grad():  # a fresh head says nearly the same of everything
        classifier.classifier.weight.mul_(20)
    save_model(classifier, tokenizer, folder.parent / f"{folder.name}-saved")
    folder.mkdir()
    copy_model(folder.parent / f"{folder.name}-saved", folder, LENGTH)
    columns = {"text": ["first" if pair else "text"], "pair": "second" if pair else None}
    write_manifest(
        folder, "model", counts={}, parameters={"length": LENGTH, "columns": columns, "pair": pair}
    )
    return folder


def tlm(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "tlm", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, **options)


def without_us(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Python that cannot import this project, in `folder`."""
    guard = "import sys; sys.modules['tlm'] = None\n"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command: Sequence[str] = [sys.executable, "-c", guard + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, env=environment)


def expected_logits(folder, texts, pairs=None) -> np.ndarray:
    """Logits by the stock classes, one text at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    with torch.inference_mode():
        for place, text in enumerate(texts):
            pair = None if pairs is None else pairs[place]
            inputs = tokenizer(text, pair, truncation=True, max_length=LENGTH, return_tensors="pt")
            rows.append(model(**inputs).logits[0].numpy())
    return np.stack(rows)
