"""Take members out of archives, safely: zip, wheel and tar.

Place in the flow: below `tlm.sources.fetch`. Archives are not trusted: absolute names, `..`,
links and members that expand beyond reason raise an error, and nothing is written outside the destination.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from tlm.errors import TlmError
from tlm.formats.files import glob_pattern, is_hidden

_CHUNK = 1 << 20
# English text compresses about 4-fold and repetitive JSON 20-fold; beyond 200-fold it is a bomb.
MAX_EXPANSION = 200
FREE_BYTES = 64 << 20  # small archives may expand by any factor up to this size


def extract(archive: Path, members: str, destination: Path, what: str) -> list[Path]:
    """Extract the members of `archive` that match the glob `members`, under their own names.

    Leaves out hidden members (`.x`, `__MACOSX/`) unless the glob names them, as hidden files of folders are left out.

    `what` names the archive in messages: its file name in the cache is a digest. Returns the files written.
    Raises TlmError if it is not an archive or a broken one, if nothing matches, or if a member is unsafe.
    """
    pattern = glob_pattern(members)
    hidden_too = is_hidden(members)  # a glob that names them

    def wanted(member: str) -> bool:
        return pattern.fullmatch(member) is not None and (hidden_too or not is_hidden(member))

    allowed = max(FREE_BYTES, MAX_EXPANSION * archive.stat().st_size)
    try:
        if zipfile.is_zipfile(archive):
            written = _extract_zip(archive, wanted, destination, what, allowed)
        elif tarfile.is_tarfile(archive):
            written = _extract_tar(archive, wanted, destination, what, allowed)
        else:
            raise TlmError(f"{what}: neither a zip nor a tar archive, or a truncated one")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise TlmError(f"{what}: broken archive ({error})") from None
    if not written:
        raise TlmError(f"{what}: no member matches {members!r}")
    return written


def _extract_zip(
    archive: Path, wanted: Callable[[str], bool], destination: Path, what: str, allowed: int
) -> list[Path]:
    written = []
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.is_dir() or not wanted(info.filename):
                continue
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise TlmError(f"{what}: member {info.filename} is a link or a device; refused")
            target = _target(destination, info.filename, what)
            with opened.open(info) as stream:
                allowed -= _copy(stream, target, f"{what}: member {info.filename}", allowed)
            written.append(target)
    return written


def _extract_tar(
    archive: Path, wanted: Callable[[str], bool], destination: Path, what: str, allowed: int
) -> list[Path]:
    written = []
    with tarfile.open(archive) as opened:
        for info in opened:
            if info.isdir() or not wanted(info.name.removeprefix("./")):
                continue
            stream = opened.extractfile(info) if info.isreg() else None
            if stream is None:
                raise TlmError(f"{what}: member {info.name} is a link or a device; refused")
            target = _target(destination, info.name, what)
            with stream:
                allowed -= _copy(stream, target, f"{what}: member {info.name}", allowed)
            written.append(target)
    return written


def _target(destination: Path, name: str, what: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts or ":" in path.parts[0]:
        raise TlmError(f"{what}: member {name!r} would be written outside its folder; refused")
    target = destination / path
    if target.exists():
        raise TlmError(f"{what}: member {name} is already there, from another file of this source")
    return target


def _copy(stream: IO[bytes], target: Path, what: str, allowed: int) -> int:
    """Copy at most `allowed` bytes, whatever size the archive declares."""
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            count += len(chunk)
            if count > allowed:
                raise TlmError(f"{what}: expands more than {MAX_EXPANSION}-fold; refused")
            out.write(chunk)
    return count
