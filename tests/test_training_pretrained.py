"""Baselines from a checkpoint: RoBERTa's format, and downloads from the Hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pretrained_toy import COMMIT, LENGTH, hub, save_roberta
from safetensors.torch import load_file
from training_toy import CPU, Toy, read_record, toy_rows, toy_spec, write_task_artifact
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
)

from tlm.artifacts import read_manifest
from tlm.config.training import ModelSpec, TokenizerSpec
from tlm.errors import TlmError
from tlm.evaluation.outputs import encode, load_classifier, model_outputs, read_tokenizer
from tlm.training.masking import assemble, mask
from tlm.training.model import (
    TaskHead,
    TensorBatch,
    TwoHeads,
    build_mlm,
    check_lengths,
    load_pooler,
    new_classifier,
)
from tlm.training.model_families import transform
from tlm.training.objective import Weights
from tlm.training.randomness import generator
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2
from tlm.training.tokenizer import build_tokenizer, load_tokenizer, vocabulary_of
from tlm.training.tokens import open_split, tokenize_task

NAME = "somebody/tiny-roberta"


class Checkpoint:
    """A RoBERTa, and a task's tokens by its tokenizer; texts and pairs."""

    def __init__(self, folder: Path) -> None:
        self.toy = Toy(folder / "toy")
        texts = pq.read_table(self.toy.corpus / "part-00000.parquet")["text"].to_pylist()
        self.model = save_roberta(folder / "roberta", texts)
        self.tokenizer = folder / "tokenizer"
        build_tokenizer(self.toy.corpus, self.tokenizer, TokenizerSpec(pretrained=str(self.model)))
        self.rows = toy_rows(30, 1)
        self.pairs = [(a, b, label) for (a, label), (b, _) in zip(self.rows, toy_rows(30, 7), strict=True)]
        self.single = self.tokens(folder, "single", self.rows)
        self.paired = self.tokens(folder, "paired", self.pairs)
        self.spec = toy_spec(
            **{"model.architecture": "roberta", "model.pretrained": str(self.model), "stage1.rho1": 0}
        )

    def tokens(self, folder: Path, name: str, rows: list) -> Path:
        task = write_task_artifact(folder / f"{name}-task", {"train": rows, "dev": rows[:6]})
        tokenize_task(task, self.tokenizer, folder / name, 4 * LENGTH)
        return folder / name


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Checkpoint:
    return Checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize("length", [9, 13, LENGTH])
def test_pairs_have_two_separators_as_the_tokenizer_puts_them(checkpoint: Checkpoint, length: int):
    tokenizer = load_tokenizer(checkpoint.tokenizer)
    vocabulary = vocabulary_of(tokenizer)
    assert (vocabulary.pad, vocabulary.cls, vocabulary.sep, vocabulary.between) == (1, 0, 2, 2)
    first, second, _ = zip(*checkpoint.pairs, strict=True)
    expected = tokenizer(list(first), list(second), truncation="longest_first", max_length=length)
    batch = assemble(open_split(checkpoint.paired, "train"), np.arange(30), length, vocabulary)
    for row, ids in enumerate(expected["input_ids"]):
        assert batch.input_ids[row, : batch.lengths[row]].tolist() == ids


