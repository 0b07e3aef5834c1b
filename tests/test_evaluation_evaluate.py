import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from evaluation_toy import LABELS, RUN, WORDS, make_stages, make_task, save_mlm, save_tokenizer, sentences
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertForMaskedLM

from tlm.artifacts import verify, write_manifest
from tlm.errors import TlmError
from tlm.evaluation.artifact import RunName, open_evaluation
from tlm.evaluation.evaluate import evaluate_run
from tlm.evaluation.heldout import held_out_loss


@pytest.fixture
def task_dir(tmp_path):
    draw = np.random.default_rng(5)
    rows = {
        split: [(text, LABELS[draw.integers(3)]) for text in sentences(count, seed=count)]
        for split, count in (("train", 9), ("dev", 12), ("test", 15))
    }
    return make_task(tmp_path / "colours", rows, labels=LABELS)


def make_selection(folder):
    folder.mkdir()
    write_manifest(folder, "selection", counts={"bytes": 12345, "passages": 67}, parameters={})
    return folder


def test_artifact(task_dir, tmp_path):
    stage1, stage2 = make_stages(tmp_path / "run")
    out = tmp_path / "evaluation"
    selection = make_selection(tmp_path / "selection")
    evaluate_run(
        run=RUN,
        task_dir=task_dir,
        destination=out,
        stage1_dir=stage1,
        stage2_dir=stage2,
        data_dir=selection,
    )
    manifest = verify(out, "evaluation")
    assert manifest.counts == {"dev": 12, "test": 15}
    assert manifest.parameters["length"] == 20
    assert set(manifest.inputs) == {"task", "stage1", "stage2", "data"}
    found = open_evaluation(out)
    assert found.run == RunName("smoke", "colours", "tlm", 3)
    assert found.timing["train_seconds"] == 7.0
    # predictions are those of the saved model, text by text
    model = AutoModelForSequenceClassification.from_pretrained(stage2 / "model")
    tokenizer = AutoTokenizer.from_pretrained(stage2 / "model")
    rows = pq.read_table(task_dir / "test.parquet").to_pylist()
    table = [row for row in pq.read_table(out / "predictions.parquet").to_pylist() if row["split"] == "test"]
    assert [row["row_id"] for row in table] == [row["row_id"] for row in rows]
    for row, predicted in zip(rows, table, strict=True):
        inputs = tokenizer(row["text"], truncation=True, max_length=20, return_tensors="pt")
        with torch.no_grad():
            chances = model(**inputs).logits.softmax(-1)[0]
        np.testing.assert_allclose(predicted["probabilities"], chances, atol=1e-4)
        assert predicted["prediction"] == model.config.id2label[int(chances.argmax())]
        assert predicted["label"] == row["label"]
    right = sum(row["label"] == row["prediction"] for row in table) / len(table)
    assert found.metrics["test"]["metrics"]["accuracy"] == pytest.approx(right)
    assert 0 < found.metrics["dev"]["mlm_loss"] < 2 * math.log(16)


def test_costs_by_hand(task_dir, tmp_path):
    stage1, stage2 = make_stages(tmp_path / "run")
    selection = make_selection(tmp_path / "selection")
    evaluate_run(
        run=RUN,
        task_dir=task_dir,
        destination=tmp_path / "out",
        stage1_dir=stage1,
        stage2_dir=stage2,
        data_dir=selection,
    )
    flops = json.loads((tmp_path / "out" / "flops.json").read_text())
    model = AutoModelForSequenceClassification.from_pretrained(stage2 / "model")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert flops["parameters"] == parameters
    assert flops["data"] == {"bytes": 12345, "passages": 67}
    first = flops["stage1"]
    assert first["tokens"] == {"real": 240 + 1080 - 10, "padded": 240 + 1080, "nominal": 3200}
    assert first["paper"] == 6 * 1310 * parameters
    per_token = 2 * (4 * 16 * 16 + 2 * 16 * 24)
    squares = 10 * 24**2 + 90 * 12**2
    matmul = 6 * (
        per_token * 1320 + 2 * 2 * 16 * squares + (16 * 16 + 16 * 16) * 180 + (16 * 16 + 16 * 3) * 10
    )
    assert first["matmul"]["total"] == matmul + 1000
    assert first["matmul"]["embedding_init"] == 1000
    second = 6 * (per_token * 240 + 2 * 2 * 16 * 10 * 24**2 + (16 * 16 + 16 * 3) * 10)
    assert flops["stage2"]["matmul"]["total"] == second


