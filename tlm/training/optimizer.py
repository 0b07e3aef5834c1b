"""AdamW or Muon, and the schedule of the learning rate.

Place in the flow: model → optimizer → loop. The schedule is a linear warm-up, a plateau, and a linear decay to zero;
`decay_fraction` 1 gives the paper's schedule (Section 4.1, Table B.1). The rate depends on the step alone, so a resumed
run needs no scheduler state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tlm.config.training import Optimizer
from tlm.errors import TlmError
from tlm.training.model import TwoHeads
from tlm.training.model_families import encoder_linears
from tlm.training.precision import cpu_multiplies_bf16


def learning_rate(spec: Optimizer, step: int, steps: int) -> float:
    """Learning rate of step 0 … steps - 1."""
    warmup = spec.warmup(steps)
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    start = spec.decay_start(steps)
    if step < start:
        return spec.learning_rate
    return spec.learning_rate * (steps - step) / (steps - start)


def build_optimizers(spec: Optimizer, model: TwoHeads) -> list[torch.optim.Optimizer]:
    """The optimizers, each for a part of the parameters; all have the same learning rate.

    `adamw` is one fused AdamW; `muon` is Muon for `encoder_matrices` and AdamW for the rest. Weight decay applies to
    matrices and embeddings, not to biases and norms (as in the authors' code). Raises TlmError for Muon on a processor
    without bf16 instructions.
    """
    hidden = encoder_matrices(model) if spec.kind == "muon" else []
    taken = set(map(id, hidden))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    optimizers: list[torch.optim.Optimizer] = [_adamw(spec, rest)]
    if spec.kind == "muon":
        _check_muon(hidden)
        optimizers.append(
            torch.optim.Muon(
                hidden,
                lr=spec.learning_rate,
                weight_decay=spec.weight_decay,
                adjust_lr_fn="match_rms_adamw",  # steps as large as AdamW's, so that one rate serves both
            )
        )
    return optimizers


def encoder_matrices(model: TwoHeads) -> list[torch.Tensor]:
    """Weights of the linear layers between embeddings and heads, which Muon trains."""
    return [layer.weight for layer in encoder_linears(model.encoder)]


def _adamw(spec: Optimizer, parameters: Sequence[nn.Parameter]) -> torch.optim.AdamW:
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
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


def _check_muon(matrices: Sequence[torch.Tensor]) -> None:
    """Raises TlmError where bf16 is slow: `torch.optim.Muon` multiplies in bf16 at every precision."""
    if matrices[0].device.type == "cpu" and not cpu_multiplies_bf16():
        raise TlmError(
            "optimizer kind: muon multiplies in bf16, and this processor has no bf16 instructions (avx512_bf16, "
            "AMX) or its environment forbids them; use kind: adamw"
        )
