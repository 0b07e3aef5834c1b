"""The configuration as a page to read and as JSON Schema for editors, both made from the typed models.

Place in the flow: beside it. `scripts/config_reference.py` writes docs/configuration.md and config/schema/ from here; a
test fails where either differs from the models. The docstring of a field describes its key;
docs/configuration.yaml adds units and sections of the paper.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from tlm.config.base import Strict, load_yaml, parse
from tlm.config.data import PassagesFile, TaskSpec
from tlm.config.own import OwnSpec
from tlm.config.scale import ScaleSpec
from tlm.config.settings import Experiments, Settings
from tlm.config.sources import SourceSpec
from tlm.config.training import EmbeddingInitSpec, ModelSpec, Stage1Spec, Stage2Spec, TokenizerSpec
from tlm.config.variants import VariantSpec
from tlm.errors import TlmError


class File(NamedTuple):
    """A file of config/ and the model that it is read as; under `key`, entries that people name."""

    path: str
    schema: str
    model: type[Strict]
    about: str
    key: str | None = None


FILES = (
    File("config/config.yaml", "config", Settings, "Targets, scale, and settings of all runs."),
    File("config/scales/*.yaml", "scale", ScaleSpec, "Parameters, corpus and training tokens (Section 4.1)."),
    File("config/experiments.yaml", "experiments", Experiments, "Variants, sweeps, tables and figures."),
    File("config/own/*.yaml", "own", OwnSpec, "Your own task and corpus; see docs/own-data.md."),
    File("config/tasks.yaml", "tasks", TaskSpec, "Labelled data, their splits and metrics.", "tasks"),
    File(
        "config/corpora.yaml", "corpora", PassagesFile, "General text, cut into passages; given selections."
    ),
    File("config/sources.yaml", "sources", SourceSpec, "Bytes, pinned by version and digest.", "sources"),
)

_RUN: dict[str, type[Strict]] = {
    "model": ModelSpec,
    "embedding_init": EmbeddingInitSpec,
    "stage1": Stage1Spec,
    "stage2": Stage2Spec,
}
PARTIAL: dict[tuple[str, str], type[Strict]] = {
    **{("ScaleSpec", key): model for key, model in _RUN.items()},
    **{("VariantSpec", key): model for key, model in _RUN.items()},
    **{("OwnTraining", key): model for key, model in _RUN.items()},
    ("OwnTraining", "tokenizer"): TokenizerSpec,
    ("SweepSpec", "stage1"): Stage1Spec,
}
"""Mappings with some of the keys of a model; missing keys raise when a run is merged from them."""


class Note(Strict):
    """Text about a key in addition to its docstring."""

    meaning: str = ""
    unit: str = ""
    paper: str = ""


class _Notes(Strict):
    models: dict[str, dict[str, Note]]


Notes = dict[str, dict[str, Note]]


def read_notes(path: Path) -> Notes:
    """Model → key → note. Raises TlmError naming a note of a key that does not exist."""
    notes = parse(_Notes, load_yaml(path), str(path)).models
    known = {model.__name__: set(model.model_fields) for file in FILES for model in reached(file.model)}
    for model, keys in notes.items():
        if unknown := sorted(set(keys) - known.get(model, set())):
            raise TlmError(f"{path}: models.{model}.{unknown[0]}: there is no such key")
    return notes


@cache
def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field → the string literal beneath it, as one line; of inherited fields too."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, Strict) or kind is Strict:
            continue
        (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(declared, ast.ClassDef)
        for field, text in pairwise(declared.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                found[field.target.id] = " ".join(text.value.value.split())
    return found


def meaning(model: type[BaseModel], key: str, notes: Notes) -> str:
    """The description of a key: its docstring, then its note."""
    note = notes.get(model.__name__, {}).get(key, Note())
    return " ".join(filter(None, (docstrings(model).get(key, ""), note.meaning)))


def reached(root: type[Strict]) -> list[type[Strict]]:
    """`root` and every model below it, in the order in which a reader meets them."""
    found = [root]
    for model in found:
        for key, field in model.model_fields.items():
            below = [PARTIAL[model.__name__, key]] if (model.__name__, key) in PARTIAL else []
            found += [each for each in (*_models(field.annotation), *below) if each not in found]
    return found


def _models(annotation: Any) -> Iterator[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)


# --- The page ---


def page(notes: Notes) -> str:
    """docs/configuration.md: a section a file, a table a model, a row a key."""
    lines = [_HEAD]
    shown: set[type[Strict]] = set()
    for file in FILES:
        lines += [f"## {file.path}", "", file.about, ""]
        if file.key is not None:
            lines += [f"Below `{file.key}:`, entries by name.", ""]
        for model in reached(file.model):
            if model in shown:
                continue
            shown.add(model)
            if model is not file.model:
                lines += [f"### {model.__name__}", "", _summary(model), ""]
            lines += [*_table(model, notes), ""]
    return "\n".join(lines).rstrip() + "\n"


_HEAD = """\
# Configuration reference

<!-- Written by scripts/config_reference.py from tlm/config/ and docs/configuration.yaml; do not edit. -->

