"""Inputs are the same as the tokenizer builds them, and masks are BERT's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_toy import Toy

from tlm.training.batches import Stream, input_lengths
from tlm.training.masking import Batch, TrainingData, assemble, mask
from tlm.training.randomness import generator
from tlm.training.tokenizer import Vocabulary, load_tokenizer, vocabulary_of
from tlm.training.tokens import Store, open_split

VOCABULARY = Vocabulary(size=200, pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4))


def random_batch(seed: int, rows: int, longest: int) -> Batch:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    store = Store(rng.integers(5, 200, offsets[-1]).astype(np.uint16), offsets)
    return assemble(store, np.arange(rows), 64, VOCABULARY)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def same_but_for_padding(ours: np.ndarray, theirs: np.ndarray) -> bool:
    width = theirs.shape[1]
    return np.array_equal(ours[:, :width], theirs) and not ours[:, width:].any()


@pytest.mark.parametrize("length", [4, 9, 10, 14, 32])
def test_pairs_and_singles_match_the_tokenizer(toy: Toy, tmp_path: Path, length: int):
    tokenizer = load_tokenizer(toy.tokenizer)
    rows = [
        ("the rose and the boat", "a storm", "garden"),
        ("tide", "the oven and the flour near the wall", "kitchen"),
        ("a", "b", "kitchen"),
        ("the old oven is new", "the boat is old here", "garden"),
    ]
    store = open_split(toy.tokens(f"pairs{length}", {"train": rows}), "train")
    batch = assemble(store, np.arange(4), length, vocabulary_of(tokenizer))
    expected = tokenizer(
        [r[0] for r in rows],
        [r[1] for r in rows],
        truncation="longest_first",
        max_length=length,
        padding="longest",
        return_tensors="np",
    )
    assert same_but_for_padding(batch.input_ids, expected["input_ids"])
    assert same_but_for_padding(batch.token_types, expected["token_type_ids"])
    assert np.array_equal(batch.lengths, expected["attention_mask"].sum(1))
    assert batch.labels.tolist() == [0, 2, 2, 0]

    single = [(r[0], r[2]) for r in rows]
    store = open_split(toy.tokens(f"single{length}", {"train": single}), "train")
    expected = tokenizer(
        [r[0] for r in rows], truncation=True, max_length=length, padding="longest", return_tensors="np"
    )
    batch = assemble(store, np.arange(4), length, vocabulary_of(tokenizer))
    assert same_but_for_padding(batch.input_ids, expected["input_ids"])
    assert np.array_equal(batch.lengths, input_lengths(store, length))


@given(st.integers(0, 9999), st.integers(1, 6), st.integers(0, 40), st.sampled_from([0.01, 0.15, 0.9]))
def test_masks_touch_ordinary_tokens_and_every_row(seed, rows, longest, probability):
    plain = random_batch(seed, rows, longest)
    masked = mask(plain, VOCABULARY, probability, generator(seed))
    before, after = plain.input_ids.ravel(), masked.input_ids.ravel()
    assert np.array_equal(before[masked.positions], masked.targets)
    assert (masked.targets > 4).all() and (np.diff(masked.positions) > 0).all()
    changed = np.flatnonzero(before != after)
    assert np.isin(changed, masked.positions).all()
    hit = np.bincount(masked.positions // plain.padded_length, minlength=rows)
    assert ((hit > 0) == (plain.lengths > 2)).all()  # a row with any ordinary token has a target


def test_eighty_ten_ten():
    plain = random_batch(1, 4000, 60)
    masked = mask(plain, VOCABULARY, 0.15, generator(1))
    ordinary = int((plain.lengths - 2).sum())
    assert masked.masked / ordinary == pytest.approx(0.15, abs=0.005)
    seen = masked.input_ids.ravel()[masked.positions]
    same = (seen == masked.targets).mean()
    assert (seen == VOCABULARY.mask).mean() == pytest.approx(0.8, abs=0.01)
    assert same == pytest.approx(0.1, abs=0.01)
    random = seen[(seen != VOCABULARY.mask) & (seen != masked.targets)]
    assert random.min() > 4 and len(np.unique(random)) > 150


def test_masks_do_not_depend_on_padding():
    plain = random_batch(3, 5, 20)
    wider = replace(plain, input_ids=np.pad(plain.input_ids, ((0, 0), (0, 7))))
    one = mask(plain, VOCABULARY, 0.15, generator(3))
    two = mask(wider, VOCABULARY, 0.15, generator(3))
    assert np.array_equal(one.input_ids, two.input_ids[:, : plain.padded_length])
    assert np.array_equal(one.targets, two.targets)


@given(st.integers(0, 999), st.integers(1, 5))
def test_shares_of_a_batch_make_the_batch(seed, world):
    whole = mask(random_batch(seed, 7, 12), VOCABULARY, 0.3, generator(seed))
    parts = [whole.take(range(rank, 7, world)) for rank in range(world)]
    assert sum(part.masked for part in parts) == whole.masked
    for rank, part in enumerate(parts):
        assert np.array_equal(part.input_ids, whole.input_ids[rank::world])
        there = np.zeros(part.input_ids.size, bool)
        there[part.positions] = True
        everywhere = np.zeros(whole.input_ids.size, bool)
        everywhere[whole.positions] = True
        assert np.array_equal(there.reshape(part.input_ids.shape), everywhere.reshape(7, -1)[rank::world])


def test_a_batch_with_its_masks_can_be_rebuilt_alone():
    rng = np.random.default_rng(0)
    offsets = np.arange(0, 1001, 10)
    store = Store(rng.integers(5, 200, 1000).astype(np.uint16), offsets)

    def source() -> TrainingData:
        return TrainingData(
            store, Stream(input_lengths(store, 12), seed=5, name="external", batch_size=4), 12
        )

    walked = source()
    for index in range(40):
        last = walked.masked(index, VOCABULARY, 0.15)
    alone = source().masked(39, VOCABULARY, 0.15)
    assert np.array_equal(alone.input_ids, last.input_ids)
    assert np.array_equal(alone.positions, last.positions)
