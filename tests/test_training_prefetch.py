"""The batches of each process: all processes get the same kind of step, and together every row exactly once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tlm.config.training import Optimizer
from tlm.errors import TlmError
from tlm.training.batches import Schedule, Stream, is_internal
from tlm.training.masking import TrainingData
from tlm.training.objective import stage1_weights
from tlm.training.prefetch import prepared_steps, share
from tlm.training.stage_plan import StagePlan, TrainingStep
from tlm.training.tokenizer import Vocabulary
from tlm.training.tokens import Store

VOCABULARY = Vocabulary(size=60, pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4))


def source(name: str, rows: int) -> TrainingData:
    lengths = np.random.default_rng(rows).integers(1, 20, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    store = Store(np.random.default_rng(0).integers(5, 60, offsets[-1]), offsets, labels=np.arange(rows))
    return TrainingData(store, Stream(lengths + 2, seed=1, name=name, batch_size=4), 24)


def plan(rho1: int, accumulation: int, steps: int = 12) -> StagePlan:
    both = {True: source("internal", 30), False: source("external", 90)}
    schedule = Schedule(both[True].stream, both[False].stream, rho1=rho1, accumulation=accumulation)

    def step(number: int) -> TrainingStep:
        micros = schedule.step(number)
        batches = [both[micro.internal].masked(micro.index, VOCABULARY, 0.15) for micro in micros]
        return TrainingStep(micros[0].internal, batches)

    return StagePlan(
        name="toy",
        seed=1,
        tokens=list(range(1, steps + 1)),
        step=step,
        weights=lambda step: stage1_weights(step.internal, 20, step.batches),
        nominal_length=lambda internal: 24,
        optimizer=Optimizer(learning_rate=1.0),
        chance=1.0,
        evaluations=1,
        checkpoint_every=99,
    )


def process(rank: int, world: int) -> SimpleNamespace:
    return SimpleNamespace(process_index=rank, num_processes=world, device=torch.device("cpu"))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))
def test_processes_have_the_same_interleaving_and_share_every_row_once(rho1, accumulation, world, first):
    given_plan = plan(rho1, accumulation)
    alone = list(prepared_steps(given_plan, first, process(0, 1)))
    ranks = [list(prepared_steps(given_plan, first, process(rank, world))) for rank in range(world)]
    for number, (whole, *parts) in enumerate(zip(alone, *ranks, strict=True), start=first):
        kinds = {whole.step.internal} | {part.step.internal for part in parts}
        assert kinds == {is_internal(number, rho1)} and {part.number for part in parts} == {number}
        rows = sorted(int(label) for part in parts for batch, _ in part.mine for label in batch.labels)
        assert rows == sorted(int(label) for batch, _ in whole.mine for label in batch.labels)
        targets = [
            np.sort(np.concatenate([b.targets for part in some for b, _ in part.mine]))
            for some in ([whole], parts)
        ]
        assert np.array_equal(*targets)
        sizes = [len(part.mine) for part in parts]
        assert len(set(sizes)) == 1, "a process with fewer micro-batches would wait for ever"


def test_tensors_are_the_batch():
    for fed in prepared_steps(plan(2, 2), 0, process(0, 1)):
        for batch, tensors in fed.mine:
            assert np.array_equal(tensors.input_ids.numpy(), batch.input_ids)
            assert tensors.positions is not None and len(tensors.positions) == batch.masked
            inside = np.arange(batch.padded_length) < batch.lengths[:, None]
            assert (tensors.mask is None) == inside.all()


def test_an_error_while_building_reaches_the_loop():
    def broken(number: int) -> TrainingStep:
        raise TlmError(f"step {number} is broken")

    with pytest.raises(TlmError, match="step 3 is broken"):
        list(prepared_steps(SimpleNamespace(step=broken, steps=9), 3, process(0, 1)))


def test_more_processes_than_rows_raise():
    with pytest.raises(TlmError, match="a batch of 1 rows cannot be shared by 2 processes"):
        share([SimpleNamespace(rows=1)], 0, 2)
