"""Find and open files: those below a folder or in a .zip, compressed or not, in several encodings.

Place in the flow: below the readers of `tlm.formats.registry`. Everything streams; every error names the file.
"""

from __future__ import annotations

import codecs
import encodings.aliases
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError, did_you_mean
from tlm.formats.compression import BROKEN, decompressed, split_suffix


@dataclass(frozen=True)
class Input:
    """A file, or a member of a .zip."""

    path: Path
    member: str | None = None
    shown: str | None = None
    """The name in messages, and whose suffixes count, if it is not that of `path`."""

    @property
    def name(self) -> str:
        """The name whose suffixes determine format and compression."""
        return self.member or self.shown or self.path.name

    @property
    def suffix(self) -> str:
        """The suffix of the format, in lower case; a compression's suffix is skipped."""
        return split_suffix(self.name)[0]

    def __str__(self) -> str:
        where = self.shown or str(self.path)
        return f"{where}:{self.member}" if self.member else where


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob over posix paths as a pattern: `*` and `?` stay within a folder, `**/` is any folders."""
    out = ""
    position = 0
    while position < len(glob):
        if glob.startswith("**/", position):
            out, position = out + "(?:[^/]+/)*", position + 3
        elif glob.startswith("**", position):
            out, position = out + ".*", position + 2
        elif glob[position] in "*?":
            out, position = out + ("[^/]*" if glob[position] == "*" else "[^/]"), position + 1
        else:
            out, position = out + re.escape(glob[position]), position + 1
    return re.compile(out)


def is_hidden(member: str) -> bool:
    """Whether an archive's member has a name with a leading dot, or is one of the copies that macOS adds."""
    parts = [part for part in PurePosixPath(member).parts if part not in (".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def find(root: Path, globs: str | Sequence[str]) -> list[Input]:
    """The files below `root` that match, in the order of the globs and then of the names; a .zip gives its members.

    Raises TlmError for a glob that matches nothing, so that a misspelt glob is not an empty data set.
    """
    paths = [path for path in root.rglob("*") if path.name != MANIFEST]
    if gone := [path for path in paths if path.is_symlink() and not path.exists()]:
        raise TlmError(f"{gone[0]}: links to {gone[0].readlink()}, which no longer exists; fetch it again")
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
    """The file itself, or the members of a .zip without the hidden ones."""
    if path.suffix.lower() != ".zip":
        return [Input(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise TlmError(f"{path}: broken archive ({error})") from None
    return [Input(path, name) for name in names if not is_hidden(name)]


Watch = Callable[[IO[bytes]], IO[bytes]]
"""Wraps a file's raw stream, before decompression, to count the bytes that were read."""


@contextmanager
def open_bytes(source: Input, watch: Watch | None = None) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file, as a stream. Raises TlmError if the compressed data are broken."""
    try:
        with ExitStack() as stack:
            if source.member is None:
                raw: IO[bytes] = stack.enter_context(source.path.open("rb"))
            else:
                archive = stack.enter_context(zipfile.ZipFile(source.path))
                raw = stack.enter_context(_member(archive, source.member, source))
            yield stack.enter_context(decompressed(watch(raw) if watch else raw, source.name))
    except FileNotFoundError:
        raise TlmError(f"{source}: no such file") from None
    except BROKEN as error:
        raise TlmError(f"{source}: truncated or broken ({error})") from None


def _member(archive: zipfile.ZipFile, name: str, source: Input) -> IO[bytes]:
    try:
        return archive.open(name)
    except NotImplementedError as error:  # also a RuntimeError
        raise TlmError(
            f"{source}: cannot be unpacked ({error}); pack it again with another program"
        ) from None
    except RuntimeError:
        raise TlmError(f"{source}: needs a password; unpack the archive first") from None
    except KeyError:
        raise TlmError(f"{source}: no such member") from None


@contextmanager
def open_text(
    source: Input, names: Sequence[str], watch: Watch | None = None, option: str = "`encodings:`"
) -> Iterator[io.TextIOWrapper]:
    """The decoded text of a file, as a stream with its line ends unchanged and without a byte-order mark.

    Takes the first of the encodings `names` that decodes the whole file. Raises TlmError naming the first byte that
    none of them decodes; `option` is where the user sets the encodings.
    """
    codecs_of = [_codec(source, name) for name in names]
    for encoding in codecs_of[:-1]:
        if _decodes(source, encoding):
            break
    else:
        encoding = codecs_of[-1]  # the last one is tried while reading, without a pass of its own
    try:
        with open_bytes(source, watch) as stream:
            reader = io.TextIOWrapper(stream, encoding=encoding, newline="")
            yield reader
            reader.detach()
    except UnicodeError as error:
        hint = _likely_encoding(source)
        raise TlmError(
            f"{source}: not {', '.join(names)} ({_fault(error)}); save it as UTF-8 or name its encoding with"
            f" {option}{hint}"
        ) from None


def _fault(error: UnicodeError) -> str:
    if isinstance(error, UnicodeDecodeError) and error.start < len(error.object):
        return f"byte 0x{error.object[error.start]:02x}"
    return str(error)


def _likely_encoding(source: Input) -> str:
    """The value of an encoding's option that a byte-order mark suggests."""
    with open_bytes(source) as stream:
        mark = stream.read(2)
    return (
        " utf-16 (it begins with a mark of UTF-16)"
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        else ""
    )


def _codec(source: Input, encoding: str) -> str:
    """Python's name of an encoding; every spelling of UTF-8 gives the codec that drops a byte-order mark."""
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):
        hint = did_you_mean(encoding, encodings.aliases.aliases)
        raise TlmError(f"{source}: unknown encoding {encoding!r}{hint}") from None
    if not found._is_text_encoding:
        raise TlmError(f"{source}: {encoding!r} is not an encoding of text")
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _decodes(source: Input, encoding: str) -> bool:
    with open_bytes(source) as stream:
        try:
            reader = io.TextIOWrapper(stream, encoding=encoding)
            while reader.read(1 << 20):
                pass
        except UnicodeError:
            return False
    return True
