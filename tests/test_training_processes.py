"""Tests that need real processes: kill -9, and two processes against one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toy import Toy, toy_spec

from tlm.artifacts import partial_path
from tlm.config.training import RunSpec
from tlm.training.execution import Execution
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def start(
    stage: int,
    toy: Toy,
    spec: RunSpec,
    out: Path,
    launch: tuple[str, ...] = (sys.executable,),
    stderr: int | None = None,
    **environment: str,
) -> subprocess.Popen:
    command = [*launch, str(ROOT / "scripts" / f"stage{stage}.py"), "--threads", "1"]
    command += ["--spec", spec.model_dump_json(), "--tokenizer", str(toy.tokenizer)]
    command += ["--task-tokens", str(toy.task), "--output", str(out / f"stage{stage}")]
    command += ["--external-tokens", str(toy.external)] if stage == 1 else ["--stage1", str(out / "stage1")]
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.Popen(command, env=variables, cwd=ROOT, stderr=stderr, text=True)


def alone(stage: int, toy: Toy, spec: RunSpec, out: Path) -> None:
    """The same in this process, which has already imported the libraries that a script has to import first."""
    here = Execution(threads=1, cpu=True)
    if stage == 1:
        run_stage1(spec, toy.task, toy.external, toy.tokenizer, out / "stage1", execution=here)
    else:
        run_stage2(spec, out / "stage1", toy.task, toy.tokenizer, out / "stage2", execution=here)


def logged_step(partial: Path) -> int:
    try:
        lines = (partial / "log.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["step"])
    except (FileNotFoundError, IndexError, ValueError):
        return 0


def test_kill_nine_and_run_again(toy: Toy, tmp_path: Path):
    spec = toy_spec(
        **{
            "stage1.budget": {"steps": 400},
            "stage1.checkpoint_every": 7,
            "model.embedding_init": "cooccurrence",
        }
    )
    alone(1, toy, spec, tmp_path / "whole")
    partial = partial_path(tmp_path / "cut" / "stage1")
    reached = 0
    for _ in range(2):  # killed twice, at steps that timing decides
        process = start(1, toy, spec, tmp_path / "cut")
        deadline = time.monotonic() + 120
        while logged_step(partial) <= reached + 20 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        reached = logged_step(partial)
    assert not (tmp_path / "cut" / "stage1").exists()
    assert start(1, toy, spec, tmp_path / "cut").wait() == 0
    for name in ("mlm", "classifier"):
        whole = (tmp_path / "whole" / "stage1" / name / "model.safetensors").read_bytes()
        assert whole == (tmp_path / "cut" / "stage1" / name / "model.safetensors").read_bytes()


def by_hand(stage: int, toy: Toy, spec: RunSpec, out: Path, port: str) -> list[subprocess.Popen]:
    """Two processes with the variables that every launcher sets."""
    return [start(stage, toy, spec, out, **by_launcher(rank, port)) for rank in (0, 1)]


def by_launcher(rank: int, port: str) -> dict[str, str]:
    """The variables of one of two processes."""
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def by_accelerate(stage: int, toy: Toy, spec: RunSpec, out: Path, port: str) -> list[subprocess.Popen]:
    """The command of docs/training.md."""
    module = (sys.executable, "-m", "accelerate.commands.launch")
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    return [start(stage, toy, spec, out, (*module, *options, "--main_process_port", port))]


@pytest.mark.parametrize(
    ("accumulation", "stages", "launched"), [(1, [1], by_accelerate), (2, [1, 2], by_hand)]
)
def test_two_processes_train_the_same_as_one(
    toy: Toy, tmp_path: Path, accumulation: int, stages: list[int], launched: Callable
):
    """With accumulation 2 each process takes whole micro-batches, with 1 half the rows of each."""
    spec = toy_spec(**{"stage1.accumulation": accumulation, "stage1.batch_size": 6})
    port = free_port()
    for stage in stages:
        alone(stage, toy, spec, tmp_path / "one")
        processes = launched(stage, toy, spec, tmp_path / "two", port)
        assert not any(process.wait(timeout=200) for process in processes)
    last = f"stage{stages[-1]}"
    records = [json.loads((tmp_path / n / last / "record.json").read_text()) for n in ("one", "two")]
    assert records[0]["work"] == records[1]["work"]
    assert records[1]["environment"]["processes"] == 2
    measured = "dev" if 2 in stages else "held_out"
    for one, two in zip(records[0][measured], records[1][measured], strict=True):
        assert one == pytest.approx(two, abs=1e-4)
    for name in ("stage1/mlm", "stage1/classifier", "stage2/model")[: 1 + len(stages)]:
        one = load_file(tmp_path / "one" / name / "model.safetensors")
        two = load_file(tmp_path / "two" / name / "model.safetensors")
        for key in one:
            assert torch.allclose(one[key], two[key], rtol=1e-3, atol=2e-5), (name, key)


def test_processes_that_see_different_folders_stop_before_training(toy: Toy, tmp_path: Path):
    """Process 0 finds a checkpoint, process 1 an empty folder, as with a disk of its own on each machine."""
    spec = toy_spec(**{"stage1.budget": {"steps": 400}, "stage1.checkpoint_every": 5, "stage1.batch_size": 6})
    partial = partial_path(tmp_path / "first" / "stage1")
    process = start(1, toy, spec, tmp_path / "first")
    deadline = time.monotonic() + 120
    while not list(partial.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    port = free_port()
    processes = [
        start(1, toy, spec, tmp_path / name, stderr=subprocess.PIPE, **by_launcher(rank, port))
        for rank, name in enumerate(("first", "second"))
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 2, errors
        assert "the processes start at different steps (process 0 at step" in errors
        assert "process 1 at step 0)" in errors
    assert not (tmp_path / "first/stage1").exists() and not (tmp_path / "second/stage1").exists()
