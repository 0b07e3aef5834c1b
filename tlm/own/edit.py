"""Changes single values of `config/own/<name>.yaml` and keeps the rest of the text, comments included.

Place in the flow: `tlm train` → here → the file. PyYAML finds the place of a value in the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from tlm.errors import TlmError


def set_value(text: str, path: Sequence[str], value: str) -> str:
    """`text` with the value at `path` replaced by the YAML `value` (one line), or added.

    Raises TlmError if a key of the path holds something else than a mapping.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return f"{text}{_nested(path, value)}\n"
    node = root
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise TlmError(
                f"{'.'.join(path[:depth])}: not a mapping; set {'.'.join(path)} to {value} by hand"
            )
        inner = next((each for name, each in node.value if name.value == key), None)
        if inner is None:
            return _add(text, node, _nested(path[depth:], value))
        node = inner
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and not node.flow_style:
        raise TlmError(f"{'.'.join(path)}: is written over several lines; set it to {value} by hand")
    return text[:start] + value + text[end:]


def _nested(path: Sequence[str], value: str) -> str:
    """`stage1: {budget: {tokens: 5}}`."""
    for key in reversed(path[1:]):
        value = f"{{{key}: {value}}}"
    return f"{path[0]}: {value}"


def _add(text: str, node: yaml.MappingNode, entry: str) -> str:
    """`text` with `entry` in front of the first key of a mapping."""
    if node.flow_style:
        at = text.index("{", node.start_mark.index) + 1
        return text[:at] + entry + (", " if node.value else "") + text[at:]
    at = node.start_mark.index
    return text[:at] + entry + "\n" + " " * node.start_mark.column + text[at:]
