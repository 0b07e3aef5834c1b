"""Native classes in, native classes out; our forward pass against theirs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from model_toy import VOCABULARY, batch, two_heads
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, DistilBertConfig

from tlm.config.training import ModelSpec
from tlm.errors import TlmError
from tlm.training import cpu_forward
from tlm.training.model import (
    TaskHead,
    TensorBatch,
    build_mlm,
    check_lengths,
    parameter_counts,
)
from tlm.training.model_families import check_family, transform
from tlm.training.objective import Weights

CPU = torch.device("cpu")
SCRATCH = ("bert", "modernbert")


@pytest.mark.parametrize("architecture", SCRATCH)
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("pairs", [True, False])
def test_our_forward_pass_equals_that_of_transformers(architecture, padded, pairs):
    one = batch(7, rows=5) if padded else batch(7, rows=5).take([4])
    tensors = TensorBatch.of(one, CPU)
    assert (tensors.mask is not None) == padded
    if pairs:
        types = (torch.arange(one.padded_length) > 3).long().expand(one.rows, -1).contiguous()
        tensors = TensorBatch(
            tensors.input_ids, tensors.mask, types, tensors.positions, tensors.targets, tensors.labels
        )
    losses, gradients = [], []
    for native in (True, False):
        two = two_heads(architecture, native=native)
        assert cpu_forward.supports(two.config, CPU)
        out = two(tensors, Weights(0.1, 0.3))
        out["loss"].backward()
        losses.append([out["mlm"].item(), out["task"].item()])
        gradients.append({name: parameter.grad for name, parameter in two.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("architecture", SCRATCH)
def test_bf16_is_close_to_fp32(architecture):
    tensors = TensorBatch.of(batch(7, rows=5), CPU)
    exact = two_heads(architecture)(tensors, Weights(0.1, 0.3))
    rough = two_heads(architecture, bf16=True)(tensors, Weights(0.1, 0.3))
    assert rough["mlm"].item() == pytest.approx(exact["mlm"].item(), rel=0.02)
    assert rough["loss"].dtype == torch.float32


@pytest.mark.parametrize("architecture", SCRATCH)
def test_dropout_uses_the_native_forward_pass(architecture):
    two = two_heads(architecture, dropout=0.1)
    assert not cpu_forward.supports(two.config, CPU)
    two(TensorBatch.of(batch(1), CPU), Weights(0.1, 0.3))["loss"].backward()


@pytest.mark.parametrize("architecture", SCRATCH)
def test_saved_models_load_with_the_auto_classes(architecture, tmp_path: Path):
    two, tensors = two_heads(architecture).eval(), TensorBatch.of(batch(3), CPU)
    two.mlm.save_pretrained(tmp_path / "mlm")
    two.classifier.save_pretrained(tmp_path / "classifier")
    mlm = AutoModelForMaskedLM.from_pretrained(tmp_path / "mlm").eval()
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "classifier").eval()
    attention = None if tensors.mask is None else tensors.mask.long()
    logits = mlm(input_ids=tensors.input_ids, attention_mask=attention).logits
    ours = two.mlm.get_output_embeddings()(transform(two.mlm, two.encode(tensors)))
    assert torch.allclose(logits[tensors.mask], ours[tensors.mask], atol=1e-4)
    logits = classifier(input_ids=tensors.input_ids, attention_mask=attention).logits
    assert torch.allclose(logits, two(tensors)["logits"], atol=1e-4)
    assert classifier.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert classifier.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert classifier.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("architecture", SCRATCH)
def test_the_encoder_is_shared_and_counted_once(architecture):
    two = two_heads(architecture)
    counts = parameter_counts(two)
    alone = sum(p.numel() for p in two.mlm.parameters())
    head = {n: p for n, p in two.named_parameters() if n.startswith("classifier.")}
    assert counts["total"] == alone + sum(p.numel() for p in head.values())
    assert counts["embedding"] == (60 * 32 if architecture == "modernbert" else (60 + 64 + 2) * 32)
    assert all("embeddings" not in n and "layer" not in n for n in head)


@pytest.mark.parametrize(("scale", "millions"), [("medium", 109), ("large", 335)])
def test_the_papers_sizes(scale, millions):
    """BERT-base as Table 2 prints it; BERT-large has 335 M where the paper says 355 M (docs/differences.md)."""
    spec = ModelSpec(**yaml.safe_load((ROOT / f"config/scales/{scale}.yaml").read_text())["model"])
    with torch.device("meta"):
        mlm = build_mlm(spec, replace(VOCABULARY, size=30522), attention="sdpa", seed=1)
    assert sum(parameter.numel() for parameter in mlm.parameters()) // 10**6 == millions


def test_regression_and_single_class_heads():
    number = two_heads("bert", TaskHead.of({"problem": "regression", "labels": []}))
    assert number.classifier.config.problem_type == "regression"
    assert number(TensorBatch.of(batch(1), CPU))["logits"].shape == (3, 1)
    only = TaskHead.of({"problem": "classification", "labels": ["x"]})
    assert two_heads("modernbert", only).classifier.config.id2label == {0: "x"}


def test_same_seed_same_weights():
    one, two = two_heads("modernbert"), two_heads("modernbert")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_invalid_models_and_lengths_raise(tmp_path: Path):
    with pytest.raises(TlmError, match="architecture 'distilbert'"):
        check_family(DistilBertConfig(), "x")
    with pytest.raises(TlmError, match="longer than the model's max_length 64"):
        check_lengths(two_heads("bert").config, [32, 65])
    spec = ModelSpec(architecture="bert", pretrained=str(tmp_path / "nothing"))
    with pytest.raises(TlmError, match="cannot be loaded"):
        build_mlm(spec, VOCABULARY, attention="eager", seed=1)


def test_a_checkpoint_with_too_few_embeddings_raises(tmp_path: Path):
    two_heads("bert").mlm.save_pretrained(tmp_path)
    bigger = type(VOCABULARY)(61, 0, 2, 3, 4, VOCABULARY.specials)
    with pytest.raises(TlmError, match="60 embeddings, the tokenizer 61 entries"):
        build_mlm(ModelSpec(architecture="bert", pretrained=str(tmp_path)), bigger, attention="eager", seed=1)
