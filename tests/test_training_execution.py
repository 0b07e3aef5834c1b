"""Trackers, attention by device and compilation; none of them changes the results of a run."""

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from accelerate.tracking import GeneralTracker
from accelerate.utils import DynamoBackend
from model_toy import two_heads
from safetensors.torch import load_file
from training_toy import Toy, toy_spec

from tlm.config.training import TRACKERS, Optimizer
from tlm.errors import TlmError
from tlm.training import execution, loop, model, optimizer
from tlm.training.execution import Execution
from tlm.training.model import TensorBatch, attention_for
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def stage1(toy: Toy, out: Path, how: Execution | None = None, **changes) -> dict:
    how = how or Execution(cpu=True)
    run_stage1(toy_spec(**changes), toy.task, toy.external, toy.tokenizer, out, execution=how)
    return json.loads((out / "record.json").read_text())


def weights(folder: Path) -> bytes:
    return (folder / "mlm" / "model.safetensors").read_bytes()


class Notebook(GeneralTracker):
    """A tracker that remembers."""

    name = "notebook"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict = {}
        self.lines: list[tuple[int, dict]] = []
        self.finished = 0

    @property
    def tracker(self):
        return self

    def store_init_configuration(self, values: dict) -> None:
        self.settings = values

    def log(self, values: dict, step: int | None, **_) -> None:
        self.lines.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def test_a_tracker_sees_both_stages_and_changes_nothing(toy: Toy, tmp_path: Path):
    for stage in (1, 2):
        notebook = Notebook()
        how = Execution(cpu=True, trackers=(notebook,))
        if stage == 1:
            stage1(toy, tmp_path / "stage1", how)
        else:
            spec = toy_spec()
            run_stage2(spec, tmp_path / "stage1", toy.task, toy.tokenizer, tmp_path / "stage2", execution=how)
        logged = [json.loads(line) for line in (tmp_path / f"stage{stage}" / "log.jsonl").open()]
        assert [step for step, _ in notebook.lines] == [line["step"] for line in logged]
        for (_, seen), line in zip(notebook.lines, logged, strict=True):
            assert seen == {key: line[key] for key in seen} and "learning_rate" in seen
        assert notebook.settings["stage1.rho2"] == 20.0 and notebook.settings["stage"] == f"stage {stage}"
        assert notebook.finished == 1
    stage1(toy, tmp_path / "alone")
    assert weights(tmp_path / "alone") == weights(tmp_path / "stage1")


