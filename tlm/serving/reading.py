"""A file of `tlm predict`, read in chunks while its progress is counted.

Place in the flow: a user's file → here → predict. One chunk is in memory at a time. `tlm.formats` reads the format.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tlm.errors import TlmError
from tlm.formats.files import Input
from tlm.formats.registry import format_of, read_chunks
from tlm.formats.tables import Chunk, TableOptions


@dataclass
class Position:
    """How much of a file is read: bytes before decompression, or rows of a format that knows their number."""

    total: int
    unit: str
    done: int = 0

    def watch(self, raw: IO[bytes]) -> IO[bytes]:
        """`raw`, counted while it is read."""
        self.done = 0
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
    """A file, read in chunks of `rows`. Raises TlmError for a missing file and an unknown format."""

    path: Path
    options: TableOptions
    rows: int
    position: Position = field(init=False)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise TlmError(f"{self.path}: no such file")
        count = format_of(Input(self.path)).count_rows
        rows = count(Input(self.path)) if count else None
        position = Position(self.path.stat().st_size, "bytes") if rows is None else Position(rows, "rows")
        object.__setattr__(self, "position", position)

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order, at least one chunk. Raises TlmError as `read_chunks` does."""
        in_rows = self.position.unit == "rows"
        watch = None if in_rows else self.position.watch
        for chunk in read_chunks(Input(self.path), self.options, self.rows, watch):
            if in_rows:
                self.position.done += len(chunk.numbers)
            yield chunk
