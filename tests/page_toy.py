"""Artifacts of an invented task for the tests of its report: no training, predictions drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from retrieval_corpora import write_corpus

from tlm.artifacts import Manifest, read_manifest, write_json, write_manifest
from tlm.config.experiments import ExamplesSpec
from tlm.config.linear import LINEAR
from tlm.config.retrieval import IndexSpec, RetrievalSpec
from tlm.config.task_report import LABELLED_ONLY, METHODS, MethodSpec, PageSpec
from tlm.evaluation.artifact import (
    Predictions,
    RunName,
    decide,
    read_rows,
    read_task,
    write_evaluation,
)
from tlm.results.page.gather import Folders
from tlm.retrieval.index import build_index
from tlm.retrieval.stage import retrieve

PASSAGES = [
    "The boat is at anchor & the <crew> sleeps: alert(1)!",
    "Roses <b>bloom</b> near the harbour wall.",
] * 3
SETS = {"without": 2, "labels": 18, "most": 3, "distinct": 8}
ROWS = {"train": 12, "dev": 60, "test": 120}


@dataclass(frozen=True)
class Toy:
    """What a test may vary. `right` is the share of rows that a method gets right."""

    labels: tuple[str, ...] = ("garden", "harbour", "kitchen")
    texts: tuple[str, ...] = ("The anchor of the boat", "Pepper, salt & a rose", "The wall of the harbour")
    pair: bool = False
    regression: bool = False
    tags: bool = False
    seeds: tuple[int, ...] = (1, 2)
    right: dict[str, float] = field(
        default_factory=lambda: {"tlm": 0.9, "task-only": 0.5, "random": 0.6, "tfidf": 0.55, "ngram-svm": 0.5}
    )
    rows: dict[str, int] = field(default_factory=lambda: dict(ROWS))
    methods: tuple[str, ...] = tuple(name for name in METHODS if name != LABELLED_ONLY)
    slope: float | None = None
    """Of the held-out loss, 2 + slope * (step / 100) ** -0.3; None: a curve of three points."""


def write_toy(folder: Path, toy: Toy) -> tuple[PageSpec, Folders]:
    """All artifacts of a report below `folder`, and the arguments of `gather`."""
    task = _write_task(folder / "task", toy)
    _write_tokens(folder / "tokens", toy)
    write_corpus(folder / "corpus", PASSAGES)
    counts = read_manifest(folder / "corpus").counts
    write_manifest(folder / "corpus", "corpus", counts=counts, parameters={"corpus": "heap"})
    build_index(folder / "corpus", folder / "index", IndexSpec(), 1)
    retrieve(folder / "index", folder / "task", folder / "retrieval", RetrievalSpec(k=2), 1)
    counts = {
        split: {"rows": rows, "contaminated": 4, "verbatim": 1}
        for split, rows in toy.rows.items()
        if split != "train"
    }
    (folder / "audit").mkdir()
    write_manifest(folder / "audit", "audit", counts=counts, parameters={})
    evaluations, stages, methods = [], [], []
    for name in toy.methods:
        label = METHODS[name]
        seeds = toy.seeds[:1] if name in LINEAR else toy.seeds
        methods.append(MethodSpec(name=name, label=label, variant=name, seeds=seeds))
        for seed in seeds:
            run = folder / "runs" / name / f"seed{seed}"
            inputs = {}
            if name not in LINEAR:
                inputs = {
                    stage: _write_stage(run / stage, stage, seed, toy.slope).digest
                    for stage in ("stage1", "stage2")
                }
                stages += [run / stage for stage in inputs]
            _evaluate(run / "evaluation", folder / "task", toy, name, seed, inputs)
            evaluations.append(run / "evaluation")
    spec = PageSpec(
        task=task.parameters["task"],
        scale="toy",
        own=True,
        methods=tuple(methods),
        k=2,
        length=8,
        examples=ExamplesSpec(title="What was retrieved", queries=2, passages=2),
        model="models/toy",
    )
    return spec, Folders(
        task=folder / "task",
        tokens=folder / "tokens",
        corpus=folder / "corpus",
        retrieval=folder / "retrieval",
        audit=folder / "audit",
        evaluations=evaluations,
        stages=stages,
        benchmarks={"index": folder / "absent.tsv"},
    )


def _write_task(folder: Path, toy: Toy) -> Manifest:
    folder.mkdir(parents=True)
    first, by_label = 0, {}
    for split, rows in toy.rows.items():
        texts = [f"{toy.texts[row % len(toy.texts)]} {first + row}" for row in range(rows)]
        if toy.regression:
            labels: list[Any] = [float(row % 7) / 2 for row in range(rows)]
        elif toy.tags:  # every subset of the labels, also the empty one
            labels = [[each for n, each in enumerate(toy.labels) if row >> n & 1] for row in range(rows)]
            by_label[split] = {label: sum(label in each for each in labels) for label in toy.labels}
        else:
            labels = [toy.labels[row % len(toy.labels)] for row in range(rows)]
            by_label[split] = {label: labels.count(label) for label in toy.labels}
        columns = {"row_id": pa.array(range(first, first + rows), pa.int64()), "text": texts, "label": labels}
        if toy.pair:
            columns["text_pair"] = [f"{text}, again" for text in texts]
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
        first += rows
    zero = ("within_train", "within_dev", "within_test", "dev_in_train", "test_in_dev", "conflicting_labels")
    return write_manifest(
        folder,
        "task",
        counts={
            "rows": toy.rows,
            "rows_before_limit": toy.rows,
            "documents": first,
            "duplicates": {**dict.fromkeys(zero, 0), "test_in_train": 3},
            "removed_for_straddling": {"dev": 1, "test": 0},
            "left_out": {"rows without a label": 2},
            "labels": by_label,
            **({"label_sets": dict.fromkeys(toy.rows, SETS)} if toy.tags else {}),
        },
        parameters={
            "task": "toy",
            "problem": "regression" if toy.regression else "multi_label" if toy.tags else "classification",
            "labels": [] if toy.regression else list(toy.labels),
            "metric": "pearson_spearman" if toy.regression else "macro_f1",
            "pair": toy.pair,
            "spec": {"description": "An invented task."},
        },
    )


def _write_tokens(folder: Path, toy: Toy) -> None:
    """Ten tokens a text, of which eight are read."""
    for split, rows in toy.rows.items():
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "tokens.npy", np.zeros(10 * rows, np.int32))
        np.save(folder / split / "offsets.npy", np.arange(rows + 1) * 10)
        if toy.pair:
            np.save(folder / split / "middle.npy", np.arange(rows) * 10 + 5)


def _write_stage(folder: Path, stage: str, seed: int, slope: float | None) -> Manifest:
    folder.mkdir(parents=True)
    value = "held_out_mlm" if stage == "stage1" else "dev_primary"
    points = [{"step": step, "tokens": 1000 * step, value: 0.5 + seed / step} for step in (1, 2, 4)]
    if stage == "stage1" and slope is not None:
        points = [
            {"step": step, "tokens": 1000 * step, value: 2 + slope * (step / 100) ** -0.3}
            for step in (*range(10, 161, 10), 220, 280, 340, 400)
        ]
    record = {
        "held_out" if stage == "stage1" else "dev": points,
        "environment": {"device": "cpu", "torch": "2"},
        "variant": str(folder),  # so that no two stages have the same digest
    }
    write_json(folder / "record.json", record)
    write_json(folder / "timing.json", {"peak_memory_bytes": 10**9, "train_seconds": 800.0})
    optimizer = {"learning_rate": 1e-3, "betas": [0.9, 0.98], "warmup_steps": 20, "decay_fraction": 0.6}
    parameters = {"seed": seed, "stage1": {"rho1": 3, "optimizer": optimizer}}
    counts = {"steps": points[-1]["step"]}
    return write_manifest(folder, stage, counts=counts, parameters=parameters, unhashed=("timing.json",))


def _evaluate(folder: Path, task_dir: Path, toy: Toy, name: str, seed: int, inputs: dict[str, str]) -> None:
    task = read_task(task_dir)
    splits: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    draw = np.random.default_rng([seed, len(name)])
    for split in task.splits:
        rows = read_rows(task_dir, split)
        kept = draw.random(len(rows.labels)) < toy.right[name]
        if toy.tags:
            truth = task.problem.ids(rows.labels, task.labels)
            wrong = draw.random(truth.shape) > toy.right[name]
            outputs[split] = rows, np.where(truth ^ wrong, 2.0, -2.0) + draw.normal(size=truth.shape)
            continue
        if toy.regression:
            noise = draw.normal(size=len(kept)) * np.where(kept, 0.2, 3)
            splits[split] = rows, Predictions([float(x) for x in np.array(rows.labels) + noise], None)
            continue
        places = np.array([task.labels.index(label) for label in rows.labels])
        predicted = np.where(kept, places, (places + 1) % len(task.labels))
        sure = draw.uniform(0.6, 0.99, len(kept))
        chances = np.full((len(kept), len(task.labels)), 0.0) + ((1 - sure) / (len(task.labels) - 1))[:, None]
        chances[np.arange(len(kept)), predicted] = sure
        splits[split] = rows, Predictions([task.labels[place] for place in predicted], chances)
    decided = decide(task, outputs) if toy.tags else None
    trained = name not in LINEAR
    cost = {"tokens": {"real": 60000, "padded": 61000, "nominal": 70000}, "matmul": {"total": 10**10}}
    write_evaluation(
        folder,
        run=RunName("toy", "toy", name, seed),
        task=task,
        splits=decided.splits if decided else splits,
        thresholds=decided.thresholds if decided else None,
        flops={
            "parameters": 30000 if trained else None,
            "data": {"bytes": 200, "passages": 4} if trained else None,
            "stage1": {**cost, "paper": 1e10} if trained else None,
            "stage2": cost if trained else None,
        },
        timing={"train_seconds": 75.0 if trained else 0.3},
        parameters={},
        inputs=inputs,
        mlm_loss=3.2 if trained else None,
    )
