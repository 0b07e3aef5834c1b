"""The readers of JSON files: an object per line, or an array of objects.

Place in the flow: named in the table of `tlm.formats.registry`. Both are streamed: one object is in memory at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import IO, Any

from tlm.errors import TlmError
from tlm.formats.files import Input, Watch, open_text
from tlm.formats.tables import ABSENT, Chunk, TableOptions, check_required, column_path

_READ = 1 << 16  # characters read at once from an array
_LONGEST = 1 << 28  # characters of an element, as of a field of a CSV


def read_jsonl(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """One JSON object per line, or an array of objects.

    Every object must have the required keys unless `options.rows_may_lack`.
    """
    with open_text(source, options.encodings, watch, options.settings["encodings"]) as stream:
        yield from _chunks(source, _objects(source, stream), options, rows)


def _chunks(
    source: Input, objects: Iterator[tuple[int, dict[str, Any]]], options: TableOptions, rows: int
) -> Iterator[Chunk]:
    first = True
    while (some := list(islice(objects, rows))) or first:
        names = list(dict.fromkeys(key for _, each in some for key in each))
        if not options.rows_may_lack:
            for number, each in some:
                check_required(f"{source}: row {number}", list(each), options)
        elif first and some:
            check_required(str(source), names, options)
        if options.only_required:
            roots = [column_path(name, names)[0] or name for name in options.required]
            names = list(dict.fromkeys(roots))
        columns = {name: [each.get(name, ABSENT) for _, each in some] for name in names}
        yield Chunk([number for number, _ in some], columns)
        first = False


def _objects(source: Input, stream: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object: the line's number, or the element's number in an array."""
    lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
    number, line = next(lines, (1, ""))
    if line.lstrip().startswith("["):
        return _array(source, line.lstrip()[1:], stream)
    return (
        (number, _object(f"{source}: row {number}", line))
        for number, line in chain([(number, line)], lines)
        if line
    )


def _object(where: str, line: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise TlmError(f"{where}: not JSON ({error})") from None
    return _checked(where, value)


def _checked(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TlmError(f"{where}: not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two keys are called {twice!r}; rename one")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _array(source: Input, rest: str, stream: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The elements of an array; `rest` is the text behind its opening bracket that was read already."""
    buffer, at, number = rest, 0, 1
    while True:
        buffer, at = _more_than_space(buffer, at, stream)
        if buffer[at : at + 1] == "]":
            break
        if number > 1:
            if buffer[at : at + 1] != ",":
                raise TlmError(
                    f"{source}: row {number}: not JSON (a comma or the end of the array is missing)"
                )
            buffer, at = _more_than_space(buffer, at + 1, stream)
        value, buffer, at = _element(f"{source}: row {number}", buffer, at, stream)
        yield number, _checked(f"{source}: row {number}", value)
        number += 1
    if buffer[at + 1 :].strip() or any(map(str.strip, stream)):
        raise TlmError(f"{source}: text follows the end of the array; keep one array per file")


def _more_than_space(buffer: str, at: int, stream: IO[str]) -> tuple[str, int]:
    """Skip white space; read on at the end of the buffer."""
    while True:
        while at < len(buffer) and buffer[at].isspace():
            at += 1
        if at < len(buffer) or not (more := stream.read(_READ)):
            return buffer, at
        buffer, at = more, 0


def _element(where: str, buffer: str, at: int, stream: IO[str]) -> tuple[Any, str, int]:
    """The value at `at`, and the buffer and the position behind it; reads on until the value is complete."""
    while True:
        try:
            value, end = _DECODER.raw_decode(buffer, at)
            return value, buffer, end
        except RecursionError as error:
            raise TlmError(f"{where}: not JSON ({error})") from None
        except ValueError as error:
            # A value that the buffer cuts short fails near its end, or in a string without an end.
            place = getattr(error, "pos", 0)
            cut = place + 16 > len(buffer) or "Unterminated string" in str(error)
            more = stream.read(max(_READ, len(buffer) - at)) if cut and len(buffer) - at < _LONGEST else ""
            if not more:
                reason = error if not cut else "the element has no end"
                raise TlmError(f"{where}: not JSON ({reason})") from None
            buffer, at = buffer[at:] + more, 0
