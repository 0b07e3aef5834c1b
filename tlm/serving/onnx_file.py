"""Export a model as an ONNX file, for ONNX Runtime in any language, without PyTorch.

Place in the flow: `models/<name>/` → `models/<name>/onnx/model.onnx` (where `optimum` and transformers.js look for it).
Inputs `input_ids`, `attention_mask` and, for BERT, `token_type_ids`, int64 (batch, length), both free; output `logits`,
float32 (batch, classes). Before it is stored, its logits are compared with PyTorch's at several sizes.
Needs the extra `onnx`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tlm.artifacts import atomic_file
from tlm.errors import TlmError
from tlm.evaluation.outputs import load_classifier
from tlm.serving.folder import read_folder
from tlm.training.model_families import reads_token_types

OPSET = 20
TOLERANCE = (
    1e-4  # of the logits: another order of fp32 sums changes 1e-6, a wrong graph changes more than this
)
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


class _Logits(nn.Module):
    """The classifier with positional inputs and its logits alone."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """(rows, length) of each input → (rows, classes)."""
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits  # type: ignore[no-any-return]


def export_onnx(folder: Path, destination: Path) -> float:
    """Write the model of `folder` to `destination`; returns the largest difference of logits from PyTorch's.

    Raises TlmError without the extra `onnx`, for a folder without a model, and if the logits differ.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise TlmError(
            f"ONNX export needs {', '.join(missing)}; install them with `pip install -e '.[onnx]'`"
        )
    served = read_folder(folder)
    model = load_classifier(folder, "cpu")
    names = ["input_ids", "attention_mask"]
    if reads_token_types(model.config):
        names.append("token_type_ids")
    wrapped = _Logits(model, names).eval()
    with atomic_file(destination) as temporary:
        _write(wrapped, names, served.length, int(model.config.vocab_size), temporary)
        difference = _compare(wrapped, temporary, served.length, int(model.config.vocab_size))
        if not difference <= TOLERANCE:
            raise TlmError(
                f"{destination}: its outputs differ from PyTorch's by {difference:.1e}, more than {TOLERANCE:.0e};"
                " it is not kept. Please report this with the versions of torch, onnx and onnxruntime"
            )
    return difference


def _example(names: list[str], rows: int, length: int, vocabulary: int) -> tuple[torch.Tensor, ...]:
    """Random tokens in rows of different lengths; int64, one tensor per input."""
    draw = torch.Generator().manual_seed(rows * 1000 + length)
    ids = torch.randint(0, vocabulary, (rows, length), generator=draw)
    inside = torch.arange(length) < torch.randint(2, length + 1, (rows, 1), generator=draw)
    inside[0] = True
    later = (torch.arange(length) >= length // 2) & inside
    parts = {"input_ids": ids, "attention_mask": inside.long(), "token_type_ids": later.long()}
    return tuple(parts[name] for name in names)


def _write(wrapped: _Logits, names: list[str], length: int, vocabulary: int, path: Path) -> None:
    import onnx

    free = {
        0: torch.export.Dim("batch", min=1, max=1 << 16),
        1: torch.export.Dim("length", min=2, max=length),
    }
    with _quiet():
        program = torch.onnx.export(
            wrapped,
            _example(names, 3, max(3, length // 2), vocabulary),
            dynamo=True,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=(tuple(free for _ in names),),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    found = program.model_proto
    _strip(found)
    onnx.checker.check_model(found)
    path.write_bytes(found.SerializeToString(deterministic=True))


def _strip(model: Any) -> None:
    """Remove the source location of each node: it names folders of this machine."""
    del model.metadata_props[:]
    for graph in (model.graph, *model.functions):
        del graph.metadata_props[:]
        graph.doc_string = ""
        for part in (*graph.node, *graph.value_info):
            del part.metadata_props[:]
            part.doc_string = ""
    for part in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]


def _compare(wrapped: _Logits, path: Path, length: int, vocabulary: int) -> float:
    """The largest difference of logits over batches of several sizes and lengths, as a share of large ones."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for rows, tokens in {(1, 2), (1, length), (5, max(2, length // 3)), (9, max(2, length - 1))}:
        inputs = _example(wrapped.names, rows, tokens, vocabulary)
        with torch.inference_mode():
            expected = wrapped(*inputs).numpy()
        given = {name: tensor.numpy() for name, tensor in zip(wrapped.names, inputs, strict=True)}
        difference = np.abs(session.run(["logits"], given)[0] - expected).max() / max(
            1.0, np.abs(expected).max()
        )
        largest = max(largest, float(difference))
        if np.isnan(difference):
            return float("nan")
    return largest


@contextlib.contextmanager
def _quiet() -> Any:
    """Hide the exporter's messages on optional packages and steps; the result is checked afterwards."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
