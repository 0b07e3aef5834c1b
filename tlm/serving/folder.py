"""What a model's folder says of itself: its files, its classes, how long a text may be, which columns it reads.

Place in the flow: written by `export`, read by everything else of this package. A folder without our manifest (a run's
own `stage2/model`, or any encoder in the format of `transformers`) is served too; it just says less. Nothing here can
run code: weights are read from safetensors alone, and a folder that names code of its own is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.artifacts import MANIFEST, read_manifest
from tlm.errors import TlmError

KIND = "model"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
FILES = (WEIGHTS, CONFIG, *TOKENIZER)
ONNX = "onnx/model.onnx"


@dataclass(frozen=True)
class Columns:
    """Where the task's own file had its texts; a new file is expected to look the same."""

    text: tuple[str, ...] = ("text",)
    """Columns that make the text, joined by a space."""
    pair: str | None = None
    names: tuple[str, ...] = ()
    """Of a file without a header line."""
    quoting: bool = True
    encodings: tuple[str, ...] = ("utf-8",)


@dataclass(frozen=True)
class ServedModel:
    """A folder that holds a classifier, and what it says of it."""

    folder: Path
    labels: tuple[str, ...]
    regression: bool
    length: int
    """Tokens of an input, the special ones included; the rest of a text is not read."""
    columns: Columns


def read_folder(folder: Path) -> ServedModel:
    """What `folder` holds. Raises TlmError for one that is no model, or that asks for code of its own to be run."""
    if not folder.is_dir():
        raise TlmError(f"{folder}: no such folder; build a model with `snakemake models/<task>/{MANIFEST}`")
    for name in FILES:
        if not (folder / name).is_file():
            hint = _hint(folder)
            raise TlmError(f"{folder}: holds no {name}; {hint}")
    config, tokenizer = (_read(folder / name) for name in (CONFIG, "tokenizer_config.json"))
    for name, values in ((CONFIG, config), ("tokenizer_config.json", tokenizer)):
        if "auto_map" in values or "custom_pipelines" in values:
            raise TlmError(f"{folder / name}: asks for code of its own to be run (auto_map); refused")
    names = config.get("id2label") or {}
    labels = tuple(str(label) for _, label in sorted((int(key), label) for key, label in names.items()))
    regression = config.get("problem_type") == "regression"
    if not labels or (regression and len(labels) != 1):
        raise TlmError(
            f"{folder / CONFIG}: id2label does not name the model's outputs; export the model again"
        )
    said = read_manifest(folder, KIND).parameters if (folder / MANIFEST).is_file() else {}
    listed = said.get("columns", {}).items()
    columns: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in listed}
    return ServedModel(
        folder=folder,
        labels=labels,
        regression=regression,
        length=int(said.get("length") or tokenizer["model_max_length"]),
        columns=Columns(**columns),
    )


def _hint(folder: Path) -> str:
    """What to do about a folder that is no model."""
    if any((folder / name).is_file() for name in ("pytorch_model.bin", "model.bin")):
        return "weights are read from safetensors only, since other formats can run code; save it as such"
    inside = [path.parent for path in sorted(folder.glob(f"*/{WEIGHTS}"))]
    return f"did you mean {inside[0]}?" if inside else "name a folder such as models/<task>"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TlmError(f"{path}: not JSON ({error}); export the model again") from None
    if not isinstance(found, dict):
        raise TlmError(f"{path}: not a JSON object; export the model again")
    return found
