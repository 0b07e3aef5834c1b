"""Checkpoints: complete or absent, rotated, and only for their own run."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tlm.errors import TlmError
from tlm.training import checkpoint


def trained(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    for step in range(steps):
        loss = model(torch.full((2, 3), float(step + 1)))[:, 0].sum()
        # The second layer takes no part in the first step: its state begins later.
        (loss if step else model[0].weight.sum()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model, optimizer


def test_restored_runs_continue_exactly(tmp_path: Path):
    model, optimizer = trained(3)
    checkpoint.save(tmp_path, 3, model, [optimizer], {"fingerprint": {}})
    other, other_optimizer = trained(1)
    checkpoint.restore(checkpoint.latest(tmp_path), other, [other_optimizer])
    for each, its in ((model, optimizer), (other, other_optimizer)):
        each(torch.ones(1, 3)).sum().backward()
        its.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_the_two_latest_are_kept_and_partial_checkpoints_ignored(tmp_path: Path):
    model, optimizer = trained(1)
    assert checkpoint.latest(tmp_path) is None
    for step in (5, 10, 15):
        checkpoint.save(tmp_path, step, model, [optimizer], {"fingerprint": {}})
    (tmp_path / ".step-000000020.tmp").mkdir()  # a crash while writing
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-000000010", "step-000000015"]
    assert checkpoint.step_of(checkpoint.latest(tmp_path)) == 15


def test_a_checkpoint_of_another_run_raises_with_the_difference(tmp_path: Path):
    model, optimizer = trained(1)
    state = {"fingerprint": {"seed": 1, "stage1": {"rho2": 20.0}}}
    last = checkpoint.save(tmp_path / "run" / "checkpoints", 1, model, [optimizer], state)
    assert checkpoint.read_state(last, {"seed": 1, "stage1": {"rho2": 20.0}})["step"] == 1
    with pytest.raises(TlmError, match=r"stage1\.rho2 = 20\.0 \(now 5\.0\); delete .*run to start over"):
        checkpoint.read_state(last, {"seed": 1, "stage1": {"rho2": 5.0}})
    with pytest.raises(TlmError, match=r"a run with stage1\.rho2 = 20\.0 \(now None\)"):
        checkpoint.read_state(last, {"seed": 1, "stage1": {}})
