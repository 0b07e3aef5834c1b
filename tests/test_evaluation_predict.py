import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from evaluation_toy import save_model, save_tokenizer, sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.artifacts import write_manifest
from tlm.errors import TlmError
from tlm.evaluation.outputs import batches_by_length, encode, load_classifier, model_outputs
from tlm.training.masking import assemble
from tlm.training.tokenizer import load_tokenizer, vocabulary_of
from tlm.training.tokens import open_split, tokenize_task


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
@pytest.mark.parametrize("pair", [False, True])
def test_outputs_do_not_depend_on_batches_and_agree_with_one_by_one(tmp_path, architecture, pair):
    tokenizer = load_tokenizer(save_tokenizer(tmp_path / "tokenizer"))
    model = load_classifier(save_model(tmp_path / "model", architecture), device="cpu")
    texts, pairs = sentences(23), sentences(23, seed=1) if pair else None
    encoded = encode(tokenizer, texts, pairs, 24)
    outputs = model_outputs(model, encoded)
    assert outputs.shape == (23, 3)
    np.testing.assert_allclose(outputs, model_outputs(model, encoded, batch_tokens=1), atol=1e-4)
    for row in (0, 7, 22):
        second = None if pairs is None else pairs[row]
        one = tokenizer(texts[row], second, truncation=True, max_length=24, return_tensors="pt")
        if architecture != "bert":
            one.pop("token_type_ids", None)
        with torch.no_grad():
            np.testing.assert_allclose(outputs[row], model(**one).logits[0], atol=1e-4)


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("length", [9, 13, 25])
def test_evaluation_and_training_encode_texts_alike(tmp_path, pair, length):
    """The same ids and token types as stage 2 saw, also where texts are cut."""
    tokenizer_dir = save_tokenizer(tmp_path / "tokenizer")
    texts, pairs = sentences(30), sentences(30, seed=1)
    task = tmp_path / "task"
    task.mkdir()
    for split in ("train", "dev", "test"):
        columns = {"row_id": list(range(30)), "text": texts, "label": ["x"] * 30}
        pq.write_table(pa.table(columns | ({"text_pair": pairs} if pair else {})), task / f"{split}.parquet")
    parameters = {
        "task": "t",
        "problem": "classification",
        "labels": ["x"],
        "metric": "accuracy",
        "pair": pair,
    }
    write_manifest(task, "task", counts={}, parameters=parameters)
    tokenize_task(task, tokenizer_dir, tmp_path / "tokens", 24)
    tokenizer = load_tokenizer(tokenizer_dir)
    batch = assemble(open_split(tmp_path / "tokens", "dev"), np.arange(30), length, vocabulary_of(tokenizer))
    encoded = encode(tokenizer, texts, pairs if pair else None, length)
    for row in range(30):
        size = int(batch.lengths[row])
        assert encoded.ids[row] == batch.input_ids[row, :size].tolist()
        if pair:
            assert encoded.types[row] == batch.token_types[row, :size].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 2000))
def test_every_row_is_in_one_batch_of_bounded_size(lengths, batch_tokens):
    batches = list(batches_by_length(lengths, batch_tokens))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= batch_tokens
    longest = [max(lengths[row] for row in rows) for rows in batches]
    assert longest == sorted(longest, reverse=True)


def test_missing_and_unsupported_models_raise(tmp_path):
    with pytest.raises(TlmError, match="holds no model"):
        load_classifier(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 1}))
    with pytest.raises(TlmError, match=r"cannot be loaded|architecture"):
        load_classifier(tmp_path)


def test_no_texts_give_no_outputs(tmp_path):
    tokenizer = load_tokenizer(save_tokenizer(tmp_path / "tokenizer"))
    model = load_classifier(save_model(tmp_path / "model", "bert"), device="cpu")
    assert model_outputs(model, encode(tokenizer, [], None, 8)).shape == (0, 3)
