"""Read files as they come: compressed or not, of several encodings, delimited or plain.

Place in the flow: between fetched sources and the parsers of tasks and corpora. Everything streams; every
error names the file and the row.
"""

from __future__ import annotations

import bz2
import csv
import difflib
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tlm.artifacts import MANIFEST
from tlm.config.data import Delimited, Globs
from tlm.errors import TlmError
from tlm.sources.archives import glob_pattern

_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile)

csv.field_size_limit(1 << 28)  # a document of 256 MiB in one field; the default is 128 KiB


@dataclass(frozen=True)
class Input:
    """A file of a source, or a member of a .zip in it."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The name whose suffixes tell the format."""
        return self.member or self.path.name

    @property
    def suffix(self) -> str:
        """The last suffix that is not of a compression, in lower case."""
        suffixes = [suffix for suffix in Path(self.name).suffixes if suffix.lower() not in _COMPRESSED]
        return suffixes[-1].lower() if suffixes else ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)


def find(root: Path, globs: Globs) -> list[Input]:
    """The files below `root` that match, in the order of the globs and then of the names; zips opened up.

    Raises TlmError for a glob that matches nothing, so that a misspelt one is not an empty data set.
    """
    paths = [path for path in root.rglob("*") if path.name != MANIFEST]
    if gone := [path for path in paths if path.is_symlink() and not path.exists()]:
        raise TlmError(
            f"{gone[0]}: the file that it stands for, {gone[0].readlink()}, is gone; fetch it again"
        )
    names = sorted(path.relative_to(root).as_posix() for path in paths if path.is_file())
    found: dict[Input, None] = {}
    for glob in [globs] if isinstance(globs, str) else globs:
        pattern = glob_pattern(glob)
        matching = [name for name in names if pattern.fullmatch(name)]
        if not matching:
            raise TlmError(f"{root}: no file matches {glob!r}; there are {', '.join(names[:5]) or 'none'}")
        for name in matching:
            found |= dict.fromkeys(members(root / name))
    return list(found)


def members(path: Path) -> list[Input]:
    """The file itself, or what a .zip holds."""
    if path.suffix != ".zip":
        return [Input(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            return [Input(path, info.filename) for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise TlmError(f"{path}: broken archive ({error})") from None


Watch = Callable[[IO[bytes]], IO[bytes]]
"""Stands between a file and its reader, to see how far that is: a compressed file's own bytes pass through it."""


@contextmanager
def open_bytes(source: Input, watch: Watch | None = None) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file, as a stream. Raises TlmError if the compressed data are broken."""
    try:
        with ExitStack() as stack:
            if source.member is None:
                raw: IO[bytes] = stack.enter_context(source.path.open("rb"))
            else:
                raw = stack.enter_context(
                    stack.enter_context(zipfile.ZipFile(source.path)).open(source.member)
                )
            yield stack.enter_context(_decompressed(watch(raw) if watch else raw, source.name))
    except FileNotFoundError:
        raise TlmError(f"{source}: no such file") from None
    except _BROKEN as error:
        raise TlmError(f"{source}: truncated or broken ({error})") from None


def _decompressed(raw: IO[bytes], name: str) -> IO[bytes]:
    suffix = Path(name).suffix
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if suffix == ".bz2":
        return bz2.BZ2File(raw)
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    if suffix == ".zst":
        return io.BufferedReader(_Zstandard(raw), 1 << 18)
    return raw


class _Zstandard(io.RawIOBase):
    """Decompresses frame after frame, and knows when the last one is cut short.

    zstandard's own `stream_reader` ends a truncated file as if it were whole.
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


@contextmanager
def open_text(
    source: Input, encodings: Sequence[str], watch: Watch | None = None
) -> Iterator[io.TextIOWrapper]:
    """The decoded text of a file, as a stream with its line ends as they are.

    The first of `encodings` in which the whole file can be read is taken. Raises TlmError naming the first
    byte that none of them explains.
    """
    for encoding in encodings[:-1]:
        if _readable(source, encoding):
            break
    else:
        encoding = encodings[-1]  # the only one left is tried while reading, without a pass of its own
    if encoding.lower().replace("_", "-") == "utf-8":
        encoding = "utf-8-sig"  # a byte order mark is not text
    try:
        with open_bytes(source, watch) as stream:
            reader = io.TextIOWrapper(stream, encoding=encoding, newline="")
            yield reader
            reader.detach()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x}"
        hint = "save it as UTF-8 or name its encoding under `encodings`"
        raise TlmError(f"{source}: not {', '.join(encodings)} ({byte}); {hint}") from None
    except LookupError:
        raise TlmError(f"{source}: unknown encoding {encoding!r}") from None


def _readable(source: Input, encoding: str) -> bool:
    with open_bytes(source) as stream:
        try:
            reader = io.TextIOWrapper(stream, encoding=encoding)
            while reader.read(1 << 20):
                pass
        except UnicodeDecodeError:
            return False
        except LookupError:
            raise TlmError(f"{source}: unknown encoding {encoding!r}") from None
    return True


def rows(source: Input, options: Delimited, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number (from 1, header not counted) and the values of `columns`, for every row of a delimited file.

    A value is None where the row has none. Raises TlmError for an unknown format, a column that does not
    exist, a row that cannot be parsed or has too many or too few fields.
    """
    kind = options.kind or _kind(source)
    if kind == "parquet":
        return _parquet(source, columns)
    if kind == "jsonl":
        return _jsonl(source, options, columns)
    return _csv(source, options, columns, "\t" if kind == "tsv" else ",")


def is_delimited(source: Input) -> bool:
    """Whether a file's suffix is one of those that `rows` reads."""
    return source.suffix in _KINDS


def _kind(source: Input) -> str:
    if is_delimited(source):
        return _KINDS[source.suffix]
    raise TlmError(
        f"{source}: none of .csv, .tsv, .jsonl, .parquet; say which with `kind:` or narrow `files:`"
    )


def _require(source: Input, columns: Sequence[str], present: Sequence[str]) -> None:
    for column in columns:
        if column not in present:
            close = difflib.get_close_matches(column, map(str, present), n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise TlmError(f"{source}: no column {column!r}{hint}; there are {', '.join(map(str, present))}")


def _csv(
    source: Input, options: Delimited, columns: Sequence[str], delimiter: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quoting else csv.QUOTE_NONE
    with open_text(source, options.encodings) as stream:
        reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=options.quoting)
        number = 0
        try:
            header = options.columns or next(reader, [])
            _require(source, columns, header)
            places = [(column, header.index(column)) for column in columns]
            for fields in reader:
                if not fields:  # a blank line
                    continue
                number += 1
                if len(fields) != len(header):
                    raise TlmError(f"{source}: row {number}: {len(fields)} fields, {len(header)} columns")
                yield number, {column: fields[place] or None for column, place in places}
        except csv.Error as error:
            raise TlmError(f"{source}: row {number + 1}: {error}") from None


def _jsonl(source: Input, options: Delimited, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_text(source, options.encodings) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise TlmError(f"{source}: row {number}: not JSON ({error})") from None
            if not isinstance(value, dict):
                raise TlmError(f"{source}: row {number}: not a JSON object")
            yield number, {column: value.get(column) for column in columns}


def _parquet(source: Input, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with open_bytes(source) as stream:
            seekable = stream if stream.seekable() else io.BytesIO(stream.read())
            file = pq.ParquetFile(seekable)
            _require(source, columns, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowException as error:
        raise TlmError(f"{source}: not a Parquet file, or a broken one ({error})") from None
