"""Attention of real (random and rigged) models: the weights that are read are those that the model used."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import zstandard
from evaluation_toy import (
    LABELS,
    RUN,
    make_stages,
    make_task,
    save_mlm,
    save_model,
    save_tokenizer,
    sentences,
)
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from tlm.artifacts import verify
from tlm.config.figures import HeadsSpec
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import count, read_attention
from tlm.evaluation.attention_weights import (
    attention_weights,
    load_encoder,
    read_example,
    read_heads,
    sample,
    token_kinds,
)
from tlm.evaluation.outputs import encode, read_tokenizer

SPEC = HeadsSpec(texts=8, resamples=50, examples={"sky": "the sky is blue."})


@pytest.fixture
def task_dir(tmp_path):
    draw = np.random.default_rng(5)
    rows = {
        split: [(text, LABELS[draw.integers(3)]) for text in sentences(size, seed=size)]
        for split, size in (("train", 9), ("dev", 12), ("test", 15))
    }
    return make_task(tmp_path / "colours", rows, labels=LABELS)


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_rows_are_distributions_and_show_the_layers_work(tmp_path, architecture):
    """Weights times values, through the output projection, give the output of the layer's attention."""
    folder = save_model(tmp_path / "model", architecture)
    encoder = load_encoder(folder)
    ids, types = [2, 5, 7, 8, 15, 3], [0] * 6
    weights = attention_weights(encoder, ids, types)
    assert weights.shape == (2, 2, 6, 6) and weights.dtype == np.float32
    assert np.allclose(weights.sum(-1), 1, atol=1e-5) and (weights >= 0).all()
    if architecture == "bert":
        seen = {}
        attention = encoder.encoder.layer[0].attention
        attention.self.value.register_forward_hook(lambda module, given, out: seen.update(value=out))
        attention.output.dense.register_forward_hook(lambda module, given, out: seen.update(given=given[0]))
        attention_weights(encoder, ids, types)
        values = seen["value"][0].view(6, 2, 8).transpose(0, 1)
        mixed = (torch.from_numpy(weights[0]) @ values).transpose(0, 1).reshape(6, 16)
        assert torch.allclose(mixed, seen["given"][0], atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "roberta"])
def test_weights_are_those_of_the_classifier(tmp_path, architecture):
    """The reference shares no code with ours: the classifier itself returns its attentions."""
    folder = tmp_path / "model"
    if architecture == "roberta":
        shape = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = RobertaConfig(**shape, intermediate_size=24, max_position_embeddings=34)
        RobertaForSequenceClassification(config).save_pretrained(folder)
    else:
        save_model(folder, architecture)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    ids = [2, 5, 6, 7, 3]
    with torch.inference_mode():
        theirs = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
    ours = attention_weights(load_encoder(folder), ids, [0] * 5)
    assert np.allclose(ours, np.stack([layer[0].numpy() for layer in theirs]), atol=1e-6)


def test_attention_of_a_masked_language_model_is_read(tmp_path):
    assert attention_weights(load_encoder(save_mlm(tmp_path / "mlm")), [2, 5, 3], [0] * 3).shape == (
        2,
        2,
        3,
        3,
    )


def test_a_head_rigged_to_look_at_cls_is_vertical(tmp_path):
    """Positions alone decide: queries are constant, keys are large at position 0."""
    folder = save_model(tmp_path / "model", "bert")
    encoder = load_encoder(folder)
    first = encoder.encoder.layer[0].attention.self
    with torch.no_grad():
        encoder.embeddings.position_embeddings.weight[0] = 50 * torch.linspace(-1, 1, 16)
        normed = encoder.embeddings.LayerNorm(encoder.embeddings.position_embeddings.weight[0])
        first.query.weight.zero_()
        first.query.bias.copy_(normed)
        first.key.weight.copy_(torch.eye(16))
        first.key.bias.zero_()
    tokenizer = read_tokenizer(save_tokenizer(tmp_path / "tokenizer"))
    example = read_example(encoder, tokenizer, "the rose is red.", 20)
    hits = example.hits
    assert (hits.vertical[0, 0] == hits.queries[0]).all()
    assert hits.positional[0, 0].max() <= 1  # the first word, whose neighbour is [CLS]


def test_kinds_of_tokens(tmp_path):
    tokenizer = read_tokenizer(save_tokenizer(tmp_path / "tokenizer"))
    ids = encode(tokenizer, ["the sky is blue."], ["a red rose."], 20).ids[0]
    special, vertical = token_kinds(tokenizer, ids)
    named = np.array(tokenizer.convert_ids_to_tokens(ids))
    assert named[special].tolist() == ["[CLS]", "[SEP]", "[SEP]"]
    assert named[vertical].tolist() == ["[CLS]", ".", "[SEP]", ".", "[SEP]"]


