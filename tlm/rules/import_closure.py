"""The modules of `tlm` that a script imports, read from the source files without running them.

Place in the flow: `code=` of every rule. A rule depends on its script and on these files, so that a change of code
rebuilds what it can change, and only that.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LEFT_OUT = frozenset(
    {
        "tlm/__init__.py",  # a docstring
        "tlm/locks.py",  # only one process writes a folder
        "tlm/errors.py",  # the class of the exceptions that users see
        "tlm/process.py",  # how a script starts and ends
        "tlm/process_end.py",  # what a script does when its parent is killed
        "tlm/progress.py",  # progress lines on standard error
    }
)
"""Modules that scripts import and that cannot change an output."""

# Planning parses these statements alone: parsing whole files takes ten times as long.
_IMPORT = re.compile(
    r"^[ \t]*((?:from (?:tlm|importlib)\b[\w.]* import|import tlm\b)(?: \([^)]*\)|[^\n(]*))", re.M
)


@cache
def import_closure(script: str) -> tuple[str, ...]:
    """The modules of `tlm` that `script` imports, directly or through others, and the data files that they read.

    Imports inside functions count, and so does the `__init__.py` of each package; imports for type checking do not.
    Paths are relative to the current folder, the root of the project.
    """
    found: set[str] = set()
    waiting = [script]
    while waiting:
        for path in _read_by(waiting.pop()):
            if path not in found and path not in LEFT_OUT:
                found.add(path)
                if path.endswith(".py"):
                    waiting.append(path)
    return tuple(sorted(found))


@cache
def _read_by(path: str) -> tuple[str, ...]:
    """The files of `tlm` that one source file names itself."""
    files: dict[str, None] = {}
    source = Path(path).read_text(encoding="utf-8")
    if "TYPE_CHECKING" not in source:
        source = "\n".join(_IMPORT.findall(source))
    for name in _imported(ast.parse(source)):
        if name == "importlib.resources.files":  # the module reads the data files of its own package
            data = sorted(
                file for file in Path(path).parent.iterdir() if file.is_file() and file.suffix != ".py"
            )
            files.update(dict.fromkeys(str(file) for file in data))
        elif name.split(".")[0] == "tlm":
            files.update(dict.fromkeys(_files_of(name)))
    return tuple(files)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what a syntax tree imports; of `from a import b` it is `a.b`, a module or a name in `a`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)


@cache
def _files_of(name: str) -> tuple[str, ...]:
    """The files that Python runs to import a dotted name of `tlm`: its packages and its module."""
    parts = name.split(".")
    stems = [Path(*parts[:end]) for end in range(1, len(parts) + 1)]
    files = [file for stem in stems for file in (stem / "__init__.py", stem.with_suffix(".py"))]
    return tuple(str(file) for file in files if file.is_file())
