"""This machine's speed: times a few training steps of a model's shape on random tokens.

Place in the flow: beside `tlm.cost.machine`, which has the data sheets. It imports torch, so import it only to measure.
`bench/training.py` measures carefully; this module takes a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from transformers.utils import logging

from tlm.config.training import ModelSpec, Optimizer, Precision
from tlm.cost import parameters
from tlm.cost.machine import HERE, Rate
from tlm.evaluation.flops import MatmulWork, matmul_flops
from tlm.training.masking import assemble, mask
from tlm.training.model import TensorBatch, TwoHeads, attention_for, build_mlm
from tlm.training.objective import stage1_weights
from tlm.training.optimizer import build_optimizers
from tlm.training.precision import resolve
from tlm.training.tokenizer import Vocabulary
from tlm.training.tokens import Store

_FLOPS = {"cpu": 1e11, "cuda": 1e13}  # of the larger step at most: a second or so on one core, less on a GPU
_LAYERS = 2  # all layers of a model are alike
_SECONDS = 1.0  # of repeating each step
_MASKED = 0.15
_REAL_STEPS = 1.15
"""Time of a real step, in shortest steps: batches of other lengths, masks, logs, checkpoints. Stage 1 of a 2 x 128
model with 3.0 M tokens took 132 seconds of the processor, and its shortest steps gave 115 (docs/cost.md)."""


def measure_rate(
    model: ModelSpec,
    vocabulary: int,
    *,
    where: str,
    rows: int,
    length: int,
    precision: Precision,
    threads: int,
) -> Rate:
    """Time stage-1 steps on external batches: `rows` of `length` tokens, and of a quarter of that length.

    `where` is `here`, the device that training would use, or `cpu`. The difference of the two times gives the FLOPs a
    second; the remainder is the fixed time of a step. Both are corrected by `_REAL_STEPS`. Models are cut to two layers
    and large batches to fewer rows. The FLOPs a second stay the same then, and the fixed time is scaled back to the
    whole model.
    """
    torch.set_num_threads(threads)
    on_gpu = where == HERE and torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    # RoBERTa is timed as BERT: both multiply the same matrices.
    family = "bert" if model.architecture == "roberta" else model.architecture
    layers = min(model.layers, _LAYERS)
    small = model.model_copy(update={"architecture": family, "layers": layers, "pretrained": None})
    sizes = parameters.shape(small, vocabulary, 2)

    def flops(length: int, rows: int) -> float:
        work = MatmulWork(rows * length, rows * length**2, round(_MASKED * rows * length), 0)
        return float(matmul_flops(sizes, work).total)

    rows = max(1, min(rows, int(_FLOPS[device] / flops(length, 1))))
    short = max(8, length // 4)
    step = _stepper(small, vocabulary, rows, device, resolve(precision, device))
    slow, fast = _shortest(lambda: step(length)), _shortest(lambda: step(short))
    if slow <= fast:  # a model so small that its FLOPs do not show
        return Rate(0.0, flops(length, rows) / slow / _REAL_STEPS, on_gpu)
    per_second = (flops(length, rows) - flops(short, rows)) / (slow - fast)
    fixed = max(0.0, fast - flops(short, rows) / per_second)
    whole, cut = (parameters.count(each, vocabulary, 2).both for each in (model, small))
    per_second = flops(length, rows) / (slow - fixed)
    return Rate(_REAL_STEPS * fixed * whole / cut, per_second / _REAL_STEPS, on_gpu)


def _shortest(step: Callable[[], None]) -> float:
    """The shortest time of several steps: other work on the machine only makes a step longer."""
    step()  # the first step chooses kernels and allocates memory
    end, best, done = time.perf_counter() + _SECONDS, float("inf"), 0
    while done < 2 or time.perf_counter() < end:
        started = time.perf_counter()
        step()
        best, done = min(best, time.perf_counter() - started), done + 1
    return best


def _stepper(
    model: ModelSpec, vocabulary: int, rows: int, device: str, precision: Literal["fp32", "bf16"]
) -> Callable[[int], None]:
    """A function that does one optimizer step on random ids of a given length."""
    logging.set_verbosity_error()
    entries = Vocabulary(vocabulary, pad=0, cls=2, sep=3, mask=4, specials=(0, 1, 2, 3, 4))
    mlm = build_mlm(model, entries, attention=attention_for(device, precision=precision), seed=1)
    network = TwoHeads(mlm, None, bf16=precision == "bf16").to(device).train()
    optimizers = build_optimizers(Optimizer(learning_rate=1e-4), network)
    rng = np.random.default_rng(0)

    def step(length: int) -> None:
        store = Store(rng.integers(5, vocabulary, rows * length), np.arange(rows + 1) * length)
        batch = mask(assemble(store, np.arange(rows), length, entries), entries, _MASKED, rng)
        losses = network(TensorBatch.of(batch, torch.device(device)), stage1_weights(False, 0, [batch]))
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    return step
