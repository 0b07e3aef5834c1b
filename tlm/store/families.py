"""Writes stages that differ only in names as one entry of dvc.yaml.

Place in the flow: below `tlm.store.document`. Stages that differ only in the item's name become a `matrix`. Stages that
also differ in names that depend on the item (a task's source) become a `foreach`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tlm.store.stages import StageKind

StageEntry = dict[str, Any]
"""A stage as dvc.yaml has it."""

_ITEM = "\0"  # replaces the item's name while entries are compared
_SEPARATORS = re.compile(r"([/ ])")


def entries_of(kind: StageKind, members: Sequence[tuple[str, StageEntry]]) -> StageEntry:
    """Name → entry, for all stages (item, entry) of a kind: one entry for all items, or several where they differ."""
    if len(members) == 1:
        return {kind.name: members[0][1]}
    families: dict[tuple[int, ...], list[tuple[str, StageEntry]]] = {}
    for item, entry in members:
        generic = _mapped(entry, lambda text, item=item: _without(text, item))  # type: ignore[misc]
        shape = tuple(len(_SEPARATORS.split(text)) for text in _texts(generic))
        families.setdefault(shape, []).append((item, generic))
    entries: StageEntry = {}
    for family in sorted(families.values(), key=len, reverse=True):
        shared = _shared(kind, family) if len(family) > 1 and kind.name not in entries else None
        if shared is not None:
            entries[kind.name] = shared
        else:
            entries.update({f"{kind.name}-{item}": _filled(entry, item) for item, entry in family})
    return entries


def _shared(kind: StageKind, family: Sequence[tuple[str, StageEntry]]) -> StageEntry | None:
    """One entry for stages of one shape; None if they differ in a text that is not the name of a folder."""
    first = family[0][1]
    rows = [[_SEPARATORS.split(text) for text in _texts(entry)] for _, entry in family]
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
    """`text` with the item's name marked, where it is a folder or the end of a key."""
    parts = (_ITEM if part == item else part for part in _SEPARATORS.split(text))
    return re.sub(rf"\.{re.escape(item)}$", f".{_ITEM}", "".join(parts))


def _filled(entry: StageEntry, item: str) -> StageEntry:
    return dict(_mapped(entry, lambda text: text.replace(_ITEM, item)))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_mapped(key, change): _mapped(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_mapped(each, change) for each in value]
    return value


def _texts(value: Any) -> list[str]:
    """Every text in an entry, keys included, in order."""
    found: list[str] = []
    _mapped(value, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found
