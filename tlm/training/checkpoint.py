"""Write and read checkpoints, from which only the run that wrote them can resume.

Place in the flow: the loop saves and restores them. A checkpoint is a directory `step-<n>` with the weights and the
optimizer's state as safetensors, and `state.json`: the step, the counts so far, and the run's fingerprint. Data order,
masks, dropout and learning rate are functions of (seed, step), so a resumed run is exact to the bit. A checkpoint is
written under a temporary name, then renamed; the two latest are kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tlm.errors import TlmError

_KEEP = 2


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    state: Mapping[str, Any],
) -> Path:
    """Write `folder/step-<step>` after `step` finished steps, and remove all but the two latest checkpoints."""
    final = folder / f"step-{step:09d}"
    working = folder / f".{final.name}.tmp"
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    write(working, step, model, optimizers, state)
    shutil.rmtree(final, ignore_errors=True)
    working.replace(final)
    for old in _finished(folder)[:-_KEEP]:
        shutil.rmtree(old)
    return final


def write(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Write the files of a checkpoint into an empty `folder`."""
    save_file(_plain(dict(model.named_parameters())), folder / "model.safetensors")
    save_file(_plain(_optimizer_tensors(model, optimizers)), folder / "optimizer.safetensors")
    (folder / "state.json").write_text(json.dumps({"step": step, **state}), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    finished = _finished(folder)
    return finished[-1] if finished else None


def step_of(checkpoint: Path) -> int:
    """The number of steps that were finished when the checkpoint was written."""
    return int(checkpoint.name.removeprefix("step-"))


def read_state(checkpoint: Path, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The `state.json` of a checkpoint.

    Raises TlmError with the first difference if a run with another fingerprint wrote it.
    """
    state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    here = json.loads(json.dumps(fingerprint))
    if difference := first_difference(state["fingerprint"], here):
        raise TlmError(
            f"{checkpoint}: made by a run with {difference}; "
            f"delete {checkpoint.parent.parent} to start over, or restore that setting to resume"
        )
    return state


def first_difference(then: Any, now: Any, path: str = "") -> str | None:
    """`stage1.rho2 = 20 (now 5)` for the first value that differs between nested mappings, or None."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            inner = f"{path}.{key}" if path else str(key)
            if found := first_difference(then.get(key), now.get(key), inner):
                return found
        return None
    return None if then == now else f"{path} = {then} (now {now})"


def restore(checkpoint: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Load weights and optimizer state in place."""
    load_weights(checkpoint / "model.safetensors", model)
    tensors = load_file(checkpoint / "optimizer.safetensors")
    owner = {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for optimizer in optimizers:
        optimizer.state.clear()
    for name, parameter in model.named_parameters():
        prefix = f"{name}/"
        found = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if found:
            owner[parameter].state[parameter] = {
                key: value.to(parameter.device if value.ndim or parameter.is_cuda else "cpu")
                for key, value in found.items()
            }


def save_weights(path: Path, model: nn.Module) -> None:
    """Save only the parameters, atomically."""
    working = path.with_name(f".{path.name}.tmp")
    save_file(_plain(dict(model.named_parameters())), working)
    _sync(working)
    working.replace(path)


def load_weights(path: Path, model: nn.Module) -> None:
    """Copy saved parameters into `model`; both must have the same names."""
    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])


def _optimizer_tensors(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for optimizer in optimizers
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _sync(path: Path) -> None:
    """Flush to disk before the rename, so that a power cut cannot leave a partial file under the final name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
