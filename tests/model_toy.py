"""A tiny two-headed model and random batches for it."""

import numpy as np
import torch

from tlm.config.training import ModelSpec
from tlm.training.masking import Batch, mask
from tlm.training.model import TaskHead, TwoHeads, build_mlm, new_classifier
from tlm.training.randomness import generator
from tlm.training.tokenizer import Vocabulary

VOCABULARY = Vocabulary(size=60, pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4))
HEAD = TaskHead(("a", "b", "c"))


def batch(seed: int, rows: int = 3) -> Batch:
    """Rows of 4 to 11 random tokens, sorted by length, with labels and masked positions."""
    rng = np.random.default_rng(seed)
    lengths = np.sort(rng.integers(4, 12, rows))
    ids = rng.integers(5, 60, (rows, lengths[-1]))
    ids[:, 0] = VOCABULARY.cls
    for row, length in enumerate(lengths):
        ids[row, length - 1], ids[row, length:] = VOCABULARY.sep, VOCABULARY.pad
    plain = Batch(ids, lengths, labels=rng.integers(0, 3, rows))
    return mask(plain, VOCABULARY, 0.15, generator(seed))


def two_heads(architecture: str, head: TaskHead = HEAD, dropout: float = 0.0, **options) -> TwoHeads:
    """A random model of three layers with an MLM head and a task head."""
    spec = ModelSpec(
        architecture=architecture,
        hidden_size=32,
        layers=3,
        heads=2,
        intermediate_size=48,
        max_length=64,
        dropout=dropout,
    )
    mlm = build_mlm(spec, VOCABULARY, attention="eager", seed=1)
    with torch.no_grad():  # far from zero, so that a mistake shows
        for name, parameter in mlm.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return TwoHeads(mlm, new_classifier(mlm, head, seed=2), **options)
