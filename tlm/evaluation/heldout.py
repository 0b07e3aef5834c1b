"""The masked language model's loss on the task's dev texts: how well stage 1 has learnt the task's language.

Place in the flow: stage 1's model → evaluation. After a few minutes of training, this loss shows progress that F1 does
not show yet. It is comparable between all rows with the same tokenizer, because texts and masks are the same for every
variant and seed, and also for a PLM that was not trained on the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tlm.errors import TlmError
from tlm.evaluation.outputs import BATCH_TOKENS, Encoded, batches_by_length, encode, read_tokenizer
from tlm.training.masking import Batch, mask
from tlm.training.model import TensorBatch, TwoHeads, attention_for, load_mlm
from tlm.training.objective import Weights
from tlm.training.randomness import generator
from tlm.training.tokenizer import vocabulary_of

MOST_ROWS = 2000  # texts: enough for a standard error below 0.01 nats


@torch.inference_mode()
def held_out_loss(
    directory: Path, texts: Sequence[str], pairs: Sequence[str] | None, *, length: int, probability: float
) -> float:
    """Mean cross-entropy in nats over the masked positions of `texts`, at most `MOST_ROWS` of them.

    `directory` holds a masked language model and its tokenizer. The loss is computed in fp32, with masks that depend
    on the texts alone. Raises TlmError if there is no model, or if no text has a token to mask.
    """
    if not (directory / "config.json").is_file():
        raise TlmError(f"{directory}: holds no masked language model (no config.json); train stage 1 first")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = read_tokenizer(directory)
    vocabulary = vocabulary_of(tokenizer)
    chosen = np.sort(generator(0, "held-out rows").permutation(len(texts))[:MOST_ROWS])
    encoded = encode(
        tokenizer,
        [texts[row] for row in chosen],
        None if pairs is None else [pairs[row] for row in chosen],
        length,
    )
    model = TwoHeads(load_mlm(directory, attention=attention_for(device)).float(), None).eval().to(device)
    masks = generator(0, "held-out masks")
    total, positions = 0.0, 0
    for rows in batches_by_length([len(ids) for ids in encoded.ids], BATCH_TOKENS):
        batch = mask(_batch(encoded, rows), vocabulary, probability, masks)
        if batch.masked:
            losses = model(TensorBatch.of(batch, torch.device(device)), Weights(1.0, 0.0))
            total, positions = total + float(losses["mlm"]), positions + batch.masked
    if not positions:
        raise TlmError(f"{directory}: the dev texts have no token that could be masked")
    return total / positions


def _batch(encoded: Encoded, rows: Sequence[int]) -> Batch:
    lengths = np.array([len(encoded.ids[row]) for row in rows], np.int64)
    ids = np.full((len(rows), lengths.max()), encoded.pad, np.int64)
    types = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : lengths[place]] = encoded.ids[row]
        types[place, : lengths[place]] = encoded.types[row]
    return Batch(ids, lengths, token_types=types)
