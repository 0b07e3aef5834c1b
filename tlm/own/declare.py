"""The text of `config/own/<name>.yaml`: the declared and the chosen settings, each with its reason.

Place in the flow: the last step of `tlm.own.prepare`. Only settings that differ from the defaults are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tlm.config.own import OwnSpec

_HEAD = """\
# yaml-language-server: $schema=../schema/own.schema.json
# Written by `tlm new`; yours to edit. Every key: docs/configuration.md. How settings are chosen: docs/own-data.md.
#
#   snakemake results/tasks/{name}/report.html
"""


def as_yaml(name: str, spec: OwnSpec, reasons: Mapping[str, str]) -> str:
    """The file's text. `reasons` are comments: dotted key below `training` → why."""
    values = spec.model_dump(mode="json", exclude_defaults=True)
    lines = [_HEAD.format(name=name)]
    for key in ("description", "language", "licence", "compare"):
        if key in values:
            lines += [f"{key}: {_inline(values[key])}"]
    for section in ("task", "corpus"):
        lines += ["", *_section(section, values.get(section, {}), {})]
    return "\n".join([*lines, "", *_section("training", values.get("training", {}), reasons)]) + "\n"


def _section(name: str, value: Any, reasons: Mapping[str, str]) -> list[str]:
    """A mapping, one key per line; nested mappings in braces, unless a reason belongs to one of their keys."""
    if not isinstance(value, Mapping):
        return [f"{name}: {_inline(value)}"]
    lines = [f"{name}:"]
    for key, each in value.items():
        deeper = any(reason.startswith(f"{key}.") for reason in reasons)
        if isinstance(each, Mapping) and deeper:
            lines.append(f"  {key}:")
            lines += [
                f"    {_entry(part, deep, reasons.get(f'{key}.{part}'))}" for part, deep in each.items()
            ]
        else:
            lines.append(f"  {_entry(key, each, reasons.get(key))}")
    return lines


def _entry(key: str, value: Any, reason: str | None) -> str:
    return f"{key}: {_inline(value)}" + (f" # {reason}" if reason else "")


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").strip()
