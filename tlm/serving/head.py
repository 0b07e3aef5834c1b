"""Write a temperature into a classifier's weights, so that any software gets calibrated probabilities from them.

Place in the flow: stage 2's `model.safetensors` → here → that of `models/<name>/`. Logits are the last linear layer's
outputs, so that dividing its weight and bias by T divides them by T (`tlm.evaluation.temperature`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tlm.errors import TlmError

# Names in `transformers` of the layer whose outputs are the logits.
_LAST = {
    "bert": "classifier",
    "roberta": "classifier.out_proj",
    "electra": "classifier.out_proj",
    "modernbert": "classifier",
}


def write_divided(weights: Path, destination: Path, model_type: str, t: float) -> None:
    """Write `weights` to `destination` with the last linear layer divided by `t` and all else unchanged.

    Raises TlmError for unreadable weights, and for a model whose last layer is unknown or missing.
    """
    last = _LAST.get(model_type)
    if last is None:
        raise TlmError(
            f"{weights}: architecture {model_type!r} has no known last layer; known: {', '.join(_LAST)}"
        )
    try:
        with safe_open(weights, framework="pt") as stored:
            metadata = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.offset_keys()}
    except (OSError, SafetensorError) as error:
        raise TlmError(f"{weights}: cannot be read ({error}); train the model again") from None
    if f"{last}.weight" not in tensors:
        raise TlmError(f"{weights}: holds no {last}.weight; train the model again")
    for name in (f"{last}.weight", f"{last}.bias"):
        if name in tensors:
            tensors[name] = (tensors[name].to(torch.float64) / t).to(tensors[name].dtype)
    save_file(tensors, destination, metadata=metadata)
