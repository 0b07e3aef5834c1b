"""How the native classes of BERT, RoBERTa and ModernBERT name and join their parts.

Place in the flow: under model. Other modules use an encoder as a `base_model` with a language-model head and a
classification head; the names that `transformers` gives to these parts are in this module alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PretrainedConfig

from tlm.errors import TlmError

FAMILIES = ("bert", "roberta", "modernbert", "electra")
"""electra: only as the native form of the authors' classifiers (`tlm.training.released`), which are not trained."""


def check_family(config: PretrainedConfig, where: str) -> None:
    """Raises TlmError unless the model belongs to one of the supported families."""
    if config.model_type not in FAMILIES:
        raise TlmError(f"{where}: architecture {config.model_type!r}; supported are {', '.join(FAMILIES)}")


def reach(config: PretrainedConfig) -> int:
    """The longest input in tokens. RoBERTa's positions begin at its padding id + 1."""
    offset = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    return int(config.max_position_embeddings) - offset


def reads_token_types(config: PretrainedConfig) -> bool:
    """Whether the model reads token types, which mark the two texts of a pair."""
    return config.model_type in ("bert", "electra")


def share_encoder(mlm: Any, classifier: Any) -> None:
    """Put the encoder of `mlm` into `classifier`."""
    if mlm.config.model_type == "modernbert":
        classifier.model = mlm.model
    elif mlm.config.model_type == "roberta":
        classifier.roberta = mlm.roberta
    else:  # the classifier's own pooler stays: it is part of its head
        classifier.bert.embeddings = mlm.bert.embeddings
        classifier.bert.encoder = mlm.bert.encoder


def transform(mlm: Any, states: torch.Tensor) -> torch.Tensor:
    """The language-model head up to its output layer, (n, hidden) → (n, hidden)."""
    if mlm.config.model_type == "bert":
        return mlm.cls.predictions.transform(states)
    if mlm.config.model_type == "roberta":
        return mlm.lm_head.layer_norm(functional.gelu(mlm.lm_head.dense(states)))
    return mlm.head(states)


def output_bias(mlm: Any) -> torch.Tensor:
    """The language-model head's bias over the vocabulary, (vocabulary,)."""
    return mlm.get_output_embeddings().bias


def classify(classifier: Any, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Class logits (rows, labels) from all hidden states, by the native head on [CLS] or their mean."""
    if classifier.config.model_type == "bert":
        return classifier.classifier(classifier.dropout(classifier.bert.pooler(hidden)))
    if classifier.config.model_type == "roberta":
        return classifier.classifier(hidden)
    return classifier.classifier(classifier.drop(classifier.head(_pooled(classifier, hidden, mask))))


def _pooled(classifier: Any, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    if classifier.config.classifier_pooling == "cls":
        return hidden[:, 0]
    if mask is None:  # no padding
        return hidden.mean(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def is_embedding(name: str) -> bool:
    """Whether the parameter is an embedding table, which is looked up and not multiplied."""
    known = ("tok_embeddings", "word_embeddings", "position_embeddings", "token_type_embeddings")
    return any(part in known for part in name.split(".")[-2:-1])


def encoder_linears(encoder: nn.Module) -> list[nn.Linear]:
    """The linear layers between embeddings and heads; BERT's pooler is part of its head."""
    return [
        module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith("pooler")
    ]
