"""Token stores hold all ids of the tokenizer, and labels in the manifest's order."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from training_toy import LENGTH, Toy, write_task_artifact

from tlm.artifacts import verify, write_manifest
from tlm.errors import TlmError
from tlm.training.tokenizer import load_tokenizer
from tlm.training.tokens import Store, open_split, tokenize_selection, tokenize_task


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def rows_of(store: Store) -> list[list[int]]:
    return [store.tokens[store.offsets[i] : store.offsets[i + 1]].tolist() for i in range(len(store))]


def test_passages_are_the_tokenizers_ids(toy: Toy):
    texts = pq.read_table(toy.corpus / "part-00000.parquet")["text"].to_pylist()
    expected = load_tokenizer(toy.tokenizer)(texts, add_special_tokens=False)["input_ids"]
    manifest = verify(toy.external, "tokens")
    assert rows_of(Store.open(toy.external)) == [ids[:LENGTH] for ids in expected]
    assert manifest.counts["truncated"] == sum(len(ids) > LENGTH for ids in expected) > 0
    assert manifest.counts["rows"] == len(texts)


def test_a_selection_reads_like_a_corpus(toy: Toy, tmp_path: Path):
    (tmp_path / "selection").mkdir()
    pq.write_table(pq.read_table(toy.corpus / "part-00000.parquet"), tmp_path / "selection/passages.parquet")
    write_manifest(tmp_path / "selection", "selection", counts={}, parameters={})
    tokenize_selection(tmp_path / "selection", toy.tokenizer, tmp_path / "tokens", LENGTH)
    assert rows_of(Store.open(tmp_path / "tokens")) == rows_of(Store.open(toy.external))
    with pytest.raises(TlmError, match="a selection or corpus is needed"):
        tokenize_selection(toy.tokenizer, toy.tokenizer, tmp_path / "x", LENGTH)


def test_labels_rows_and_lengths_at_the_edges(toy: Toy):
    long = "rose " * 10_000
    splits = {"train": [("", "kitchen"), ("rose", "garden"), (long, "harbour")], "dev": [("tide", "harbour")]}
    tokens = toy.tokens("edges", splits)
    train, dev, test = (open_split(tokens, split) for split in ("train", "dev", "test"))
    assert [len(row) for row in rows_of(train)] == [0, 1, LENGTH]
    assert train.labels.tolist() == [2, 0, 1] and dev.labels.tolist() == [1]
    assert train.row_id.tolist() == [0, 1, 2] and dev.row_id.tolist() == [3]
    assert len(test) == 0 and len(test.labels) == 0
    counts = verify(tokens).counts["train"]
    assert (counts["truncated"], counts["empty"], counts["longest"]) == (1, 1, LENGTH)


def test_pairs_keep_both_texts(toy: Toy):
    store = open_split(
        toy.tokens("pairs", {"train": [("a rose", "the boat", "garden"), ("", "tide", "harbour")]}), "train"
    )
    tokenizer = load_tokenizer(toy.tokenizer)
    first = store.tokens[store.offsets[0] : store.middle[0]]
    second = store.tokens[store.middle[0] : store.offsets[1]]
    assert (tokenizer.decode(first), tokenizer.decode(second)) == ("a rose", "the boat")
    assert store.middle[1] == store.offsets[1]


def test_regression_labels_are_numbers(toy: Toy):
    tokens = toy.tokens("numbers", {"train": [("rose", 2.5), ("tide", 0.0)]}, regression=True)
    labels = open_split(tokens, "train").labels
    assert labels.dtype == np.float64 and labels.tolist() == [2.5, 0.0]


def test_unknown_and_missing_labels_raise(toy: Toy, tmp_path: Path):
    task = write_task_artifact(tmp_path / "task", {"train": [("rose", "attic")]})
    with pytest.raises(TlmError, match="label 'attic' is not among"):
        tokenize_task(task, toy.tokenizer, tmp_path / "tokens", LENGTH)
    task = write_task_artifact(tmp_path / "task", {"train": [("rose", None)]})
    with pytest.raises(TlmError, match="a row has no label"):
        tokenize_task(task, toy.tokenizer, tmp_path / "tokens", LENGTH)
    assert not (tmp_path / "tokens").exists()
