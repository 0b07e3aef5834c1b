"""The schedule as a function of the step, and which parameters decay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tlm.config.training import Optimizer
from tlm.training.optimizer import build_optimizers, learning_rate


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_rates_rise_hold_and_fall(steps, warmup, decay):
    spec = Optimizer(learning_rate=1.0, warmup_fraction=warmup, decay_fraction=decay)
    rates = [learning_rate(spec, step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_the_schedules_of_the_paper_and_of_the_demo():
    paper = Optimizer(learning_rate=1e-4, warmup_steps=10)
    assert learning_rate(paper, 0, 110) == pytest.approx(1e-5)
    assert learning_rate(paper, 9, 110) == learning_rate(paper, 10, 110) == pytest.approx(1e-4)
    assert learning_rate(paper, 60, 110) == pytest.approx(5e-5)
    demo = Optimizer(learning_rate=2e-3, warmup_fraction=0.05, decay_fraction=0.6)
    assert demo.warmup(100) == 5
    assert learning_rate(demo, 39, 100) == learning_rate(demo, 40, 100) == pytest.approx(2e-3)
    assert learning_rate(demo, 70, 100) == pytest.approx(1e-3)


def test_biases_and_norms_do_not_decay():
    model = nn.Sequential(nn.Embedding(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    [optimizer] = build_optimizers(Optimizer(learning_rate=1.0, weight_decay=0.1), model)
    groups = optimizer.param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {id(p): 0.1 if p.ndim == 2 else 0.0 for p in model.parameters()}
