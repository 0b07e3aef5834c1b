"""Tiny artifacts for the tests of training: a tokenizer, a task's tokens and a selection's, from toy text."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from toy import LABELS, TOPICS, sentence

from tlm.artifacts import write_manifest
from tlm.config.training import RunSpec, TokenizerSpec
from tlm.training.execution import Execution
from tlm.training.tokenizer import build_tokenizer
from tlm.training.tokens import tokenize_selection, tokenize_task

LENGTH = 32
CPU = Execution(threads=1, cpu=True)


def write_corpus_artifact(folder: Path, texts: Sequence[str]) -> Path:
    """A `corpus` artifact of one part."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "passage_id": pa.array(range(len(texts)), pa.int64()),
        "text": pa.array(texts, pa.string()),
        "source": pa.array(["toy"] * len(texts), pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    size = sum(len(text.encode()) for text in texts)
    write_manifest(folder, "corpus", counts={"passages": len(texts), "bytes": size}, parameters={})
    return folder


def write_task_artifact(
    folder: Path,
    splits: dict[str, list[tuple[Any, ...]]],
    *,
    labels: Sequence[str] = LABELS,
    regression: bool = False,
) -> Path:
    """A `task` artifact; rows are (text, label) or (text, text_pair, label)."""
    folder.mkdir(parents=True, exist_ok=True)
    first, pair = 0, any(len(row) == 3 for rows in splits.values() for row in rows)
    for split in ("train", "dev", "test", *(["unlabelled"] if "unlabelled" in splits else [])):
        rows = splits.get(split, [])
        columns: dict[str, Any] = {
            "row_id": pa.array(range(first, first + len(rows)), pa.int64()),
            "text": pa.array([row[0] for row in rows], pa.string()),
        }
        if pair:
            columns["text_pair"] = pa.array([row[1] for row in rows], pa.string())
        if split != "unlabelled":
            kind = pa.float64() if regression else pa.string()
            columns["label"] = pa.array([row[-1] for row in rows], kind)
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
        first += len(rows)
    parameters = {
        "task": "toy",
        "problem": "regression" if regression else "classification",
        "labels": [] if regression else list(labels),
        "metric": "pearson" if regression else "macro_f1",
        "pair": pair,
    }
    write_manifest(folder, "task", counts={}, parameters=parameters)
    return folder


def toy_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts of one or two sentences with their topic, over LABELS."""
    draw = random.Random(seed)
    topics = [LABELS[number % len(LABELS)] for number in range(count)]
    return [(" ".join(sentence(draw, t) for _ in range(draw.randint(1, 2))), t) for t in topics]


class Toy:
    """Paths of the artifacts below one folder."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(0)
        texts = [
            " ".join(sentence(draw, topic) for _ in range(draw.randint(2, 4)))
            for topic in draw.choices(sorted(TOPICS), k=400)
        ]
        self.folder = folder
        self.corpus = write_corpus_artifact(folder / "corpus", texts)
        self.tokenizer = folder / "tokenizer"
        build_tokenizer(self.corpus, self.tokenizer, TokenizerSpec(vocabulary=512))
        self.external = folder / "external"
        tokenize_selection(self.corpus, self.tokenizer, self.external, LENGTH)
        splits = {"train": toy_rows(90, 1), "dev": toy_rows(30, 2), "test": toy_rows(30, 3)}
        self.task = self.tokens("task", splits)

    def tokens(self, name: str, splits: dict[str, list[tuple[Any, ...]]], **options: Any) -> Path:
        """Tokens of a task with these rows."""
        task = write_task_artifact(self.folder / f"{name}-task", splits, **options)
        tokenize_task(task, self.tokenizer, self.folder / f"{name}-tokens", LENGTH)
        return self.folder / f"{name}-tokens"


def toy_spec(**changes: Any) -> RunSpec:
    """A run of seconds; `changes` are dotted keys, as in `toy_spec(**{"stage1.rho1": 0})`."""
    rate = {"learning_rate": 3e-3, "betas": (0.9, 0.98), "decay_fraction": 0.6}
    values: dict[str, Any] = {
        "seed": 1,
        "precision": "fp32",
        "model": {
            "architecture": "modernbert",
            "hidden_size": 32,
            "layers": 2,
            "heads": 2,
            "intermediate_size": 48,
            "max_length": LENGTH,
        },
        "stage1": {
            "rho1": 2,
            "rho2": 20,
            "budget": {"steps": 12},
            "batch_size": 8,
            "internal_length": LENGTH,
            "external_length": LENGTH,
            "optimizer": rate,
            "evaluations": 2,
            "checkpoint_every": 5,
        },
        "stage2": {
            "steps": 12,
            "batch_size": 8,
            "length": LENGTH,
            "optimizer": rate,
            "evaluations": 3,
            "checkpoint_every": 5,
        },
    }
    for key, value in changes.items():
        *path, last = key.split(".")
        target = values
        for part in path:
            target[part] = dict(target[part])
            target = target[part]
        target[last] = value
    return RunSpec.model_validate(values)


def read_record(folder: Path) -> dict[str, Any]:
    """The record.json of a stage."""
    return json.loads((folder / "record.json").read_text())