def test_both_heads_compute_the_same_as_the_native_classes(checkpoint: Checkpoint):
    vocabulary = vocabulary_of(load_tokenizer(checkpoint.tokenizer))
    mlm = build_mlm(checkpoint.spec.model, vocabulary, attention="eager", seed=1).eval()
    two = TwoHeads(mlm, new_classifier(mlm, TaskHead(("a", "b", "c")), seed=2)).eval()
    plain = assemble(open_split(checkpoint.single, "train"), np.arange(9), LENGTH, vocabulary)
    assert plain.lengths.min() < plain.padded_length
    batch = mask(plain, vocabulary, 0.15, generator(0))
    tensors = TensorBatch.of(batch, torch.device("cpu"))
    inputs = {"input_ids": tensors.input_ids, "attention_mask": tensors.mask.long()}
    logits = mlm(**inputs).logits.flatten(0, 1)[tensors.positions]
    states = two.encode(tensors).flatten(0, 1)[tensors.positions]
    assert torch.allclose(mlm.get_output_embeddings()(transform(mlm, states)), logits, atol=1e-5)
    expected = torch.nn.functional.cross_entropy(logits, tensors.targets, reduction="sum")
    assert two(tensors, Weights(1.0, 0.0))["mlm"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(two(tensors)["logits"], two.classifier(**inputs).logits, atol=1e-5)


def test_plm_and_plm_mlm_from_a_checkpoint(checkpoint: Checkpoint, tmp_path: Path):
    """Table 8: finetuned at once, and after masked language modelling on the task's own texts."""
    tasks = (checkpoint.single, checkpoint.tokenizer)
    run_stage2(checkpoint.spec, None, *tasks, tmp_path / "plm", execution=CPU)
    run_stage1(
        checkpoint.spec, checkpoint.single, None, checkpoint.tokenizer, tmp_path / "mlm", execution=CPU
    )
    run_stage2(checkpoint.spec, tmp_path / "mlm", *tasks, tmp_path / "plm-mlm", execution=CPU)
    assert read_record(tmp_path / "mlm")["embedding_init"] == {"kind": "pretrained"}
    AutoModelForMaskedLM.from_pretrained(tmp_path / "mlm" / "mlm")
    for name in ("plm", "plm-mlm"):
        folder = tmp_path / name / "model"
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.model_max_length == LENGTH
        text = checkpoint.rows[0][0]
        inputs = tokenizer(text, return_tensors="pt", truncation=True)
        assert "token_type_ids" not in inputs
        logits = AutoModelForSequenceClassification.from_pretrained(folder)(**inputs).logits.detach().numpy()
        encoded = encode(read_tokenizer(folder), [text], None, LENGTH)
        assert np.allclose(model_outputs(load_classifier(folder, "cpu"), encoded), logits, atol=1e-5)


def test_unsuitable_checkpoints_raise(checkpoint: Checkpoint):
    vocabulary = vocabulary_of(load_tokenizer(checkpoint.tokenizer))
    mlm = build_mlm(checkpoint.spec.model, vocabulary, attention="eager", seed=1)
    check_lengths(mlm.config, [LENGTH])
    with pytest.raises(TlmError, match=f"max_length {LENGTH}"):  # of 34 positions, RoBERTa leaves 2 unused
        check_lengths(mlm.config, [LENGTH + 1])
    other = ModelSpec(architecture="bert", pretrained=str(checkpoint.model))
    with pytest.raises(TlmError, match=r"is a roberta, but model\.architecture is bert"):
        build_mlm(other, vocabulary, attention="eager", seed=1)
    with pytest.raises(ValueError, match="roberta starts from a checkpoint"):
        ModelSpec(architecture="roberta")
    with pytest.raises(ValueError, match="revision needs pretrained"):
        ModelSpec(architecture="bert", revision=COMMIT)


def test_a_pickled_checkpoint_is_read_as_weights_without_running_code(checkpoint: Checkpoint, tmp_path: Path):
    """The checkpoints of Gururangan et al. (2020) have no safetensors."""
    for path in checkpoint.model.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, tmp_path)
    tensors = load_file(checkpoint.model / "model.safetensors")
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    vocabulary = vocabulary_of(load_tokenizer(checkpoint.tokenizer))
    spec = checkpoint.spec.model
    pickled = spec.model_copy(update={"pretrained": str(tmp_path)})
    one, other = (build_mlm(each, vocabulary, attention="eager", seed=1) for each in (spec, pickled))
    for (name, left), (_, right) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(left, right), name

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({**tensors, "extra": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TlmError, match="cannot be loaded"):
        build_mlm(pickled, vocabulary, attention="eager", seed=1)
    assert not (tmp_path / "executed").exists()


def test_the_pretrained_pooler_of_bert_is_kept(tmp_path: Path):
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    whole = BertForPreTraining(config)
    torch.nn.init.constant_(whole.bert.pooler.dense.weight, 0.5)  # unlike any random start
    whole.save_pretrained(tmp_path / "whole")
    BertForMaskedLM(config).save_pretrained(tmp_path / "without")
    spec = ModelSpec(architecture="bert", pretrained=str(tmp_path / "whole"), pooler="pretrained")
    head = TaskHead(("a", "b"))
    classifier = new_classifier(BertForMaskedLM(config), head, seed=1)
    kept, pretrained = classifier.bert.pooler.dense.weight, whole.bert.pooler.dense.weight
    assert not torch.equal(kept, pretrained)
    load_pooler(classifier, spec)
    assert torch.equal(kept, pretrained)
    with pytest.raises(TlmError, match="has no pretrained pooler"):
        load_pooler(classifier, spec.model_copy(update={"pretrained": str(tmp_path / "without")}))
    with pytest.raises(ValueError, match="pooler: pretrained is for bert"):
        ModelSpec(architecture="roberta", pretrained="x", pooler="pretrained")
    assert "pooler" not in ModelSpec(architecture="bert").model_dump()


def test_a_hub_name_is_downloaded_at_its_revision(checkpoint: Checkpoint, tmp_path: Path):
    """The real client against a local Hub, in a separate process because the client reads its address only once."""
    tokenizer, spec = (
        tmp_path / "tokenizer",
        toy_spec(**{"model.architecture": "roberta", "model.pretrained": NAME, "model.revision": COMMIT}),
    )
    stage2 = [*("--spec", spec.model_dump_json()), *("--task-tokens", str(checkpoint.single))]
    with hub(checkpoint.model, NAME) as (address, paths):
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }

        def script(name: str, *arguments: str) -> subprocess.CompletedProcess:
            command = [sys.executable, f"scripts/{name}.py", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        learnt = TokenizerSpec(pretrained=NAME, revision=COMMIT).model_dump_json()
        done = script(
            "tokenizer", "--corpus", str(checkpoint.toy.corpus), "--spec", learnt, "--output", str(tokenizer)
        )
        assert done.returncode == 0, done.stderr
        # The same tokenizer under another name: its tokens are those of the folder's.
        assert load_tokenizer(tokenizer).get_vocab() == load_tokenizer(checkpoint.tokenizer).get_vocab()
        flags = ["--cpu", "--tokenizer", str(checkpoint.tokenizer)]
        done = script("stage2", *stage2, *flags, "--output", str(tmp_path / "stage2"))
        assert done.returncode == 0, done.stderr
        files = [path for path in paths if "/resolve/" in path]
        assert any(path.endswith("model.safetensors") for path in files)
        assert all(f"/resolve/{COMMIT}/" in path for path in files)
        assert not any(path.endswith((".bin", ".py")) for path in files)
        absent = toy_spec(**{"model.architecture": "roberta", "model.pretrained": "somebody/absent"})
        stage2[1] = absent.model_dump_json()
        done = script("stage2", *stage2, *flags, "--output", str(tmp_path / "absent"))
        assert done.returncode != 0
        assert "error: model 'somebody/absent' cannot be loaded" in done.stderr.splitlines()[-1]
    run_stage2(
        checkpoint.spec, None, checkpoint.single, checkpoint.tokenizer, tmp_path / "local", execution=CPU
    )
    here, there = (load_file(tmp_path / n / "model/model.safetensors") for n in ("local", "stage2"))
    assert all(torch.equal(here[name], there[name]) for name in here)
    assert read_manifest(tmp_path / "stage2").parameters["model"]["revision"] == COMMIT
