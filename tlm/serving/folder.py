"""A model's folder: its files, its classes, the longest text, and the columns that its task read.

Place in the flow: written by `export`, read by everything else of this package. A folder without our manifest (a run's
`stage2/model`, or any encoder in the format of `transformers`) is served too, with default columns. Nothing here can
run code: weights are read from safetensors only, and a folder that names code to run is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.artifacts import MANIFEST, read_manifest
from tlm.errors import TlmError, did_you_mean
from tlm.problems import REGRESSION, Problem, problem_of_type

KIND = "model"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
FILES = (WEIGHTS, CONFIG, *TOKENIZER)
ONNX = "onnx/model.onnx"
THRESHOLDS = "thresholds"
"""The key of config.json with the threshold of each label, of a model for several labels a text."""
MODELS = Path("models")


@dataclass(frozen=True)
class Columns:
    """The columns of the task's files; `tlm predict` expects the same columns by default."""

    text: tuple[str, ...] = ("text",)
    """The columns of the text, joined by a space."""
    pair: str | None = None
    names: tuple[str, ...] = ()
    """The column names of a file without a header line."""
    separator: str | None = None
    """Between the labels of a row in a CSV, for a multi-label task that was read so."""
    quoting: bool = True
    delimiter: str | None = None
    sheet: str | None = None
    encodings: tuple[str, ...] = ("utf-8",)


@dataclass(frozen=True)
class ServedModel:
    """A folder that holds a classifier, with its settings."""

    folder: Path
    labels: tuple[str, ...]
    problem: Problem
    thresholds: tuple[float, ...] | None
    """The probabilities from which each label is predicted, where a text can have several labels."""
    length: int
    """The most tokens of an input, with special tokens; the model does not read the rest of a text."""
    columns: Columns

    @property
    def regression(self) -> bool:
        """Whether the model gives a number."""
        return self.problem is REGRESSION


def find_model(name: Path, root: Path = Path()) -> Path:
    """The folder of a model: `name` itself if it is a folder, else `models/<name>`.

    Raises TlmError, with the closest name of a model or of a task of `config/own/`, if there is neither.
    """
    if name.is_dir():
        return name
    folder = root / MODELS / name
    if folder.is_dir():
        return folder
    built = [path.name for path in sorted((root / MODELS).glob("*")) if path.is_dir()]
    declared = [path.stem for path in sorted((root / "config/own").glob("*.yaml"))]
    if name.name in declared:
        raise TlmError(f"{name}: not built yet; build it with `snakemake {MODELS}/{name.name}/{MANIFEST}`")
    hint = (
        did_you_mean(name.name, [*built, *declared]) or f"; there are {', '.join(built) or 'no models yet'}"
    )
    raise TlmError(f"{name}: neither a folder nor a model of {MODELS}/{hint}")


def read_folder(folder: Path) -> ServedModel:
    """The model in `folder`. Raises TlmError for a folder without a model, or with code to run."""
    if not folder.is_dir():
        raise TlmError(f"{folder}: no such folder; build a model with `snakemake models/<task>/{MANIFEST}`")
    for name in FILES:
        if not (folder / name).is_file():
            hint = _hint(folder)
            raise TlmError(f"{folder}: holds no {name}; {hint}")
    config, tokenizer = (_read(folder / name) for name in (CONFIG, "tokenizer_config.json"))
    for name, values in ((CONFIG, config), ("tokenizer_config.json", tokenizer)):
        if "auto_map" in values or "custom_pipelines" in values:
            raise TlmError(f"{folder / name}: names code to run (auto_map); refused")
    names = config.get("id2label") or {}
    labels = tuple(str(label) for _, label in sorted((int(key), label) for key, label in names.items()))
    problem = problem_of_type(config.get("problem_type"))
    if not labels or (problem is REGRESSION and len(labels) != 1):
        raise TlmError(
            f"{folder / CONFIG}: id2label does not name the model's outputs; export the model again"
        )
    parameters = read_manifest(folder, KIND).parameters if (folder / MANIFEST).is_file() else {}
    listed = parameters.get("columns", {}).items()
    columns: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in listed}
    return ServedModel(
        folder=folder,
        labels=labels,
        problem=problem,
        thresholds=_thresholds(config, labels, folder) if problem.many else None,
        length=int(parameters.get("length") or tokenizer["model_max_length"]),
        columns=Columns(**columns),
    )


def _thresholds(config: dict[str, Any], labels: tuple[str, ...], folder: Path) -> tuple[float, ...]:
    """The thresholds that the export wrote; 0.5 for a model without them."""
    given = config.get(THRESHOLDS, dict.fromkeys(labels, 0.5))
    try:
        return tuple(float(given[label]) for label in labels)
    except (KeyError, TypeError, ValueError):
        raise TlmError(
            f"{folder / CONFIG}: {THRESHOLDS} does not name every label; export the model again"
        ) from None


def _hint(folder: Path) -> str:
    """A hint for a folder without a model."""
    if any((folder / name).is_file() for name in ("pytorch_model.bin", "model.bin")):
        return "weights are read from safetensors only, because other formats can run code; convert them"
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
