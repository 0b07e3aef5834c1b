"""Find and open files: those below a folder or in a .zip, compressed or not, in several encodings.

Place in the flow: below the readers of `tlm.formats.registry`. Everything streams; every error names the file.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError
from tlm.formats.compression import BROKEN, decompressed, split_suffix


@dataclass(frozen=True)
class Input:
    """A file, or a member of a .zip."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The name whose suffixes determine format and compression."""
        return self.member or self.path.name

    @property
    def suffix(self) -> str:
        """The suffix of the format, in lower case; a compression's suffix is skipped."""
        return split_suffix(self.name)[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)


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
    except zipfile.BadZipFile as error:
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
                raw = stack.enter_context(
                    stack.enter_context(zipfile.ZipFile(source.path)).open(source.member)
                )
            yield stack.enter_context(decompressed(watch(raw) if watch else raw, source.name))
    except FileNotFoundError:
        raise TlmError(f"{source}: no such file") from None
    except BROKEN as error:
        raise TlmError(f"{source}: truncated or broken ({error})") from None


@contextmanager
def open_text(
    source: Input, encodings: Sequence[str], watch: Watch | None = None, option: str = "`encodings:`"
) -> Iterator[io.TextIOWrapper]:
    """The decoded text of a file, as a stream with its line ends unchanged and without a byte-order mark.

    Takes the first of `encodings` that decodes the whole file. Raises TlmError naming the first byte that none of
    them decodes; `option` is where the user sets the encodings.
    """
    codecs_of = [_codec(source, encoding) for encoding in encodings]
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
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x}"
        hint = f"save it as UTF-8 or name its encoding with {option}"
        raise TlmError(f"{source}: not {', '.join(encodings)} ({byte}); {hint}") from None


def _codec(source: Input, encoding: str) -> str:
    """Python's name of an encoding; every spelling of UTF-8 gives the codec that drops a byte-order mark."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise TlmError(f"{source}: unknown encoding {encoding!r}") from None
    return "utf-8-sig" if name == "utf-8" else name


def _decodes(source: Input, encoding: str) -> bool:
    with open_bytes(source) as stream:
        try:
            reader = io.TextIOWrapper(stream, encoding=encoding)
            while reader.read(1 << 20):
                pass
        except UnicodeDecodeError:
            return False
    return True