def test_tensorboard_writes_the_logged_numbers_beside_the_run(toy: Toy, tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stage1(toy, tmp_path / "run" / "stage1", Execution(cpu=True, trackers=("tensorboard",)))
    logged = [json.loads(line) for line in (tmp_path / "run/stage1/log.jsonl").open()]
    written: dict[str, dict[int, float]] = {}
    for path in (tmp_path / "run/tracking").rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["scalars"]:
            written.setdefault(tag, {}).update({event.step: event.value for event in events.Scalars(tag)})
    assert "learning_rate" in written
    for tag, values in written.items():
        assert values == pytest.approx({line["step"]: line[tag] for line in logged if tag in line}), tag


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_raises(tmp_path: Path, monkeypatch, name):
    monkeypatch.setattr(execution, "get_available_trackers", list)
    with pytest.raises(
        TlmError, match=f"'{name}' is configured, but not installed; run `pip install {name}`"
    ):
        Execution(cpu=True, trackers=(name,)).accelerator(tmp_path / "s", idle_heads=False)
    with pytest.raises(TlmError, match="no tracker 'aim'; there are tensorboard, wandb"):
        Execution(cpu=True, trackers=("aim",)).accelerator(tmp_path / "s", idle_heads=False)


def test_attention_by_device(monkeypatch):
    assert [attention_for(device) for device in ("cpu", "cuda")] == ["eager", "sdpa"]
    assert [attention_for("cuda", wanted) for wanted in ("eager", "sdpa")] == ["eager", "sdpa"]
    with pytest.raises(TlmError, match="runs on a GPU only"):
        attention_for("cpu", "flash_attention_2", "bf16")
    monkeypatch.setattr(model, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(TlmError, match="needs the package flash-attn"):
        attention_for("cuda", "flash_attention_2", "bf16")
    monkeypatch.setattr(model, "is_flash_attn_2_available", lambda: True)
    assert attention_for("cuda", "flash_attention_2", "bf16") == "flash_attention_2"
    with pytest.raises(TlmError, match="needs precision: bf16"):
        attention_for("cuda", "flash_attention_2", "fp32")


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_every_attention_trains_the_same_but_for_rounding(toy: Toy, tmp_path: Path, architecture):
    found = {}
    for wanted in ("auto", "eager", "sdpa"):
        record = stage1(toy, tmp_path / wanted, attention=wanted, **{"model.architecture": architecture})
        assert record["environment"]["attention"] == ("eager" if wanted == "auto" else wanted)
        found[wanted] = load_file(tmp_path / wanted / "mlm" / "model.safetensors")
    for wanted in ("eager", "sdpa"):
        for name, tensor in found["auto"].items():
            assert torch.allclose(tensor, found[wanted][name], rtol=1e-3, atol=1e-4), (wanted, name)


def test_the_specification_turns_compilation_on(toy: Toy, tmp_path: Path, monkeypatch):
    compiled = []

    def compile_(module):
        compiled.append(module)
        return functools.partial(torch.compile, backend="eager")(module)

    stage1(toy, tmp_path / "plain")
    monkeypatch.setattr(loop, "torch", SimpleNamespace(**{**vars(torch), "compile": compile_}))
    stage1(toy, tmp_path / "compiled", compile=True)
    assert len(compiled) == 1
    plain, other = (load_file(tmp_path / n / "mlm/model.safetensors") for n in ("plain", "compiled"))
    assert all(torch.allclose(plain[name], other[name], rtol=1e-3, atol=1e-4) for name in plain)


def test_muon_trains_the_encoders_matrices_alone(toy: Toy, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(optimizer, "cpu_multiplies_bf16", lambda: True)
    for architecture, each in (("bert", 6), ("modernbert", 4)):
        two = two_heads(architecture)
        adamw, muon = optimizer.build_optimizers(Optimizer(learning_rate=1e-3, kind="muon"), two)
        owned = [{id(p) for group in o.param_groups for p in group["params"]} for o in (adamw, muon)]
        assert not owned[0] & owned[1] and len(owned[1]) == each * 3
        assert owned[0] | owned[1] == {id(parameter) for parameter in two.parameters()}
        names = {name for name, parameter in two.named_parameters() if id(parameter) in owned[1]}
        assert all("layer" in name and name.endswith("weight") for name in names)
    monkeypatch.setattr(optimizer, "cpu_multiplies_bf16", lambda: False)
    with pytest.raises(TlmError, match="muon multiplies in bf16"):
        stage1(toy, tmp_path / "s", **{"stage1.optimizer.kind": "muon"})


def test_a_full_gpu_raises_with_advice(toy: Toy, tmp_path: Path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nmore")

    monkeypatch.setattr(TensorBatch, "to", full)
    with pytest.raises(TlmError, match=r"CUDA out of memory. Tried .* MiB\.\); lower batch_size"):
        stage1(toy, tmp_path / "s")


def test_a_run_that_has_learnt_enough_ends_early(toy: Toy, tmp_path: Path):
    spec = toy_spec(**{"stage1.evaluations": 4})
    common = (spec, toy.task, toy.external, toy.tokenizer)
    run_stage1(*common, tmp_path / "whole", execution=Execution(cpu=True))
    history = json.loads((tmp_path / "whole" / "record.json").read_text())["held_out"]
    until = history[1]["held_out_mlm"]
    run_stage1(*common, tmp_path / "cut", until=until, execution=Execution(cpu=True))
    record = json.loads((tmp_path / "cut" / "record.json").read_text())
    first = next(i for i, entry in enumerate(history) if entry["held_out_mlm"] <= until)
    assert record["held_out"] == history[: first + 1]
    assert record["work"]["steps"] == history[first]["step"]


@pytest.fixture
def fresh_state():
    """Accelerate keeps one state a process; the tests before have set it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_accelerates_environment_does_not_change_the_training(tmp_path, monkeypatch, fresh_state):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "inductor")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    accelerator = Execution(cpu=True).accelerator(tmp_path / "s", idle_heads=False)
    assert accelerator.gradient_accumulation_steps == 1
    assert accelerator.mixed_precision == "no"
    assert accelerator.state.dynamo_plugin.backend == DynamoBackend.NO


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG"])
def test_a_configuration_that_divides_the_model_raises(tmp_path, monkeypatch, name):
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(TlmError, match=f"configured for {name}"):
        Execution(cpu=True).accelerator(tmp_path / "s", idle_heads=False)
