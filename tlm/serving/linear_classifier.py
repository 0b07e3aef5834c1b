"""A served linear model, and the blend of encoder and linear model: texts in, predictions out, as `Classifier`.

Place in the flow: `tlm.json` and the files of a folder → here → `tlm.serving.predict`. A linear model loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from scipy.sparse import csr_matrix

from tlm.errors import TlmError
from tlm.evaluation.blend import mixed
from tlm.evaluation.linear_model import LinearModel, read_linear
from tlm.serving.decisions import Outputs, decide
from tlm.serving.folder import ServedModel, read_folder
from tlm.serving.predictors import BlendSettings, FolderPredictors


class TextClassifier(Protocol):
    """What predictions need of a model in memory."""

    @property
    def served(self) -> ServedModel:
        """The folder's settings."""

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
        """The model's inputs. May run in another thread."""

    def predict(self, encoded: Any, tick: Callable[[int], None] | None = None) -> Outputs:
        """Outputs in the order of the texts; `tick` gets the number of texts of each finished batch."""


class LinearClassifier:
    """The linear model of a folder."""

    def __init__(self, served: ServedModel, model: LinearModel, thresholds: Sequence[float] | None):
        self.served, self.model, self.thresholds = served, model, thresholds

    @classmethod
    def load(cls, folder: Path, found: FolderPredictors) -> LinearClassifier:
        """The linear model of `folder`. Raises TlmError if its files are missing or faulty."""
        served, model = read_folder(folder), read_linear(folder)
        if model.labels != (() if served.regression else served.labels):
            raise TlmError(
                f"{folder}: linear model and encoder have different labels; export the model again"
            )
        return cls(served, model, found.linear.thresholds)

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> csr_matrix:
        """(texts, features); the two texts of a pair are joined."""
        if pairs is not None:
            texts = [f"{text} {pair}" for text, pair in zip(texts, pairs, strict=True)]
        return self.model.features(texts) if texts else csr_matrix((0, self.model.weights.shape[1]))

    def predict(self, encoded: csr_matrix, tick: Callable[[int], None] | None = None) -> Outputs:
        """As `TextClassifier.predict`."""
        outputs = self.model.outputs(encoded)
        if tick is not None:
            tick(len(outputs))
        return decide(self.served.problem, outputs, self.thresholds)


class BlendedClassifier:
    """Encoder and linear model of a folder, mixed."""

    def __init__(self, encoder: TextClassifier, linear: LinearClassifier, blend: BlendSettings):
        self.encoder, self.linear, self.blend = encoder, linear, blend
        self.served = encoder.served

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> tuple[Any, csr_matrix]:
        """The inputs of both."""
        return self.encoder.encode(texts, pairs), self.linear.encode(texts, pairs)

    def predict(self, encoded: tuple[Any, csr_matrix], tick: Callable[[int], None] | None = None) -> Outputs:
        """As `TextClassifier.predict`."""
        ours, theirs = self.encoder.predict(encoded[0], tick), self.linear.predict(encoded[1])
        given = [
            each.predictions[:, None] if each.probabilities is None else each.probabilities
            for each in (ours, theirs)
        ]
        outputs = mixed(self.served.problem, given[0], given[1], self.blend.weight, self.blend.temperature)
        return decide(self.served.problem, outputs, self.blend.thresholds)
