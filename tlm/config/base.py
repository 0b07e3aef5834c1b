"""The strict, frozen base class of every model of the configuration.

Place in the flow: below all other configuration modules. `load_yaml` reads a file and `parse` validates it; both report
every mistake in one line that names the file and the key.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tlm.errors import TlmError, did_you_mean


class Strict(BaseModel):
    """Typed, immutable, and closed: an unknown key is an error.

    Snakemake reruns a job when the JSON of its specification changes, and the JSON holds defaults: a changed default
    reruns every job that it affects. A new field would do so too; declare it with `added`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())

    @classmethod
    def from_option(cls, text: str) -> Self:
        """The model from the option `--spec` of a script: JSON, or `@file`. Raises TlmError."""
        return parse_json(cls, text, "--spec")


def added(default: Any, **limits: Any) -> Any:
    """A field added after artifacts were built: `name: type = added(default)`. `limits` are those of `Field`.

    The JSON leaves the field out while it has its default, so that only jobs that set it rerun. The default must
    therefore mean the behaviour before the field existed, and must never change.
    """
    return Field(default, exclude_if=lambda value: value == default, **limits)


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], value: Any, where: str) -> Model:
    """Validate `value` as a `model`.

    Raises TlmError in one line that names `where` (usually a file) and each wrong key by its dotted path,
    e.g. `config/tasks.yaml: tasks.bbc-news.metrik: unknown key (did you mean 'metric'?)`.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [_problem(model, entry) for entry in error.errors(include_url=False)]
        raise TlmError(f"{where}: {'; '.join(problems)}") from None


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change`; mappings are merged key by key.

    A `budget` is replaced as a whole, so that a budget of tokens can become one of steps.
    """
    merged = dict(base)
    for key, value in change.items():
        whole = key == "budget" or not isinstance(value, Mapping) or not isinstance(merged.get(key), Mapping)
        merged[key] = value if whole else merge(merged[key], value)
    return merged


def parse_json(model: type[Model], text: str, where: str) -> Model:
    """Validate JSON `text`, or the file that `text` names as `@file`, as a `model`. Raises TlmError."""
    if text.startswith("@"):
        where = text[1:]
        text = read_text(Path(where))
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TlmError(f"{where}: not JSON ({error})") from None
    return parse(model, value, where)


def read_text(path: Path) -> str:
    """A file's text as UTF-8. Raises TlmError if it is absent or of another encoding."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise TlmError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise TlmError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None


# libyaml's parser, where PyYAML was built with it, is ten times as fast; `snakemake` reads all of config/.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_SafeLoader):
    """Refuses a key that occurs twice in a mapping, as YAML does; PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float, bool)) and key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: the key {key!r} occurs twice")
            if isinstance(key, (str, int, float, bool)):
                seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def load_yaml(path: Path) -> Any:
    """The content of a YAML file as plain values. Raises TlmError naming the file and the line."""
    text = read_text(path)
    try:
        # Safe: a subclass of SafeLoader.
        return yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        raise TlmError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


def _problem(model: type[BaseModel], entry: Any) -> str:
    location = entry["loc"]
    kind = entry["type"]
    if kind == "extra_forbidden":
        path, models = _walk(model, location[:-1])
        path.append(str(location[-1]))
        known = sorted({name for here in models for name in here.model_fields})
        hint = did_you_mean(str(location[-1]), known) or (f" (known: {', '.join(known)})" if known else "")
        message = f"unknown key{hint}"
    else:
        path, _ = _walk(model, location)
        if kind == "missing":
            message = "missing key"
        elif kind == "union_tag_invalid":
            path.append(entry["ctx"]["discriminator"].strip("'"))
            message = f"must be one of {entry['ctx']['expected_tags']}, got {entry['ctx']['tag']!r}"
        elif kind == "union_tag_not_found":
            path.append(entry["ctx"]["discriminator"].strip("'"))
            message = "missing key"
        else:
            message = str(entry["msg"]).removeprefix("Value error, ").replace("\n", " ")
            if kind != "value_error" and isinstance(entry["input"], (str, int, float, bool, type(None))):
                message += f", got {entry['input']!r}"
            if kind == "literal_error":
                message += did_you_mean(
                    str(entry["input"]), re.findall(r"'([^']+)'", entry["ctx"]["expected"])
                )
    return f"{'.'.join(path)}: {message}" if path else message


def _walk(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """The keys of pydantic's `location` as the file has them, and the models at that place.

    pydantic inserts the tag of a union's member; the file has no such key, so the tag is left out.
    """
    path: list[str] = []
    here = _unwrap(model)
    for part in location:
        tagged = [kind for kind in here if part in _tags(kind)]
        if len(here) > 1 and tagged:
            here = tagged
            continue
        step: list[Any] = []
        for kind in here:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
                step += _unwrap(kind.model_fields[part].annotation)
            elif typing.get_args(kind):  # list[X], dict[str, X]
                step += _unwrap(typing.get_args(kind)[-1])
        path.append(str(part))
        here = step or here
    return path, [kind for kind in here if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _tags(kind: Any) -> set[Any]:
    """The values of the literals among a model's fields."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return set()
    literals = [field.annotation for field in kind.model_fields.values()]
    return {
        tag for each in literals if typing.get_origin(each) is typing.Literal for tag in typing.get_args(each)
    }


def _unwrap(annotation: Any) -> list[Any]:
    """The alternatives of a union, without `Annotated`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [kind for part in typing.get_args(annotation) for kind in _unwrap(part)]
    if origin is typing.Annotated:
        return _unwrap(typing.get_args(annotation)[0])
    return [annotation]
