"""A served model in memory: texts in, classes or sets of labels with probabilities (or numbers) out.

Place in the flow: folder → classifier → predict. The encoder runs as in training (`tlm.training.model`: our own kernels
on a processor, SDPA on a GPU), texts of like length together. In fp32, the default, the numbers are those of the run's
evaluation up to rounding; bf16 is for speed, where `tlm.training.precision` finds it fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers.utils import logging

from tlm.errors import TlmError
from tlm.evaluation.outputs import (
    BATCH_TOKENS,
    Encoded,
    batches_by_length,
    encode,
    load_classifier,
    read_tokenizer,
)
from tlm.serving.decisions import Outputs, decide
from tlm.serving.folder import ServedModel, read_folder
from tlm.training.model import TensorBatch, TwoHeads
from tlm.training.model_families import reach, reads_token_types
from tlm.training.precision import resolve

Device = Literal["auto", "cpu", "cuda"]


class Classifier:
    """A loaded model with its tokenizer."""

    def __init__(self, served: ServedModel, model: Any, tokenizer: Any, *, bf16: bool, batch: int | None):
        self.served, self.model, self.tokenizer, self.batch = served, model, tokenizer, batch
        self.device = model.device
        self.precision = "bf16" if bf16 else "fp32"
        self._heads = TwoHeads(None, model, bf16=bf16).eval()

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: Device = "auto",
        precision: Literal["fp32", "bf16", "auto"] = "fp32",
        threads: int | None = None,
        batch: int | None = None,
    ) -> Classifier:
        """The model of `folder`; `batch` is the most texts in a batch, else as many as fit 8,192 tokens.

        `threads` are those of this process (default: PyTorch's, all cores). Raises TlmError for a folder that holds no
        model or one that would run code of its own, for a GPU that is not there, and for bf16 on a processor without.
        """
        served = read_folder(folder)
        if device == "cuda" and not torch.cuda.is_available():
            raise TlmError("--device cuda: PyTorch finds no GPU here; leave it out to use the processor")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if threads is not None:
            torch.set_num_threads(threads)
        logging.disable_progress_bar()
        bf16 = resolve(precision, device) == "bf16"
        model = load_classifier(folder, device)
        if served.length > reach(model.config):
            raise TlmError(
                f"{folder}: says that it reads {served.length} tokens, but its positions end at"
                f" {reach(model.config)}; export the model again"
            )
        return cls(served, model, read_tokenizer(folder), bf16=bf16, batch=batch)

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Encoded:
        """Token ids of the texts, cut to the model's length. May run in another thread."""
        return encode(self.tokenizer, texts, pairs, self.served.length)

    @torch.inference_mode()
    def predict(self, encoded: Encoded, tick: Callable[[int], None] | None = None) -> Outputs:
        """Outputs in the order of the texts; `tick` gets the number of texts of each finished batch."""
        logits = np.zeros((len(encoded.ids), len(self.served.labels)), np.float32)
        types = reads_token_types(self.model.config)
        for longest_first in batches_by_length([len(ids) for ids in encoded.ids], BATCH_TOKENS):
            step = self.batch or len(longest_first)
            for start in range(0, len(longest_first), step):
                rows = longest_first[start : start + step]
                logits[rows] = self._heads(self._tensors(encoded, rows, types))["logits"].cpu().numpy()
                if tick is not None:
                    tick(len(rows))
        return decide(self.served.problem, logits, self.served.thresholds)

    def _tensors(self, encoded: Encoded, rows: list[int], types: bool) -> TensorBatch:
        lengths = torch.tensor([len(encoded.ids[row]) for row in rows])
        width = int(lengths[0])
        ids = torch.tensor([_filled(encoded.ids[row], width, encoded.pad) for row in rows])
        kinds = torch.tensor([_filled(encoded.types[row], width, 0) for row in rows]) if types else None
        inside = torch.arange(width) < lengths[:, None]
        mask = None if bool(inside.all()) else inside
        return TensorBatch(ids, mask, kinds, None, None, None).to(self.device)


def _filled(ids: list[int], width: int, pad: int) -> list[int]:
    return ids + [pad] * (width - len(ids))
