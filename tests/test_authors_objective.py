"""Our loss, gradients, schedule and optimizer against the formulas of the authors' code, on equal tensors.

The formulas, written anew here, are those of `src/model.py`, `src/trainer.py` and `src/run.py` of yaoxingcheng/TLM at
commit fa2f887, and of the optimizer and the linear schedule of the `transformers` version that the code requires.
"""

import math

import numpy as np
import pytest
import torch
from model_toy import batch, two_heads
from projects import project
from torch.nn import functional

from tlm.config.training import INFINITE, Optimizer
from tlm.plan import runs
from tlm.training.batches import Schedule, Stream
from tlm.training.model import TensorBatch
from tlm.training.objective import stage1_weights
from tlm.training.optimizer import build_optimizers, learning_rate

CPU = torch.device("cpu")
RHO1 = [0, 1, 3, 99, INFINITE]
NO_DECAY = ["bias", "LayerNorm.weight"]


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors of this size are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def their_loss(two, one, internal, rho2):
    """MLM over all positions, ignoring -100, and the task: (rho2 · mlm + task) / (rho2 + 1); external: mlm."""
    ids = torch.from_numpy(one.input_ids)
    attention = (torch.arange(ids.shape[1]) < torch.from_numpy(one.lengths)[:, None]).long()
    labels = torch.full((ids.numel(),), -100)
    labels[one.positions] = torch.from_numpy(one.targets)
    scores = two.mlm(input_ids=ids, attention_mask=attention).logits
    mlm = functional.cross_entropy(scores.flatten(0, 1), labels)
    if not internal:
        mlm_weight, task, task_weight = rho2 or 1, 0.0, 0.0
    else:
        logits = two.classifier(input_ids=ids, attention_mask=attention).logits
        mlm_weight, task, task_weight = (
            rho2,
            functional.cross_entropy(logits, torch.from_numpy(one.labels)),
            1.0,
        )
    return (mlm * mlm_weight + task * task_weight) / (mlm_weight + task_weight)


def gradients(two):
    found = {name: each.grad.clone() for name, each in two.named_parameters() if each.grad is not None}
    two.zero_grad(set_to_none=True)
    return found


def check_equal(ours, theirs):
    """Equal up to the rounding of fp32; a head that a loss leaves out has no gradient, or one of zeros."""
    for name in ours.keys() | theirs.keys():
        one, two = ours.get(name), theirs.get(name)
        if one is None or two is None:
            assert not (one if two is None else two).any(), name
        else:
            assert (one - two).norm() <= 1e-4 * two.norm() + 1e-6, name


@pytest.mark.parametrize("rho2", [0, 20, 100, 1000])
@pytest.mark.parametrize("internal", [True, False])
def test_the_loss_and_gradients_of_a_step_are_the_authors(internal, rho2):
    two, one = two_heads("bert"), batch(5, rows=6)
    two(TensorBatch.of(one, CPU), stage1_weights(internal, rho2, [one]))["loss"].backward()
    ours = gradients(two)
    loss = their_loss(two, one, internal, rho2)
    loss.backward()
    check_equal(ours, gradients(two))
    again = two(TensorBatch.of(one, CPU), stage1_weights(internal, rho2, [one]))["loss"]
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)


def their_step_is_internal(step, rho1):
    """The last of every rho1 + 1 steps; the authors' code has no rho1 = infinity, which is no internal step."""
    return rho1 != INFINITE and (rho1 < 1 or (step + 1) % (rho1 + 1) == 0)


