"""The labels of a row of a multi-label task: from a list, from text with a separator, or from one column per label.

Place in the flow: `tlm.tasks.parsers` → here. A row without any label is valid; a missing value is a fault.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tlm.errors import TlmError
from tlm.formats.tables import ABSENT, as_text
from tlm.text import clean

Label = str | tuple[str, ...]
"""A row's label: one name or number as text, empty if it is missing; of a multi-label task a tuple of distinct
names."""

_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def labels_in(label: Label) -> tuple[str, ...]:
    """The names in a label."""
    return label if isinstance(label, tuple) else (label,)


def renamed(label: Label, names: Mapping[str, str]) -> Label:
    """The label with other names; equal names merge. Of several labels, those with an empty new name are left out."""
    if isinstance(label, tuple):
        return tuple(sorted({names.get(each, each) for each in label} - {""}))
    return names.get(label, label)


def listed_labels(
    value: Any, separator: str | None, where: str, column: str, option: str = "`label_separator:`"
) -> tuple[str, ...] | None:
    """The labels in a value of the label column; None for a missing value: null, NaN or an absent key.

    A list of texts or numbers; text that `separator` cuts; or text that is itself a list, in JSON or as Python prints
    it. Empty text is no label. Raises TlmError naming `where` and `column` for anything else; `option` is where the
    user sets the separator.
    """
    if value is None or value is ABSENT or value != value:
        return None
    if isinstance(value, str):
        value = _parts(value, separator, where, column, option)
    if not isinstance(value, (list, tuple)):
        raise TlmError(
            f"{where}: column {column!r} holds {value!r}, not a list of labels; write a list, or text and {option}"
        )
    found = []
    for each in value:
        if each is None or isinstance(each, (list, tuple, dict)) or each != each:
            raise TlmError(f"{where}: column {column!r}: {each!r} in a list of labels is not a label")
        found.append(clean(as_text(each, where, column) or ""))
    return tuple(sorted({name for name in found if name}))


def _parts(text: str, separator: str | None, where: str, column: str, option: str) -> list[Any]:
    if separator is not None:
        return text.split(separator)
    text = text.strip()
    if not text:
        return []
    if text.startswith("["):
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list):
                return found
    raise TlmError(
        f"{where}: column {column!r} holds the text {text[:40]!r}, not a list of labels; if a character separates"
        f" labels, name it with {option}"
    )


def flagged_labels(values: Mapping[str, Any], columns: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of the columns that hold 1. Raises TlmError for a value that is neither 0 nor 1."""
    found = []
    for column in columns:
        text = (as_text(values[column], where, column) or "").strip().lower()
        if text not in _FLAGS:
            raise TlmError(f"{where}: column {column!r} holds {text!r}; a column of a label holds 0 or 1")
        if _FLAGS[text]:
            found.append(column)
    return tuple(found)
