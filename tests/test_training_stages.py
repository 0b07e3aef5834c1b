"""Both stages, end to end on toy data: every mode, exact repeats, resumes, and error messages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_toy import CPU, LENGTH, Toy, read_record, toy_rows, toy_spec
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from tlm.artifacts import partial_path, verify
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.training import monitor, optimizer, prefetch, stage2
from tlm.training.rate_schedule import RateSchedule
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import best_of, evaluations_since_best, run_stage2


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(autouse=True)
def any_processor(monkeypatch):
    """At this size Muon's bf16 products are quick enough anywhere."""
    monkeypatch.setattr(optimizer, "cpu_multiplies_bf16", lambda: True)


def stage1(toy: Toy, spec: RunSpec, out: Path, task: Path | None = None, external: bool = True):
    return run_stage1(
        spec, task or toy.task, toy.external if external else None, toy.tokenizer, out, execution=CPU
    )


def two_stages(toy: Toy, spec: RunSpec, out: Path, task: Path | None = None, external: bool = True) -> dict:
    stage1(toy, spec, out / "stage1", task, external)
    if spec.stage2 is None:
        return {}
    run_stage2(spec, out / "stage1", task or toy.task, toy.tokenizer, out / "stage2", execution=CPU)
    return read_record(out / "stage2")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: Path, b: Path) -> bool:
    one, two = weights(a), weights(b)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


