"""Build a model's input arrays from row numbers: special tokens, truncation, padding and masks.

Place in the flow: batches → assemble (→ mask) → model. Masking is BERT's (Devlin et al. 2019): each ordinary
token is chosen with probability 0.15. Of the chosen tokens, 80 % become [MASK], 10 % become a random ordinary
token, and 10 % stay as they are. At least one token of each row is chosen, so every row has a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlm.training.batches import Stream
from tlm.training.randomness import generator
from tlm.training.tokenizer import Vocabulary
from tlm.training.tokens import Store

# Batches are as wide as their longest row, rounded up. Kernels are compiled and cached per shape: 16 shapes instead
# of 128 save a fifth of the time of small models in bf16, and much memory. Padding grows by 3 %.
_MULTIPLE = 8


@dataclass(frozen=True)
class Batch:
    """One micro-batch, padded on the right to its longest row or a little more.

    `input_ids` (rows, length) int64; `lengths` (rows,) real tokens of each row; `token_types` like
    input_ids, for pairs; `positions` (masked,) increasing indices of the chosen tokens in the flattened
    input_ids; `targets` (masked,) their original ids; `labels` class ids or numbers (rows,), or
    indicators (rows, labels).
    """

    input_ids: np.ndarray
    lengths: np.ndarray
    token_types: np.ndarray | None = None
    positions: np.ndarray | None = None
    targets: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    @property
    def padded_length(self) -> int:
        """Tokens of each row, padding included."""
        return self.input_ids.shape[1]

    @property
    def masked(self) -> int:
        """Number of positions at which the language-model loss is computed."""
        return 0 if self.positions is None else len(self.positions)

    def take(self, rows: Sequence[int]) -> Batch:
        """The batch with only the given rows, at the same padded length."""
        chosen = np.asarray(rows)
        positions = targets = None
        if self.positions is not None and self.targets is not None:
            row_of, column = np.divmod(self.positions, self.padded_length)
            new_row = np.full(self.rows, -1)
            new_row[chosen] = np.arange(len(chosen))
            kept = new_row[row_of] >= 0
            positions = new_row[row_of[kept]] * self.padded_length + column[kept]
            targets = self.targets[kept]
        types = None if self.token_types is None else self.token_types[chosen]
        labels = None if self.labels is None else self.labels[chosen]
        return Batch(self.input_ids[chosen], self.lengths[chosen], types, positions, targets, labels)


def assemble(store: Store, rows: np.ndarray, length: int, vocabulary: Vocabulary) -> Batch:
    """[CLS] a [SEP] or [CLS] a [SEP] b [SEP], cut to `length`. In a pair, the longer text is cut first.

    RoBERTa puts two separators between a and b.
    """
    between = vocabulary.between
    pairs = store.middle is not None
    sequences, types = [], []
    for row in rows:
        start, end = store.offsets[row], store.offsets[row + 1]
        if store.middle is None:
            parts = [store.tokens[start : min(end, start + length - 2)]]
        else:
            middle = store.middle[row]
            first, second = _longest_first(int(middle - start), int(end - middle), length - 2 - between)
            parts = [store.tokens[start : start + first], store.tokens[middle : middle + second]]
        size = 2 + sum(map(len, parts)) + between * (len(parts) - 1)
        sequence = np.full(size, vocabulary.sep, np.int64)
        sequence[0], at = vocabulary.cls, 1
        for part in parts:
            sequence[at : at + len(part)] = part
            at += len(part) + between
        sequences.append(sequence)
        types.append(len(parts[0]) + 1 + between)  # where the second text begins
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    padded = min(length, -(-int(lengths.max()) // _MULTIPLE) * _MULTIPLE)
    inside = np.arange(padded) < lengths[:, None]
    input_ids = np.full(inside.shape, vocabulary.pad, np.int64)
    input_ids[inside] = np.concatenate(sequences)
    token_types = None
    if pairs:
        token_types = ((np.arange(padded) >= np.array(types)[:, None]) & inside).astype(np.int64)
    labels = None if store.labels is None else store.labels[rows]
    return Batch(input_ids, lengths, token_types, labels=labels)


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """The lengths of two texts after cutting the longer one first to fit `room`, as `longest_first` does."""
    half = room // 2
    if first + second <= room:
        return first, second
    if first <= half:
        return first, room - first
    if second <= half:
        return room - second, second
    return (room - half, half) if first > second else (half, room - half)


def mask(batch: Batch, vocabulary: Vocabulary, probability: float, rng: np.random.Generator) -> Batch:
    """Mask tokens of a batch. The masks depend on its real tokens and `rng`, not on its padding."""
    inside = np.arange(batch.padded_length) < batch.lengths[:, None]
    tokens = batch.input_ids[inside]
    row_of = np.repeat(np.arange(batch.rows), batch.lengths)
    draw = np.where(vocabulary.is_special[tokens], np.inf, rng.random(len(tokens)))
    chosen = draw < probability
    least = np.full(batch.rows, np.inf)
    np.minimum.at(least, row_of, draw)
    chosen |= (draw == least[row_of]) & (least[row_of] >= probability) & np.isfinite(draw)
    fate = rng.random(len(tokens))
    ordinary = vocabulary.ordinary
    random = ordinary[rng.integers(len(ordinary), size=len(tokens))]
    masked = np.where(fate < 0.8, vocabulary.mask, np.where(fate < 0.9, random, tokens))
    input_ids = batch.input_ids.copy()
    input_ids[inside] = np.where(chosen, masked, tokens)
    return replace(
        batch, input_ids=input_ids, positions=np.flatnonzero(inside)[chosen], targets=tokens[chosen]
    )


@dataclass(frozen=True)
class TrainingData:
    """A data set to draw batches from: its tokens, the order of its rows, and the length that inputs are cut to."""

    store: Store
    stream: Stream
    length: int

    def plain(self, index: int, vocabulary: Vocabulary) -> Batch:
        """Batch `index` without masks (stage 2)."""
        return assemble(self.store, self.stream.batch(index), self.length, vocabulary)

    def masked(self, index: int, vocabulary: Vocabulary, probability: float) -> Batch:
        """Batch `index` with its masks, which depend on the seed and the index (stage 1)."""
        rng = generator(self.stream.seed, self.stream.name, "mask", index)
        return mask(self.plain(index, vocabulary), vocabulary, probability, rng)
