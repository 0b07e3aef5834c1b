"""Stages that differ in a name alone, written once: `matrix` where it is the item's, `foreach` where others follow it.

Place in the flow: below `tlm.store.document`. A task's stage depends on its source; both names stand in one entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tlm.store.stages import Kind

Form = dict[str, Any]
"""A stage as it stands in dvc.yaml."""

_ITEM = "\0"  # stands for the item's name, where the form is compared with others
_SEPARATORS = re.compile(r"([/ ])")


def entries_of(kind: Kind, members: Sequence[tuple[str, Form]]) -> Form:
    """Name → entry for all of a kind's stages (item, form): one, one for all items, or several where they differ."""
    if len(members) == 1:
        return {kind.name: members[0][1]}
    families: dict[tuple[int, ...], list[tuple[str, Form]]] = {}
    for item, form in members:
        generic = _mapped(form, lambda text, item=item: _without(text, item))  # type: ignore[misc]
        shape = tuple(len(_SEPARATORS.split(text)) for text in _texts(generic))
        families.setdefault(shape, []).append((item, generic))
    entries: Form = {}
    for family in sorted(families.values(), key=len, reverse=True):
        shared = _shared(kind, family) if len(family) > 1 and kind.name not in entries else None
        if shared is not None:
            entries[kind.name] = shared
        else:
            entries.update({f"{kind.name}-{item}": _filled(form, item) for item, form in family})
    return entries


def _shared(kind: Kind, family: Sequence[tuple[str, Form]]) -> Form | None:
    """One entry for stages of one shape; None if they differ in what no folder names."""
    first = family[0][1]
    rows = [[_SEPARATORS.split(text) for text in _texts(form)] for _, form in family]
    fields: dict[str, dict[str, str]] = {}  # name → item → value
    for at, parts in enumerate(rows[0]):
        for place in range(len(parts)):
            values = {item: row[at][place] for (item, _), row in zip(family, rows, strict=True)}
            if len(set(values.values())) == 1:
                continue
            name = parts[place - 2].rstrip("s") if place >= 2 else ""
            if not name.isidentifier() or fields.setdefault(name, values) != values:
                return None
    if not fields:
        entry = _filled(first, f"${{item.{kind.item}}}")
        return {"matrix": {kind.item: [item for item, _ in family]}, **entry}
    names = {fields[name][family[0][0]]: name for name in fields}
    template = _mapped(first, lambda text: "".join(_named(part, names) for part in _SEPARATORS.split(text)))
    items = {item: {name: fields[name][item] for name in fields} for item, _ in family}
    return {"foreach": items, "do": _filled(template, "${key}")}


def _named(part: str, names: dict[str, str]) -> str:
    return f"${{item.{names[part]}}}" if part in names else part


def _without(text: str, item: str) -> str:
    """`text` with the item's name marked, where a folder bears it or a key ends in it."""
    parts = (_ITEM if part == item else part for part in _SEPARATORS.split(text))
    return re.sub(rf"\.{re.escape(item)}$", f".{_ITEM}", "".join(parts))


def _filled(form: Form, item: str) -> Form:
    return dict(_mapped(form, lambda text: text.replace(_ITEM, item)))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_mapped(key, change): _mapped(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_mapped(each, change) for each in value]
    return value


def _texts(value: Any) -> list[str]:
    """Every text in a form, keys included, in order."""
    found: list[str] = []
    _mapped(value, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found
