"""Counts a model's parameters from its shape, without building the model.

Place in the flow: `ModelSpec` → here → FLOPs and disk of `tlm.cost`. The sums below follow the native classes that
`tlm.training.model` builds; a test builds both architectures and compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tlm.config.training import ModelSpec
from tlm.evaluation.flops import Shape

# Rows of the position and token-type embeddings besides `max_length`: RoBERTa numbers positions after its padding id.
_EXTRA_ROWS = {"bert": 2, "roberta": 2 + 1}

_BASE = {"hidden_size": 768, "layers": 12, "heads": 12, "intermediate_size": 3072, "max_length": 512}
_LARGE = {"hidden_size": 1024, "layers": 24, "heads": 16, "intermediate_size": 4096, "max_length": 512}
# Name on the Hub → sizes and vocabulary (Devlin et al. 2019, Section 3; Liu et al. 2019, Section 4.4).
_PUBLISHED = {
    "bert-base-uncased": (_BASE, 30_522),
    "bert-large-uncased": (_LARGE, 30_522),
    "bert-base-cased": (_BASE, 28_996),
    "bert-large-cased": (_LARGE, 28_996),
    "roberta-base": (_BASE, 50_265),
    "roberta-large": (_LARGE, 50_265),
}


_RELEASED = re.compile(r"tlm-[\w-]+-(small|medium|large)-scale")  # the classifiers of the paper's authors


@dataclass(frozen=True)
class Parameters:
    """Parameters of the encoder and of its heads; the decoder shares the embeddings."""

    encoder: int
    lm_head: int
    classifier: int

    @property
    def mlm(self) -> int:
        """Of the masked language model, as saved."""
        return self.encoder + self.lm_head

    @property
    def classification(self) -> int:
        """Of the classification model, as saved: the column `parameters` of a table."""
        return self.encoder + self.classifier

    @property
    def both(self) -> int:
        """Of stage 1, which trains both heads."""
        return self.encoder + self.lm_head + self.classifier


def count(model: ModelSpec, vocabulary: int, classes: int) -> Parameters:
    """Parameters of `model`; `classes` is 1 for a regression."""
    h, f, v = model.hidden_size, model.intermediate_size, vocabulary
    if model.architecture in _EXTRA_ROWS:  # biases everywhere; a LayerNorm has 2 h
        layer = 4 * (h * h + h) + 2 * h + (h * f + f) + (f * h + h) + 2 * h
        embeddings = (v + model.max_length + _EXTRA_ROWS[model.architecture]) * h + 2 * h
        return Parameters(
            encoder=embeddings + model.layers * layer,
            lm_head=h * h + h + 2 * h + v,
            classifier=h * h + h + h * classes + classes,
        )
    # modernbert: no biases but those of the two output layers, norms of h; the first layer has no attention norm.
    layer = 4 * h * h + 3 * h * f + 2 * h
    return Parameters(
        encoder=v * h + h + model.layers * layer - h + h,
        lm_head=h * h + h + v,
        classifier=h * h + h + h * classes + classes,
    )


def shape(model: ModelSpec, vocabulary: int, classes: int) -> Shape:
    """The same sizes as input of `tlm.evaluation.flops`."""
    return Shape(
        model.architecture, model.hidden_size, model.layers, model.intermediate_size, vocabulary, classes
    )


def published(name: str) -> tuple[dict[str, int], int] | None:
    """Sizes and vocabulary of a checkpoint or tokenizer of the Hub; None for an unknown name."""
    short = name.rpartition("/")[2]
    if match := _RELEASED.fullmatch(short):
        return (_LARGE if match[1] == "large" else _BASE), 30_522
    if short.startswith("dsp_roberta_base"):  # Gururangan et al. (2020)
        return _PUBLISHED["roberta-base"]
    return _PUBLISHED.get(short)