def test_a_period_after_a_space_is_a_period_to_byte_level_bpe_too():
    """RoBERTa's tokenizer has two tokens for it; SciERC's texts end with a space and a period."""
    bpe = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(["a cat . a cat. a cat ... 1.5"] * 9, 300, special_tokens=specials)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, cls_token="<s>", sep_token="</s>", unk_token="<unk>"
    )
    ids = [0, *tokenizer.encode("a cat . a cat. ...", add_special_tokens=False), 2]
    special, vertical = token_kinds(tokenizer, ids)
    tokens = np.array(tokenizer.convert_ids_to_tokens(ids))
    assert tokens[special].tolist() == ["<s>", "</s>"]
    assert tokens[vertical].tolist() == ["<s>", "Ġ.", ".", "</s>"]


@pytest.mark.parametrize(("task", "rows", "ends"), [("sciie", 455, 455), ("citation_intent", 114, 106)])
def test_dev_texts_of_scierc_and_acl_arc_end_with_a_space_and_a_period(shared, task, rows, ends):
    """The counts in docs/differences.md: without `Ġ.`, a RoBERTa head on this period would not count as vertical."""
    with zstandard.open(shared / "tasks" / task / "dev.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"].rstrip() for line in lines]
    assert (len(texts), sum(text.endswith(" .") for text in texts)) == (rows, ends)


def test_the_sample_is_drawn_once_and_all_of_a_small_split():
    assert sample(5, SPEC).tolist() == [0, 1, 2, 3, 4]
    drawn = sample(1000, SPEC)
    assert len(set(drawn)) == 8 and (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, sample(1000, SPEC))
    assert not np.array_equal(drawn, sample(1000, SPEC.model_copy(update={"seed": 2})))


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_the_artifact_counts_the_sampled_dev_texts(tmp_path, task_dir, stage):
    stage1, stage2 = make_stages(tmp_path / "run")
    folders = {"stage1_dir": stage1} if stage == "stage1" else {"stage2_dir": stage2}
    out = tmp_path / "attention"
    read_heads(run=RUN, task_dir=task_dir, destination=out, spec=SPEC, **folders)
    manifest = verify(out, "attention")
    assert manifest.counts["texts"] == 8 and manifest.counts["heads"] == 4
    assert manifest.parameters["length"] == (24 if stage == "stage1" else 20)
    # One text, counted by hand.
    back = read_attention(out)
    texts = pq.read_table(task_dir / "dev.parquet")["text"].to_pylist()
    chosen = sample(len(texts), SPEC)
    model = (stage1 / "classifier") if stage == "stage1" else (stage2 / "model")
    encoder, tokenizer = load_encoder(model), read_tokenizer(model)
    encoded = encode(tokenizer, [texts[chosen[3]]], None, manifest.parameters["length"])
    special, vertical = token_kinds(tokenizer, encoded.ids[0])
    weights = attention_weights(encoder, encoded.ids[0], encoded.types[0])
    queries, where = count(weights, queries=~special, targets=vertical)
    assert back.hits.queries[3] == queries
    assert np.array_equal(back.hits.vertical[3], where["vertical"])
    assert back.examples["sky"].sentence == "the sky is blue."


def test_the_test_split_is_never_opened(tmp_path, task_dir):
    (task_dir / "test.parquet").unlink()
    _, stage2 = make_stages(tmp_path / "run")
    read_heads(run=RUN, task_dir=task_dir, destination=tmp_path / "out", spec=SPEC, stage2_dir=stage2)


def test_the_same_model_gives_the_same_bytes(tmp_path, task_dir):
    _, stage2 = make_stages(tmp_path / "run")
    for name in ("one", "two"):
        read_heads(run=RUN, task_dir=task_dir, destination=tmp_path / name, spec=SPEC, stage2_dir=stage2)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "two"))
    assert one == two


def test_invalid_runs_and_models_raise(tmp_path, task_dir):
    with pytest.raises(TlmError, match="no model"):
        load_encoder(tmp_path)
    with pytest.raises(TlmError, match="neither stage 1 nor stage 2"):
        read_heads(run=RUN, task_dir=task_dir, destination=tmp_path / "out", spec=SPEC)
    assert not (tmp_path / "out").exists()