This page lists every key of `config/`. Any other key is an error, and the message names the most similar key.
`config/config.yaml` selects what to build; its keys can also be set on the command line with `--config`.
`config/schema/` has the same information as JSON Schema. Editors that support YAML use it to complete and check these
files (the first line of each file names its schema), and Snakemake's `validate()` accepts it too.

The settings of a run are merged from the scale, the scale's entry for the task, the variant, and `overrides`, in this
order. A file can omit keys of `model`, `stage1` and `stage2` that another of these sets, although the tables below call
them required. `config/reported.yaml` (the numbers of the paper) and `config/sizes.yaml` (sizes of public data, for
`tlm cost`) contain no settings.
"""


def _summary(model: type[Strict]) -> str:
    return _cell(" ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split()))


def _table(model: type[Strict], notes: Notes) -> list[str]:
    rows = ["| key | type (unit) | default | meaning | in the paper |", "|---|---|---|---|---|"]
    for key, field in model.model_fields.items():
        note = notes.get(model.__name__, {}).get(key, Note())
        cells = (
            f"`{key}`",
            (_partly(model, key) or type_in_words(field)) + (f" ({note.unit})" if note.unit else ""),
            _default(field),
            meaning(model, key, notes),
            note.paper,
        )
        rows.append("| " + " | ".join(_cell(each) for each in cells) + " |")
    return rows


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _partly(model: type[Strict], key: str) -> str:
    of = PARTIAL.get((model.__name__, key))
    return (
        f"keys of {_link(of)}" + (" or null" if (model, key) == (VariantSpec, "stage2") else "") if of else ""
    )


def type_in_words(field: FieldInfo) -> str:
    """A field's type and limits as people say it: `whole number > 0`, `bm25 or random`."""
    if callable(extend := field.json_schema_extra):
        schema: dict[str, Any] = {}
        extend(schema)
        return _words(typing.Literal[tuple(schema["enum"])])
    limits = _limits(field.metadata)
    return _words(field.annotation) + (f" {limits}" if limits else "")


def _words(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return f"{_words(parts[0])} {_limits(parts[1:])}".rstrip()
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(each) for each in parts))
    if origin is list or (origin is tuple and parts[-1] is Ellipsis):
        return f"list of {_words(parts[0])}"
    if origin is tuple:
        return f"[{', '.join(_words(each) for each in parts)}]"
    if origin is dict:
        return f"mapping of {_words(parts[0])} to {_words(parts[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return _link(annotation)
    return _PLAIN[annotation]


_PLAIN = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}


def _link(model: type[Strict]) -> str:
    file = next((each for each in FILES if each.model is model), None)
    return f"[{model.__name__}](#{_anchor(file.path if file else model.__name__)})"


def _anchor(heading: str) -> str:
    """As Markdown's `toc` makes it of a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def _limits(metadata: Any) -> str:
    found = []
    for each in metadata:
        if isinstance(each, FieldInfo):
            found.append(_limits(each.metadata))
        elif isinstance(each, MinLen):
            found.append(f"(at least {each.min_length})")
        for kind, sign, name in ((Gt, ">", "gt"), (Ge, "≥", "ge"), (Lt, "<", "lt"), (Le, "≤", "le")):
            if isinstance(each, kind):
                found.append(f"{sign} {getattr(each, name):g}")
    return " ".join(filter(None, found))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Strict):
        return "its own"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


# --- JSON Schema ---


def schemas(notes: Notes) -> dict[str, dict[str, Any]]:
    """File name below config/schema/ → JSON Schema (2020-12), keys described as on the page."""
    found = {}
    for file in FILES:
        kind: Any = file.model if file.key is None else dict[str, file.model]  # type: ignore[name-defined]
        schema = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
        below = schema.pop("$defs", {})
        if file.key is None:
            below[file.model.__name__] = schema
            top: dict[str, Any] = {"$ref": f"#/$defs/{file.model.__name__}"}
        else:
            top = {"type": "object", "properties": {file.key: schema}, "additionalProperties": False}
        models = {model.__name__: model for model in reached(file.model)}
        for name, model in models.items():
            _describe(below.setdefault(name, TypeAdapter(model).json_schema()), model, notes)
            below |= below[name].pop("$defs", {})
        for (name, key), part in PARTIAL.items():
            if name in models:
                below[f"{part.__name__}Part"] = {
                    **{each: value for each, value in below[part.__name__].items() if each != "required"},
                    "title": f"Keys of {part.__name__}",
                }
                reference = {"$ref": f"#/$defs/{part.__name__}Part"}
                wide = {"anyOf": [reference, {"type": "null"}]}
                below[name]["properties"][key] |= (
                    wide if (name, key) == ("VariantSpec", "stage2") else reference
                )
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": file.path}
        found[f"{file.schema}.schema.json"] = {**head, **top, "$defs": dict(sorted(below.items()))}
    return found


def _describe(schema: dict[str, Any], model: type[Strict], notes: Notes) -> None:
    for key, each in schema.get("properties", {}).items():
        if text := meaning(model, key, notes):
            each["description"] = text
