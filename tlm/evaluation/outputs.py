"""Compute a finetuned model's outputs on texts, in batches of similar length.

Place in the flow: stage 2's model → evaluation. The input is text, not stored tokens, so evaluation takes the same
path as a user's texts. The computation is always in fp32, at every training precision, so that a prediction depends
on the other texts of its batch only by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.training.model import attention_for
from tlm.training.model_families import check_family, reads_token_types

BATCH_TOKENS = 8192  # padded tokens in a batch: 16 rows of 512, whose attention takes 200 MB at 12 heads


@dataclass(frozen=True)
class Encoded:
    """Tokenized texts: the token ids and token types of each, with special tokens and without padding."""

    ids: list[list[int]]
    types: list[list[int]]
    pad: int  # the id that fills a batch


def load_classifier(directory: Path, device: str | None = None) -> PreTrainedModel:
    """The model saved in `directory`, in evaluation mode, on the GPU if there is one.

    Raises TlmError if the directory holds no classifier that can be loaded.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not (directory / "config.json").is_file():
        raise TlmError(f"{directory}: holds no model (no config.json); train it first")
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            directory, attn_implementation=attention_for(device), dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TlmError(f"{directory}: cannot be loaded as a classifier: {reason}") from None
    check_family(model.config, str(directory))
    return model.eval().to(device)


def read_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved beside a model. Raises TlmError if there is none."""
    if not (directory / "tokenizer.json").is_file():
        raise TlmError(f"{directory}: holds no tokenizer (no tokenizer.json); train the model again")
    return PreTrainedTokenizerFast.from_pretrained(directory)


def class_names(model: PreTrainedModel) -> tuple[str, ...]:
    """The class names of the model's outputs, in their order."""
    names = model.config.id2label or {}
    return tuple(str(name) for _, name in sorted((int(index), name) for index, name in names.items()))


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], pairs: Sequence[str] | None, length: int
) -> Encoded:
    """[CLS] text [SEP] or [CLS] text [SEP] pair [SEP], cut to `length` tokens; of a pair, the longer text first."""
    pad = int(tokenizer.pad_token_id)
    if not texts:
        return Encoded([], [], pad)
    found = tokenizer(
        list(texts),
        None if pairs is None else list(pairs),
        truncation="longest_first",
        max_length=length,
        return_token_type_ids=True,
        return_attention_mask=False,
    )
    return Encoded(found["input_ids"], found["token_type_ids"], pad)


@torch.inference_mode()
def model_outputs(
    model: PreTrainedModel, encoded: Encoded, *, batch_tokens: int = BATCH_TOKENS, what: str = "predict"
) -> np.ndarray:
    """The model's outputs (rows, labels) float32, in the order of the texts."""
    outputs = np.zeros((len(encoded.ids), len(class_names(model))), np.float32)
    progress = Progress(what, len(encoded.ids), "texts")
    for rows in batches_by_length([len(ids) for ids in encoded.ids], batch_tokens):
        ids = torch.full((len(rows), len(encoded.ids[rows[0]])), encoded.pad)
        types, inside = torch.zeros_like(ids), torch.zeros_like(ids)
        for place, row in enumerate(rows):
            size = len(encoded.ids[row])
            ids[place, :size] = torch.tensor(encoded.ids[row])
            types[place, :size] = torch.tensor(encoded.types[row])
            inside[place, :size] = 1
        inputs = {"input_ids": ids, "attention_mask": inside}
        if reads_token_types(model.config):
            inputs["token_type_ids"] = types
        logits = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}).logits
        outputs[rows] = logits.float().cpu().numpy()
        progress.add(len(rows))
    progress.finish()
    return outputs


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers batch by batch, longest first, each batch of at most `batch_tokens` padded tokens.

    A longer row is a batch by itself. Every row occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size