MODES = {
    "tlm": {},
    "bert": {"model.architecture": "bert", "model.intermediate_size": 64},
    "dropout": {"model.dropout": 0.1},
    "cooccurrence": {"model.embedding_init": "cooccurrence", "model.pooling": "mean"},
    "ext-only": {"stage1.rho1": "inf"},
    "task-only": {"stage1.rho1": 0},
    "rho2-0": {"stage1.rho2": 0},
    "no-stage2": {"stage2": None},
    "token-batches": {"stage1.batch_tokens": 200, "stage1.accumulation": 2},
    "token-budget": {"stage1.budget": {"tokens": 1500}},
    "two-lengths": {"stage1.internal_length": 12, "stage1.external_length": 24},
    "muon": {"stage1.optimizer.kind": "muon", "stage2.optimizer.kind": "muon"},
    "sdpa": {"attention": "sdpa"},
    "smoothing": {"stage2.label_smoothing": 0.2, "stage2.epochs": 0.5, "stage2.steps": None},
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_and_loads(toy: Toy, tmp_path: Path, mode: str):
    spec = toy_spec(**MODES[mode])
    out = two_stages(toy, spec, tmp_path, external=mode != "task-only")
    verify(tmp_path / "stage1", "stage1")
    AutoModelForMaskedLM.from_pretrained(tmp_path / "stage1" / "mlm")
    has_classifier = (tmp_path / "stage1" / "classifier").exists()
    assert has_classifier == (mode != "ext-only")
    last = tmp_path / "stage1" / "classifier"
    if spec.stage2 is not None:
        verify(tmp_path / "stage2", "stage2")
        last = tmp_path / "stage2" / "model"
        assert out["best"]["dev_primary"] == max(entry["dev_primary"] for entry in out["dev"])
    model = AutoModelForSequenceClassification.from_pretrained(last)
    inputs = AutoTokenizer.from_pretrained(last)(["a rose and a boat"], return_tensors="pt")
    assert ("token_type_ids" in inputs) == (mode == "bert")
    assert model(**inputs).logits.shape == (1, 3)
    assert model.config.id2label == {0: "garden", 1: "harbour", 2: "kitchen"}


def test_gradients_are_clipped_only_where_a_norm_is_set(toy: Toy, tmp_path: Path):
    for name, limit in (("none", None), ("huge", 1e9), ("small", 0.01)):
        stage1(toy, toy_spec(**{"stage1.optimizer.max_grad_norm": limit}), tmp_path / name)
    assert same(tmp_path / "none" / "mlm", tmp_path / "huge" / "mlm")
    assert not same(tmp_path / "none" / "mlm", tmp_path / "small" / "mlm")


def test_a_language_model_without_a_task(toy: Toy, tmp_path: Path):
    spec = toy_spec(**{"stage1.rho1": "inf"})
    run_stage1(spec, None, toy.external, toy.tokenizer, tmp_path / "plm", execution=CPU)
    assert read_record(tmp_path / "plm")["held_out"] == []
    run_stage1(
        spec,
        None,
        toy.external,
        toy.tokenizer,
        tmp_path / "with-held-out",
        held_out_tokens=toy.task,
        execution=CPU,
    )
    assert len(read_record(tmp_path / "with-held-out")["held_out"]) == 2
    assert same(tmp_path / "plm" / "mlm", tmp_path / "with-held-out" / "mlm")


def test_finetuning_a_checkpoint_without_stage1(toy: Toy, tmp_path: Path):
    stage1(toy, toy_spec(), tmp_path / "stage1")
    spec = toy_spec(**{"model.pretrained": str(tmp_path / "stage1" / "mlm")})
    run_stage2(spec, None, toy.task, toy.tokenizer, tmp_path / "stage2", execution=CPU)
    run_stage2(toy_spec(), tmp_path / "stage1", toy.task, toy.tokenizer, tmp_path / "same", execution=CPU)
    assert same(tmp_path / "stage2" / "model", tmp_path / "same" / "model")
    with pytest.raises(TlmError, match="nothing to start from"):
        run_stage2(toy_spec(), None, toy.task, toy.tokenizer, tmp_path / "x", execution=CPU)


def test_stage1_continues_from_a_pretraining(toy: Toy, tmp_path: Path):
    """PLM + MLM (Table 8): the language model of one stage 1, then the task's own texts in another."""
    pretraining = toy_spec(**{"stage1.rho1": "inf"})
    run_stage1(pretraining, None, toy.external, toy.tokenizer, tmp_path / "plm", execution=CPU)
    spec = toy_spec(**{"stage1.rho1": 0, "model.embedding_init": "cooccurrence"})
    common = (spec, toy.task, None, toy.tokenizer)
    # With a learning rate near zero, the weights stay the same.
    still = toy_spec(**{"stage1.rho1": 0, "stage1.optimizer.learning_rate": 1e-30})
    run_stage1(still, *common[1:], tmp_path / "still", start=tmp_path / "plm", execution=CPU)
    assert same(tmp_path / "plm" / "mlm", tmp_path / "still" / "mlm")
    run_stage1(*common, tmp_path / "adapted", start=tmp_path / "plm", execution=CPU)
    assert not same(tmp_path / "plm" / "mlm", tmp_path / "adapted" / "mlm")
    assert read_record(tmp_path / "adapted")["embedding_init"] == {"kind": "stage1"}
    inputs = verify(tmp_path / "adapted", "stage1").inputs
    assert inputs["start"] == verify(tmp_path / "plm", "stage1").digest
    run_stage2(spec, tmp_path / "adapted", toy.task, toy.tokenizer, tmp_path / "stage2", execution=CPU)


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_stage2_has_stage1s_encoder_and_a_new_head(toy: Toy, tmp_path: Path, architecture):
    still = {"stage2.optimizer.learning_rate": 1e-30, "stage2.optimizer.weight_decay": 0}
    two_stages(toy, toy_spec(**{"model.architecture": architecture, **still}), tmp_path)
    mlm, before, after = (
        weights(tmp_path / name) for name in ("stage1/mlm", "stage1/classifier", "stage2/model")
    )
    encoder = [name for name in after if name.startswith(("model.", "bert.embeddings", "bert.encoder"))]
    heads = [name for name in after if name not in encoder and after[name].ndim > 1]
    assert encoder and all(torch.equal(after[name], mlm[name]) for name in encoder)
    assert len(heads) == 2 and not any(torch.equal(after[name], before[name]) for name in heads)


def test_both_stages_learn_the_toy_task(toy: Toy, tmp_path: Path):
    spec = toy_spec(
        **{
            "stage1.budget": {"steps": 120},
            "stage1.batch_size": 16,
            "stage2.steps": 80,
            "stage1.checkpoint_every": 1000,
            "stage2.checkpoint_every": 1000,
        }
    )
    out = two_stages(toy, spec, tmp_path)
    assert out["best"]["dev_macro_f1"] > 0.8
    held_out = [entry["held_out_mlm"] for entry in read_record(tmp_path / "stage1")["held_out"]]
    assert held_out[-1] < held_out[0] < np.log(512)


def test_the_record_counts_the_work(toy: Toy, tmp_path: Path):
    spec = toy_spec(**{"stage1.internal_length": 16})
    stage1(toy, spec, tmp_path / "s")
    work = read_record(tmp_path / "s")["work"]
    assert work["steps"] == 12 and work["internal"]["steps"] == 4 and work["external"]["steps"] == 8
    assert work["rows"] == 12 * 8
    assert work["internal"]["nominal_tokens"] == 4 * 8 * 16
    assert work["external"]["nominal_tokens"] == 8 * 8 * LENGTH
    for name in ("real_tokens", "padded_tokens", "squared_lengths", "masked_positions"):
        assert work[name] == work["internal"][name] + work["external"][name] > 0
    assert work["real_tokens"] <= work["padded_tokens"] <= work["squared_lengths"]
    lines = [json.loads(line) for line in (tmp_path / "s" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["tokens"] == work["real_tokens"] and lines[-1]["step"] == 12
    assert {"external_mlm", "internal_mlm", "task", "held_out_mlm", "learning_rate"} <= set().union(*lines)


def test_the_same_seed_gives_the_same_bytes(toy: Toy, tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        two_stages(toy, toy_spec(seed=seed), tmp_path / name)
    a, b, c = (tmp_path / name for name in "abc")
    for stage in ("stage1", "stage2"):
        assert verify(a / stage).digest == verify(b / stage).digest
    assert same(a / "stage2" / "model", b / "stage2" / "model")
    assert not same(a / "stage2" / "model", c / "stage2" / "model")


class Killed(BaseException):
    """Simulates a signal: no code in the package may catch it."""


@pytest.mark.parametrize("mode", ["tlm", "dropout", "cooccurrence", "muon"])
@pytest.mark.parametrize("at", [3, 7, 11])
def test_a_run_killed_at_any_step_resumes_to_the_bit(toy: Toy, tmp_path: Path, monkeypatch, mode, at):
    spec = toy_spec(**MODES[mode])
    two_stages(toy, spec, tmp_path / "whole")
    for stage in ("stage1", "stage2"):
        original = RateSchedule.rate

        def dies(schedule, step, original=original):
            if step == at:
                raise Killed
            return original(schedule, step)

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(RateSchedule, "rate", dies)
            if stage == "stage1":
                stage1(toy, spec, tmp_path / "cut" / "stage1")
            else:
                run_stage2(
                    spec,
                    tmp_path / "cut/stage1",
                    toy.task,
                    toy.tokenizer,
                    tmp_path / "cut/stage2",
                    execution=CPU,
                )
        assert not (tmp_path / "cut" / stage).exists()
        assert (partial_path(tmp_path / "cut" / stage) / "checkpoints").exists() == (at > 5)
        if stage == "stage1":
            stage1(toy, spec, tmp_path / "cut" / "stage1")
    run_stage2(spec, tmp_path / "cut/stage1", toy.task, toy.tokenizer, tmp_path / "cut/stage2", execution=CPU)
    for name in ("stage1/mlm", "stage1/classifier", "stage2/model"):
        assert same(tmp_path / "whole" / name, tmp_path / "cut" / name)
    for stage in ("stage1", "stage2"):
        assert verify(tmp_path / "whole" / stage).digest == verify(tmp_path / "cut" / stage).digest
        steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / stage / "log.jsonl").open()]
        assert steps == sorted(set(steps))


def test_a_checkpoint_of_another_spec_raises(toy: Toy, tmp_path: Path, monkeypatch):
    def dies(*_):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(monitor.Monitor, "report", dies)
        stage1(toy, toy_spec(**{"stage1.checkpoint_every": 4}), tmp_path / "s")
    # Killed before anything was logged, so before a checkpoint: any spec may begin.
    shutil.rmtree(partial_path(tmp_path / "s"))
    calls = []

    def dies_later(schedule, step):
        calls.append(step)
        if step == 9:
            raise Killed
        return 1e-3

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(RateSchedule, "rate", dies_later)
        stage1(toy, toy_spec(), tmp_path / "s")
    with pytest.raises(TlmError, match=r"stage1\.rho2 = 20\.0 \(now 5\.0\)"):
        stage1(toy, toy_spec(**{"stage1.rho2": 5}), tmp_path / "s")


def test_a_loss_that_is_not_a_number_stops_with_its_step(toy: Toy, tmp_path: Path):
    spec = toy_spec(**{"stage1.optimizer.learning_rate": 1e30, "stage1.optimizer.warmup_fraction": 0})
    with pytest.raises(
        TlmError, match=r"stage 1: the loss (is not a number|diverges).*there is no checkpoint yet"
    ):
        stage1(toy, spec, tmp_path / "s")


def test_out_of_memory_raises_with_advice(toy: Toy, tmp_path: Path, monkeypatch):
    def full(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(prefetch.TensorBatch, "to", full)
    with pytest.raises(TlmError, match=r"out of memory.*lower batch_size"):
        stage1(toy, toy_spec(), tmp_path / "s")


EDGES = {
    "one-row": {"train": [("a rose", "garden")], "dev": [("tide", "harbour")]},
    "one-token": {"train": [("rose", "garden"), ("tide", "harbour")] * 5, "dev": [("rose", "garden")]},
    "empty-text": {"train": [("", "garden"), ("tide", "harbour")], "dev": [("", "garden")]},
    "long-text": {
        "train": [("rose " * 10_000, "garden"), ("tide", "harbour")],
        "dev": [("boat " * 500, "harbour")],
    },
    "imbalance": {"train": [("rose", "garden")] * 99 + [("tide", "harbour")], "dev": toy_rows(6, 1)},
}


@pytest.mark.parametrize("edge", EDGES)
def test_unusual_data_trains(toy: Toy, tmp_path: Path, edge: str):
    task = toy.tokens(f"edge-{edge}", EDGES[edge])
    two_stages(toy, toy_spec(), tmp_path, task)
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "stage2" / "model")


def test_one_class_pairs_and_regression(toy: Toy, tmp_path: Path):
    one = toy.tokens(
        "one-class", {"train": [("rose", "garden")] * 9, "dev": [("rose", "garden")]}, labels=["garden"]
    )
    assert two_stages(toy, toy_spec(), tmp_path / "one", one)["best"]["dev_accuracy"] == 1.0
    pairs = [(text, "the boat", label) for text, label in toy_rows(20, 4)]
    for architecture in ("bert", "modernbert"):
        spec = toy_spec(**{"model.architecture": architecture})
        task = toy.tokens(f"pairs-{architecture}", {"train": pairs, "dev": pairs[:6]})
        two_stages(toy, spec, tmp_path / architecture, task)
    numbers = [(text, float(i % 5)) for i, (text, _) in enumerate(toy_rows(20, 5))]
    task = toy.tokens("regression", {"train": numbers, "dev": numbers[:6]}, regression=True)
    assert "dev_spearman" in two_stages(toy, toy_spec(), tmp_path / "numbers", task)["best"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "numbers" / "stage2" / "model")
    assert model.config.problem_type == "regression" and model.config.num_labels == 1


def test_test_splits_are_never_opened(toy: Toy, tmp_path: Path):
    task = toy.tokens("hidden", {"train": toy_rows(30, 1), "dev": toy_rows(9, 2), "test": toy_rows(9, 3)})
    shutil.rmtree(task / "test")
    two_stages(toy, toy_spec(), tmp_path, task)


def test_dev_is_predicted_in_its_own_order(toy: Toy, tmp_path: Path):
    rows = sorted(toy_rows(90, 8), key=lambda row: -len(row[0]))
    task = toy.tokens("order", {"train": toy_rows(30, 1), "dev": rows})
    two_stages(toy, toy_spec(), tmp_path, task)
    last = tmp_path / "stage2" / "model"
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(last),
        AutoTokenizer.from_pretrained(last),
    )
    guesses = [
        model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH))
        .logits.argmax()
        .item()
        for text, _ in rows
    ]
    truth = [model.config.label2id[label] for _, label in rows]
    right = np.mean(np.array(guesses) == np.array(truth))
    assert read_record(tmp_path / "stage2")["best"]["dev_accuracy"] == pytest.approx(right)


