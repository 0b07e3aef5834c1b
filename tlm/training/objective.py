"""The losses of Section 3.1, as sums over positions and rows, and their weights in the objective.

Place in the flow: model → objective → loop. The loss of an internal step is (rho2 · mlm + task) / (rho2 + 1), as in the
authors' code; the paper prints the sum without the division. An external step has the loss mlm, a step of stage 2 the
loss task. mlm is the mean over the masked positions of the whole step, and task the mean over its rows with labels; the
number of micro-batches and processes does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional

from tlm.training.masking import Batch

_LOGITS = 1 << 24  # logits held at once: 32 MiB in bf16; more positions are computed in chunks
_CACHED = 1 << 18  # of them in fp32 at once on a CPU: 1 MiB stays in the cache of a core
_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Weights:
    """The weight of each summed loss in the loss of a step. With weight 0, the head is not computed."""

    mlm: float
    task: float


def stage1_weights(internal: bool, rho2: float | Literal["inf"], batches: Sequence[Batch]) -> Weights:
    """Weights of a stage 1 step that consists of these micro-batches."""
    masked = max(1, sum(batch.masked for batch in batches))
    if not internal or rho2 == "inf":
        return Weights(1 / masked, 0.0)
    rows = sum(batch.rows for batch in batches if batch.labels is not None)
    return Weights(rho2 / (rho2 + 1) / masked, 1 / (rho2 + 1) / rows)


def stage2_weights(batches: Sequence[Batch]) -> Weights:
    """Weights of a stage 2 step."""
    return Weights(0.0, 1 / sum(batch.rows for batch in batches))


def mlm_loss(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Summed cross-entropy at the masked positions, a scalar in fp32.

    `states` (masked, hidden) are the inputs of the head's output layer, `weight` (vocabulary, hidden) and `bias`
    (vocabulary,) its parameters, `targets` (masked,) the original token ids.
    """
    return _OutputLayerLoss.apply(states, weight, bias, targets)


class _OutputLayerLoss(torch.autograd.Function):
    """Output layer and cross-entropy in one function, at most `_LOGITS` logits at a time.

    The gradient, softmax(z) - onehot, needs the same softmax as the loss. So the forward pass computes both, and no
    logits are kept for the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        dtype, device = states.dtype, states.device
        matrix, offset = weight.to(dtype), bias.to(dtype)
        learns = any(ctx.needs_input_grad)
        of_states = torch.empty_like(states)
        of_weight = torch.zeros(weight.shape, dtype=torch.float32, device=device) if learns else None
        of_bias = torch.zeros(bias.shape, dtype=torch.float32, device=device) if learns else None
        total = torch.zeros((), dtype=torch.float32, device=device)
        size = max(1, _LOGITS // len(weight))
        rows = max(1, _CACHED // len(weight)) if device.type == "cpu" else size
        for start in range(0, len(states), size):
            part, wanted = states[start : start + size], targets[start : start + size, None]
            logits = torch.addmm(offset, part, matrix.t())  # turned into their gradient in place
            for piece, target in zip(logits.split(rows), wanted.split(rows), strict=True):
                gradient = torch.softmax(piece.float(), dim=-1)
                # Probabilities are at least 1e-38, to avoid log(0). No training recovers from a loss of 87.
                total -= gradient.gather(1, target).clamp_min(_TINY).log().sum()
                if of_bias is not None:
                    gradient.scatter_add_(1, target, gradient.new_full(target.shape, -1.0))
                    of_bias += gradient.sum(0)
                    piece.copy_(gradient)
            if of_weight is not None:
                torch.mm(logits, matrix, out=of_states[start : start + size])
                of_weight += torch.mm(logits.t(), part)
        if learns:
            ctx.save_for_backward(of_states, of_weight, of_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        of_states, of_weight, of_bias = ctx.saved_tensors
        scale = gradients[0]
        return of_states * scale.to(of_states.dtype), of_weight * scale, of_bias * scale, None


def task_loss(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Summed loss over rows; the form of `labels` (`tlm.problems.Problem.ids`) decides which.

    Class ids (rows,): cross-entropy. Numbers (rows,): squared error. Indicators (rows, labels) of several labels:
    binary cross-entropy, summed over the labels, which is the negative log-likelihood of the row's set of labels.
    """
    logits = logits.float()
    if labels.dim() == 2:
        wanted = labels.float()
        if label_smoothing:
            wanted = wanted * (1 - label_smoothing) + label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    if labels.is_floating_point():
        return functional.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
    return functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
