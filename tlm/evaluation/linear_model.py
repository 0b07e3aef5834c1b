"""A linear model on n-grams: vocabularies, weights and biases, in memory and as two files without code.

Place in the flow: fitted by `tlm.evaluation.linear_fit`; stored in the evaluation of a linear run and in the folder of
a finished model; read by `tlm.serving`. Its calibration is part of the weights. Rows of a classifier's outputs are
logits: their softmax gives the probabilities.

| file | content |
|---|---|
| `linear.json` | labels; for each block of features its kind, shortest and longest n-gram, and n-grams in order |
| `linear.safetensors` | `weights` (outputs, features), `bias` (outputs,), `idf` (features,), float32 |
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from tlm.artifacts import write_json
from tlm.errors import TlmError

VOCABULARY, WEIGHTS = "linear.json", "linear.safetensors"
LINEAR_FILES = (VOCABULARY, WEIGHTS)
_SCHEMA = 1


@dataclass(frozen=True)
class FeatureBlock:
    """N-grams of one kind. Their counts are sublinear and weighted by `idf`; a text's block has norm 1."""

    kind: str
    """word, char, or char_wb (characters within words), as scikit-learn's `analyzer`."""
    shortest: int
    longest: int
    ngrams: tuple[str, ...]
    """In the order of the columns."""
    idf: np.ndarray
    """(features,) float32."""

    @cached_property
    def _vectorizer(self) -> TfidfVectorizer:
        found = vectorizer(self.kind, self.shortest, self.longest, vocabulary=self.ngrams)
        found.idf_ = self.idf.astype(np.float64)
        return found

    def features(self, texts: Sequence[str]) -> csr_matrix:
        """(texts, features) float64."""
        return self._vectorizer.transform(texts)


def vectorizer(kind: str, shortest: int, longest: int, **options: Any) -> TfidfVectorizer:
    """scikit-learn's vectorizer of a block: to fit with `min_df`, or with a fixed `vocabulary`."""
    return TfidfVectorizer(
        analyzer=kind, ngram_range=(shortest, longest), sublinear_tf=True, dtype=np.float64, **options
    )


@dataclass(frozen=True)
class LinearModel:
    """Outputs are `features · weightsᵀ + bias`: a logit of each label, or one number for regression."""

    labels: tuple[str, ...]
    """Empty for regression."""
    blocks: tuple[FeatureBlock, ...]
    weights: np.ndarray
    """(outputs, features) float32."""
    bias: np.ndarray
    """(outputs,) float32."""

    def features(self, texts: Sequence[str]) -> csr_matrix:
        """(texts, features), the blocks side by side."""
        return joined([block.features(texts) for block in self.blocks])

    def outputs(self, features: csr_matrix) -> np.ndarray:
        """(texts, outputs) float64."""
        return np.asarray(features @ self.weights.T.astype(np.float64)) + self.bias

    def scaled(self, t: float) -> LinearModel:
        """The model whose outputs are divided by the temperature `t`."""
        return replace(self, weights=self.weights / np.float32(t), bias=self.bias / np.float32(t))

    def save(self, folder: Path) -> None:
        """Write `LINEAR_FILES` into `folder`."""
        blocks = [
            {"kind": block.kind, "shortest": block.shortest, "longest": block.longest, "ngrams": block.ngrams}
            for block in self.blocks
        ]
        write_json(folder / VOCABULARY, {"version": _SCHEMA, "labels": self.labels, "blocks": blocks})
        tensors = {
            "weights": self.weights,
            "bias": self.bias,
            "idf": np.concatenate([block.idf for block in self.blocks]),
        }
        save_file(
            {name: np.ascontiguousarray(each, np.float32) for name, each in tensors.items()}, folder / WEIGHTS
        )


def joined(blocks: Sequence[csr_matrix]) -> csr_matrix:
    """Blocks of features side by side."""
    return blocks[0] if len(blocks) == 1 else hstack(blocks, format="csr")


def read_linear(folder: Path) -> LinearModel:
    """The model that `LinearModel.save` wrote. Raises TlmError for files that are missing or do not fit each other."""
    try:
        described = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        if described["version"] != _SCHEMA:
            raise ValueError(f"version {described['version']}, where {_SCHEMA} is expected")
        sizes = [len(block["ngrams"]) for block in described["blocks"]]
        outputs = len(described["labels"]) or 1
        expected = {"weights": (outputs, sum(sizes)), "bias": (outputs,), "idf": (sum(sizes),)}
        for name, shape in expected.items():
            if tensors[name].shape != shape:
                raise ValueError(f"{name} has shape {tensors[name].shape}, where {shape} is expected")
        parts = np.split(tensors["idf"], np.cumsum(sizes)[:-1])
        blocks = tuple(
            FeatureBlock(block["kind"], block["shortest"], block["longest"], tuple(block["ngrams"]), idf)
            for block, idf in zip(described["blocks"], parts, strict=True)
        )
        return LinearModel(tuple(described["labels"]), blocks, tensors["weights"], tensors["bias"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TlmError(f"{folder}: its linear model cannot be read ({error}); build {folder} again") from None