def test_without_internal_mlm_its_head_is_not_counted(task_dir, tmp_path):
    heads = []
    for rho2 in (20, 0):
        stage1, stage2 = make_stages(tmp_path / f"run{rho2}", rho2=rho2)
        out = tmp_path / f"out{rho2}"
        evaluate_run(run=RUN, task_dir=task_dir, destination=out, stage1_dir=stage1, stage2_dir=stage2)
        flops = json.loads((out / "flops.json").read_text())
        assert flops["data"] == {"bytes": 0, "passages": 0}
        heads.append(flops["stage1"]["matmul"]["lm_head"])
    assert heads[0] / heads[1] == pytest.approx(180 / 150)


def test_stage1_alone_and_a_checkpoint_of_others(task_dir, tmp_path):
    stage1, stage2 = make_stages(tmp_path / "run")
    first = evaluate_run(run=RUN, task_dir=task_dir, destination=tmp_path / "a", stage1_dir=stage1)
    assert first.parameters["length"] == 24
    assert json.loads((tmp_path / "a" / "flops.json").read_text())["stage2"] is None
    evaluate_run(run=RUN, task_dir=task_dir, destination=tmp_path / "b", stage1_dir=None, stage2_dir=stage2)
    assert json.loads((tmp_path / "b" / "flops.json").read_text())["stage1"] is None
    assert json.loads((tmp_path / "b" / "metrics.json").read_text())["dev"]["mlm_loss"] is None
    with pytest.raises(TlmError, match="no model to evaluate"):
        evaluate_run(run=RUN, task_dir=task_dir, destination=tmp_path / "c", stage1_dir=None)


def test_same_digest_every_time(task_dir, tmp_path):
    stage1, stage2 = make_stages(tmp_path / "run")
    digests = {
        evaluate_run(
            run=RUN, task_dir=task_dir, destination=tmp_path / name, stage1_dir=stage1, stage2_dir=stage2
        ).digest
        for name in ("a", "b")
    }
    assert len(digests) == 1


def test_other_classes_and_missing_records_raise(task_dir, tmp_path):
    stage1, stage2 = make_stages(tmp_path / "other", labels=["green", "blue", "red"])
    arguments = {"run": RUN, "task_dir": task_dir, "destination": tmp_path / "out"}
    with pytest.raises(TlmError, match="has the classes green, blue, red"):
        evaluate_run(**arguments, stage1_dir=stage1, stage2_dir=stage2)
    stage1, stage2 = make_stages(tmp_path / "run")
    (stage1 / "record.json").unlink()
    with pytest.raises(TlmError, match=r"record\.json: missing"):
        evaluate_run(**arguments, stage1_dir=stage1, stage2_dir=stage2)
    with pytest.raises(TlmError, match="holds a 'task' artifact where a 'stage2' is needed"):
        evaluate_run(**arguments, stage1_dir=stage1, stage2_dir=task_dir)
    assert not (tmp_path / "out").exists()


def test_held_out_loss_of_an_untrained_model_is_that_of_a_random_guess(tmp_path):
    folder = save_mlm(tmp_path / "mlm")
    save_tokenizer(folder)
    texts = sentences(40)
    first = held_out_loss(folder, texts, None, length=24, probability=0.15)
    assert first == pytest.approx(math.log(16), abs=0.2)
    assert held_out_loss(folder, texts, None, length=24, probability=0.15) == first
    assert held_out_loss(folder, texts, texts[::-1], length=24, probability=0.15) != first


def test_held_out_loss_falls_when_the_model_has_the_word_frequencies(tmp_path):
    """With the output bias set to the texts' own unigram distribution, the loss is near its entropy."""
    folder = save_mlm(tmp_path / "mlm")
    tokenizer = save_tokenizer(folder)
    texts = sentences(300, seed=2)
    counts = np.bincount(
        np.concatenate(
            AutoTokenizer.from_pretrained(tokenizer)(texts, add_special_tokens=False)["input_ids"]
        ),
        minlength=16,
    )
    counts[:5] = 0  # specials, [UNK] among them, are never masked
    shares = (counts + 1e-3) / (counts + 1e-3).sum()
    model = BertForMaskedLM.from_pretrained(folder)
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.tensor(np.log(shares), dtype=torch.float32))
        model.cls.predictions.transform.LayerNorm.weight.zero_()
    model.save_pretrained(folder)
    entropy = -float((shares * np.log(shares)).sum())
    assert entropy < math.log(len(WORDS)) + 0.1
    assert held_out_loss(folder, texts, None, length=24, probability=0.15) == pytest.approx(entropy, abs=0.1)


def test_held_out_loss_raises_without_a_model_or_words(tmp_path):
    with pytest.raises(TlmError, match="holds no masked language model"):
        held_out_loss(tmp_path, ["red"], None, length=24, probability=0.15)
    folder = save_mlm(tmp_path / "mlm")
    save_tokenizer(folder)
    with pytest.raises(TlmError, match="no token that could be masked"):
        held_out_loss(folder, ["", " "], None, length=24, probability=0.15)