def test_the_earliest_of_equals_is_kept():
    history = [{"step": s, stage2.PRIMARY: v} for s, v in ((4, 0.5), (8, 0.7), (12, 0.7))]
    assert best_of(history)["step"] == 8


def test_invalid_inputs_raise_and_write_no_artifact(toy: Toy, tmp_path: Path):
    with pytest.raises(TlmError, match="another tokenizer"):
        other = Toy(tmp_path / "other")
        shutil.rmtree(other.tokenizer)
        shutil.copytree(toy.tokenizer, other.tokenizer)
        manifest = json.loads((other.tokenizer / "manifest.json").read_text())
        manifest["counts"]["vocabulary"] = 1
        (other.tokenizer / "manifest.json").write_text(json.dumps(manifest))
        stage1(other, toy_spec(), tmp_path / "s")
    with pytest.raises(TlmError, match="no stage 2"):
        run_stage2(toy_spec(stage2=None), None, toy.task, toy.tokenizer, tmp_path / "s", execution=CPU)
    task = toy.tokens("no-dev", {"train": toy_rows(9, 1)})
    stage1(toy, toy_spec(), tmp_path / "stage1")
    with pytest.raises(TlmError, match="dev split is empty"):
        run_stage2(toy_spec(), tmp_path / "stage1", task, toy.tokenizer, tmp_path / "s", execution=CPU)
    with pytest.raises(TlmError, match="longer than the model's max_length"):
        stage1(toy, toy_spec(**{"model.max_length": 16}), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_stage_2_ends_when_its_patience_does(toy: Toy, tmp_path: Path):
    """With a learning rate that changes nothing, no evaluation is better than the first."""
    changes = {"stage2.epochs": None, "stage2.steps": 12, "stage2.evaluations": 12, "stage2.patience": 3}
    spec = toy_spec(**changes, **{"stage2.optimizer.learning_rate": 1e-12})
    stage1(toy, spec, tmp_path / "stage1")
    run_stage2(spec, tmp_path / "stage1", toy.task, toy.tokenizer, tmp_path / "stage2", execution=CPU)
    assert [each["step"] for each in read_record(tmp_path / "stage2")["dev"]] == [1, 2, 3, 4]
    assert "patience" not in toy_spec().stage2.model_dump()


def test_evaluations_since_the_best_count_from_the_first_of_equals():
    assert [
        evaluations_since_best(each) for each in ([0.1], [0.1, 0.2], [0.2, 0.1, 0.2], [0.2, 0.1, 0.3])
    ] == [0, 0, 2, 0]
