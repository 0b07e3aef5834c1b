"""A file of `tlm predict`, read in chunks while its progress is counted.

Place in the flow: a user's file → here → predict. One chunk is in memory at a time. `tlm.formats` reads the format.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tlm.config.sources import why_no_file
from tlm.errors import TlmError
from tlm.formats.files import Input, members
from tlm.formats.registry import format_of, read_chunks
from tlm.formats.tables import Chunk, TableOptions


@dataclass
class Position:
    """How much of a file is read: bytes before decompression, or rows of a format that knows their number."""

    total: int
    unit: str
    done: int = 0
    source: str = ""
    """The file or member that is being read."""

    def watch(self, raw: IO[bytes]) -> IO[bytes]:
        """`raw`, counted while it is read."""
        return io.BufferedReader(_CountedBytes(raw, self), 1 << 18)


class _CountedBytes(io.RawIOBase):
    def __init__(self, raw: IO[bytes], position: Position) -> None:
        self._raw, self._position = raw, position

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with one read; 0 at the end."""
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._position.done += len(data)
        return len(data)


@dataclass(frozen=True)
class ChunkReader:
    """A file, or the members of a .zip, read in chunks of `rows`.

    Raises TlmError for a missing file and an unknown format.
    """

    path: Path
    options: TableOptions
    rows: int
    shown: str | None = None
    """The name in messages, if it is not that of `path`."""
    position: Position = field(init=False)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise TlmError(f"{self.path}: {why_no_file(str(self.path))}")
        inputs = self._inputs()
        forms = [format_of(each, self.options.kind, option=self.options.settings["kind"]) for each in inputs]
        if not inputs:
            raise TlmError(f"{self.path}: the archive holds no file")
        rows = forms[0].count_rows(inputs[0]) if len(inputs) == 1 and forms[0].count_rows else None
        position = Position(_bytes(inputs), "bytes") if rows is None else Position(rows, "rows")
        object.__setattr__(self, "position", position)

    def _inputs(self) -> list[Input]:
        return [Input(self.path, shown=self.shown)] if self.shown else members(self.path)

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order, at least one chunk. Raises TlmError as `read_chunks` does."""
        in_rows = self.position.unit == "rows"
        watch = None if in_rows else self.position.watch
        self.position.done = 0
        for source in self._inputs():
            self.position.source = str(source)
            for chunk in read_chunks(source, self.options, self.rows, watch):
                if in_rows:
                    self.position.done += len(chunk.numbers)
                yield chunk


def _bytes(inputs: list[Input]) -> int:
    """The size of files, and of members as they are read."""
    total = 0
    for each in inputs:
        if each.member is None:
            total += each.path.stat().st_size
        else:
            with zipfile.ZipFile(each.path) as archive:
                total += archive.getinfo(each.member).file_size
    return total


@contextmanager
def as_regular_file(path: Path) -> Iterator[tuple[Path, str | None]]:
    """`path` and None; for a pipe such as /dev/stdin (or `-`), a temporary copy and the name of the pipe.

    Some formats are not read from their beginning to their end, so a pipe is copied first.
    """
    name = "/dev/stdin" if str(path) == "-" else str(path)
    pipe = Path(name)
    if pipe.is_file() or pipe.is_dir() or not pipe.exists():
        yield pipe, None
        return
    with tempfile.NamedTemporaryFile(prefix="tlm-predict-") as copy, pipe.open("rb") as stream:
        shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name), name
