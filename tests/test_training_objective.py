"""The losses of a hand-built batch against the paper's formula, computed the long way."""

import numpy as np
import pytest
import torch
from model_toy import HEAD, VOCABULARY, batch
from torch.nn import functional

from tlm.config.training import ModelSpec
from tlm.training import objective
from tlm.training.masking import Batch, mask
from tlm.training.model import TensorBatch, TwoHeads, build_mlm, new_classifier
from tlm.training.objective import stage1_weights, stage2_weights, task_loss
from tlm.training.randomness import generator


def model(pooling: str = "cls", **options) -> TwoHeads:
    spec = ModelSpec(
        architecture="modernbert",
        hidden_size=16,
        layers=2,
        heads=2,
        intermediate_size=24,
        max_length=32,
        pooling=pooling,
    )
    mlm = build_mlm(spec, VOCABULARY, attention="eager", seed=1)
    return TwoHeads(mlm, new_classifier(mlm, HEAD, seed=2), **options)


def by_hand(two: TwoHeads, several: list[Batch]) -> tuple[float, float]:
    """Mean MLM and task losses by `transformers`' own heads, with labels of -100 where none is predicted."""
    mlm, task, masked, rows = 0.0, 0.0, 0, 0
    for one in several:
        ids = torch.from_numpy(one.input_ids)
        attention = (torch.arange(ids.shape[1]) < torch.from_numpy(one.lengths)[:, None]).long()
        wanted = torch.full((ids.numel(),), -100)
        wanted[one.positions] = torch.from_numpy(one.targets)
        logits = two.mlm(input_ids=ids, attention_mask=attention).logits
        mlm += functional.cross_entropy(logits.flatten(0, 1), wanted, reduction="sum").item()
        masked += one.masked
        out = two.classifier(input_ids=ids, attention_mask=attention).logits
        task += functional.cross_entropy(out, torch.from_numpy(one.labels), reduction="sum").item()
        rows += one.rows
    return mlm / masked, task / rows


@pytest.mark.parametrize("rho2", [0, 1, 20])
@pytest.mark.parametrize("micros", [1, 3])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_stage1_losses_are_the_papers(rho2, micros, pooling):
    two, several = model(pooling), [batch(seed, rows=2 + seed) for seed in range(micros)]
    mlm, task = by_hand(two, several)
    device = torch.device("cpu")

    def total(internal: bool) -> float:
        weights = stage1_weights(internal, rho2, several)
        return sum(two(TensorBatch.of(one, device), weights)["loss"].item() for one in several)

    assert total(True) == pytest.approx((rho2 * mlm + task) / (rho2 + 1), rel=1e-5)
    assert total(False) == pytest.approx(mlm, rel=1e-5)


def test_stage2_is_the_task_loss_alone():
    two, one = model(), batch(1)
    loss = two(TensorBatch.of(one, torch.device("cpu")), stage2_weights([one]))
    assert set(loss) == {"loss", "task"}
    assert loss["loss"].item() == pytest.approx(by_hand(two, [one])[1], rel=1e-5)


def test_chunks_of_a_large_vocabulary_change_nothing(monkeypatch):
    one = batch(4, rows=6)
    results = []
    for limit in (1 << 25, 120):  # 120 logits: two positions at a time
        monkeypatch.setattr(objective, "_LOGITS", limit)
        two = model()
        loss = two(TensorBatch.of(one, torch.device("cpu")), stage1_weights(False, 20, [one]))["loss"]
        loss.backward()
        results.append((loss.item(), two.mlm.decoder.weight.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-6)


def test_task_losses():
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1) * 2
    assert task_loss(logits, labels, 0.1).item() == pytest.approx(expected.item())
    real = torch.tensor([[1.0], [3.0]])
    assert task_loss(real, torch.tensor([0.0, 1.0], dtype=torch.float64)).item() == pytest.approx(5.0)
    # One class: the loss is 0, and no error is raised.
    assert task_loss(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long), 0.1).item() == 0.0


def test_a_batch_without_any_target_has_no_mlm_loss():
    empty = Batch(np.array([[2, 3]]), np.array([2]), labels=np.array([1]))
    masked = mask(empty, VOCABULARY, 0.15, generator(0))
    assert masked.masked == 0
    two = model()
    loss = two(TensorBatch.of(masked, torch.device("cpu")), stage1_weights(False, 20, [masked]))["loss"]
    loss.backward()
    assert loss.item() == 0.0
