"""The losses of Section 3.1, as sums over positions and rows, and the weights that make them the objective.

Place in the flow: model → objective → loop. An internal batch costs (rho2 · mlm + task) / (rho2 + 1), an
external one mlm (the authors' normalisation; the paper prints the bare sum), stage 2 the task loss alone.
mlm is the mean over the masked positions of the whole step and task the mean over its rows, however the
step is cut into micro-batches and processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tlm.training.masking import Batch

_LOGITS = 1 << 25  # logits held at once: 128 MiB in fp32; more positions are computed in chunks


@dataclass(frozen=True)
class Weights:
    """What a unit of each summed loss weighs in the loss of a step. 0 means that the head is not computed."""

    mlm: float
    task: float


def stage1_weights(internal: bool, rho2: float, batches: Sequence[Batch]) -> Weights:
    """Weights of a stage 1 step that consists of these micro-batches."""
    masked = max(1, sum(batch.masked for batch in batches))
    if not internal:
        return Weights(1 / masked, 0.0)
    rows = sum(batch.rows for batch in batches)
    return Weights(rho2 / (rho2 + 1) / masked, 1 / (rho2 + 1) / rows)


def stage2_weights(batches: Sequence[Batch]) -> Weights:
    """Weights of a stage 2 step."""
    return Weights(0.0, 1 / sum(batch.rows for batch in batches))


def mlm_loss(
    hidden: torch.Tensor, targets: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor], vocabulary: int
) -> torch.Tensor:
    """Summed cross-entropy at the masked positions.

    `hidden` (masked, hidden) are the encoder's states there, `head` gives (n, vocabulary) logits. Beyond
    `_LOGITS` the positions go chunk by chunk, and their logits are computed again for the gradient.
    """

    def part(states: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(states).float(), wanted, reduction="sum")

    size = max(1, _LOGITS // vocabulary)
    if len(targets) <= size:
        return part(hidden, targets)
    total = hidden.new_zeros((), dtype=torch.float32)
    for states, wanted in zip(hidden.split(size), targets.split(size), strict=True):
        total = total + checkpoint(part, states, wanted, use_reentrant=False)
    return total


def task_loss(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Summed loss over rows: squared error for float labels (regression), cross-entropy for class ids."""
    logits = logits.float()
    if labels.is_floating_point():
        return functional.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
    return functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
