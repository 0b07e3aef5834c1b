"""Compressed files: one table of suffixes, each with its reader and its writer.

Place in the flow: below `tlm.formats.files`. The same content gives the same compressed bytes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any, cast

import zstandard

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile)
"""The errors that readers raise for truncated or damaged files."""


@dataclass(frozen=True)
class Compression:
    """How a compressed stream is read and written."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


class _ZstandardReader(io.RawIOBase):
    """Decompresses frame after frame and raises EOFError where the last frame is truncated.

    zstandard's own `stream_reader` ends a truncated file as if it were complete.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; 0 at the end. Raises EOFError where a frame is cut short."""
        while not self._ready:
            if self._frame.eof:
                chunk = self._frame.unused_data or self._raw.read(1 << 17)
                if not chunk:
                    return 0
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            else:
                chunk = self._raw.read(1 << 17)
                if not chunk:
                    raise EOFError("the last frame is cut short")
            self._ready = self._frame.decompress(chunk)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


COMPRESSIONS = {
    ".gz": Compression(
        read=lambda raw: gzip.GzipFile(fileobj=raw),
        # No name and no time in the header, so that equal content gives equal bytes.
        write=lambda raw: gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0),
    ),
    ".bz2": Compression(read=bz2.BZ2File, write=lambda raw: bz2.BZ2File(raw, "wb")),
    ".xz": Compression(read=lzma.LZMAFile, write=lambda raw: lzma.LZMAFile(raw, "wb")),  # noqa: SIM115
    ".zst": Compression(
        read=lambda raw: io.BufferedReader(_ZstandardReader(raw), 1 << 18),
        write=lambda raw: zstandard.ZstdCompressor().stream_writer(raw, closefd=False),
    ),
}
"""Suffix → compression."""


def split_suffix(name: str) -> tuple[str, str]:
    """The format's suffix and the compression's suffix of a file name, in lower case; "" where there is none."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    return (suffixes[-1] if suffixes else ""), packed


def decompressed(raw: IO[bytes], name: str) -> IO[bytes]:
    """`raw`, decompressed if the suffix of `name` says so."""
    _, packed = split_suffix(name)
    return cast("IO[bytes]", COMPRESSIONS[packed].read(raw)) if packed else raw


@contextmanager
def compressed_text(raw: IO[bytes], name: str) -> Iterator[IO[str]]:
    """A UTF-8 text stream into `raw`, compressed if the suffix of `name` says so."""
    _, packed = split_suffix(name)
    with ExitStack() as stack:
        inner: Any = stack.enter_context(COMPRESSIONS[packed].write(raw)) if packed else raw
        # Half of a surrogate pair, which JSON can hold, becomes its escape again.
        text = io.TextIOWrapper(inner, encoding="utf-8", errors="backslashreplace", newline="")
        yield stack.enter_context(text)
