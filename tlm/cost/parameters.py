"""How many parameters a model has, from its shape alone: nothing is built, nothing allocated.

Place in the flow: `ModelSpec` → here → FLOPs and disk of `tlm.cost`. The sums below follow the native classes that
`tlm.training.model` builds; a test builds both architectures and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlm.config.training import ModelSpec
from tlm.evaluation.flops import Shape

_BERT_TYPES = 2  # token types

_BASE = {"architecture": "bert", "hidden_size": 768, "layers": 12, "heads": 12, "intermediate_size": 3072}
_LARGE = {"architecture": "bert", "hidden_size": 1024, "layers": 24, "heads": 16, "intermediate_size": 4096}
# Devlin et al. 2019, Section 3: the sizes that are behind a name on the Hub.
_PUBLISHED = {
    f"bert-{size}-{case}": sizes
    for size, sizes in (("base", _BASE), ("large", _LARGE))
    for case in ("uncased", "cased")
}
_VOCABULARIES = {"uncased": 30_522, "cased": 28_996}  # BERT's two


@dataclass(frozen=True)
class Parameters:
    """Parameters of the encoder and of what stands on it; the decoder shares the embeddings."""

    encoder: int
    lm_head: int
    classifier: int

    @property
    def mlm(self) -> int:
        """Of the masked language model, as saved."""
        return self.encoder + self.lm_head

    @property
    def classification(self) -> int:
        """Of the classification model, as saved; what the column `parameters` of a table counts."""
        return self.encoder + self.classifier

    @property
    def both(self) -> int:
        """Of stage 1, which trains both heads."""
        return self.encoder + self.lm_head + self.classifier


def count(model: ModelSpec, vocabulary: int, classes: int) -> Parameters:
    """Parameters of `model`; `classes` is 1 for a regression."""
    h, f, v = model.hidden_size, model.intermediate_size, vocabulary
    if model.architecture == "bert":  # biases everywhere; a LayerNorm has 2 h
        layer = 4 * (h * h + h) + 2 * h + (h * f + f) + (f * h + h) + 2 * h
        embeddings = (v + model.max_length + _BERT_TYPES) * h + 2 * h
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
    """The same sizes as `tlm.evaluation.flops` wants them."""
    return Shape(
        model.architecture, model.hidden_size, model.layers, model.intermediate_size, vocabulary, classes
    )


def published(model: ModelSpec) -> ModelSpec | None:
    """`model` with the sizes of the Hub checkpoint that it names; None for a name whose sizes are not known here."""
    if model.pretrained is None:
        return model
    sizes = _PUBLISHED.get(model.pretrained.rpartition("/")[2])
    return None if sizes is None else model.model_copy(update=sizes)


def published_vocabulary(tokenizer: str) -> int | None:
    """Entries of a Hub tokenizer that is known here."""
    name = tokenizer.rpartition("/")[2]
    return _VOCABULARIES.get(name.rpartition("-")[2]) if name in _PUBLISHED else None