@pytest.mark.parametrize("rho1", RHO1)
def test_the_gradients_of_a_whole_cycle_are_the_authors(rho1):
    """One internal and rho1 external batches at fixed weights. The order differs: our internal batch is the first."""
    lengths = np.full(1000, 8)
    streams = [Stream(lengths, seed=1, name=name, batch_size=2) for name in ("internal", "external")]
    schedule = Schedule(*streams, rho1=rho1)
    cycle = 5 if rho1 == INFINITE else rho1 + 1
    two, ours, theirs = two_heads("bert"), [], []

    def data(micro):  # the same tensors for both sides, decided by stream and index
        return batch(1000 * micro.internal + micro.index, rows=2)

    for step in range(cycle):
        micro = schedule.step(step)[0]
        ours.append((micro.internal, micro.index))
        one = data(micro)
        two(TensorBatch.of(one, CPU), stage1_weights(micro.internal, 20, [one]))["loss"].backward()
    total = gradients(two)
    external = internal = 0
    for step in range(cycle):
        inside = their_step_is_internal(step, rho1)
        number, internal, external = (
            (internal, internal + 1, external) if inside else (external, internal, external + 1)
        )
        theirs.append((inside, number))
        their_loss(two, batch(1000 * inside + number, rows=2), inside, 20).backward()
    check_equal(total, gradients(two))
    assert sorted(ours) == sorted(theirs)
    assert [inside for inside, _ in ours] == [inside for inside, _ in theirs[-1:] + theirs[:-1]]


def their_rate(step, warmup, steps):
    """The multiple of the peak rate at a step."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (steps - step) / max(1, steps - warmup))


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_the_learning_rate_is_the_authors_one_step_earlier_during_the_warmup(stage):
    """Their first step has the rate 0 and ours peak / warm-up; from the end of the warm-up on, both are equal."""
    spec = getattr(runs.resolve_reference(project(scale="small"), "scierc", 1).spec, stage)
    steps = spec.budget.steps if stage == "stage1" else spec.steps
    warmup, peak = spec.optimizer.warmup_steps, spec.optimizer.learning_rate
    for step in [0, 1, warmup - 1, warmup, warmup + 1, steps // 2, steps - 1]:
        ahead = step + 1 if step < warmup else step
        expected = peak * their_rate(ahead, warmup, steps)
        assert learning_rate(spec.optimizer, step, steps) == pytest.approx(expected, rel=1e-12)
    assert their_rate(0, warmup, steps) == 0


def test_weight_decay_leaves_out_the_parameters_that_the_authors_name():
    two = two_heads("bert")
    [optimizer] = build_optimizers(Optimizer(learning_rate=1.0, weight_decay=0.1), two)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in two.named_parameters():
        assert (id(parameter) in decayed) is not any(part in name for part in NO_DECAY), name


def test_the_optimizer_makes_the_authors_updates():
    """Equal but for two details of their AdamW: its epsilon is divided by √(1 − β2^t), which is 1 after some thousand
    steps, and it decays the updated weights, which changes an update by a factor of 1 − rate · decay.
    """
    spec = runs.resolve_reference(project(scale="small"), "scierc", 1).spec.stage1.optimizer
    torch.manual_seed(0)
    two = two_heads("bert")
    [optimizer] = build_optimizers(spec, two)
    named = dict(two.named_parameters())
    start = {name: each.detach().clone() for name, each in named.items()}
    theirs = {name: each.clone() for name, each in start.items()}
    first = {name: torch.zeros_like(each) for name, each in start.items()}
    second = {name: torch.zeros_like(each) for name, each in start.items()}
    (beta1, beta2), rate = spec.betas, spec.learning_rate
    for step in range(1, 21):
        for name, parameter in named.items():
            gradient = torch.randn(parameter.shape) * 1e-2
            parameter.grad = gradient.clone()
            first[name] = beta1 * first[name] + (1 - beta1) * gradient
            second[name] = beta2 * second[name] + (1 - beta2) * gradient**2
            size = rate * math.sqrt(1 - beta2**step) / (1 - beta1**step)
            theirs[name] -= size * first[name] / (second[name].sqrt() + 1e-6 * math.sqrt(1 - beta2**step))
            if not any(part in name for part in NO_DECAY):
                theirs[name] -= rate * spec.weight_decay * theirs[name]
        optimizer.step()
    for name, parameter in named.items():
        moved, expected = parameter.detach() - start[name], theirs[name] - start[name]
        assert (moved - expected).norm() < 1e-3 * expected.norm(), name
