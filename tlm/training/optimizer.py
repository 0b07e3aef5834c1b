"""AdamW and its schedule.

Place in the flow: model → optimizer → loop. Linear warm-up, a plateau, linear decay to zero; with
`decay_fraction` 1 the paper's schedule (Section 4.1, Table B.1). The rate is a function of the step alone,
so a resumed run needs no scheduler state.
"""

from __future__ import annotations

import torch
from torch import nn

from tlm.config.training import Optimizer


def warmup_steps(spec: Optimizer, steps: int) -> int:
    """Steps of the linear warm-up in a run of `steps`."""
    return spec.warmup_steps if spec.warmup_steps is not None else round(spec.warmup_fraction * steps)


def learning_rate(spec: Optimizer, step: int, steps: int) -> float:
    """Learning rate of step 0 … steps - 1."""
    warmup = warmup_steps(spec, steps)
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    decay_start = max(warmup, steps - round(spec.decay_fraction * steps))
    if step < decay_start:
        return spec.learning_rate
    return spec.learning_rate * (steps - step) / (steps - decay_start)


def build_optimizer(spec: Optimizer, model: nn.Module) -> torch.optim.AdamW:
    """Fused AdamW; weight decay for matrices and embeddings, none for biases and norms (as the authors)."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": spec.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=spec.learning_rate,
        betas=spec.betas,
        eps=spec.epsilon,
        fused=True,
    )
