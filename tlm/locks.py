"""Exclusive locks between processes: of a folder that is being built, and of a whole build.

Place in the flow: below `tlm.artifacts` and `tlm.snakemake_adapter`. A lock is a file that names its holder; the
operating system frees it when the holder ends, however it ends. A killed process leaves only the file behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tlm.errors import TlmError

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def exclusive(path: Path, subject: str) -> Iterator[None]:
    """Hold the lock file `path`, and remove it at the end. Raises TlmError naming `subject` and the holder."""
    descriptor = _acquire(path, subject)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{socket.gethostname()} {os.getpid()}".encode(), 0)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, subject: str) -> int:
    """A descriptor of the locked file. The holder before may have removed the file: then another is made."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            host, _, process = os.pread(descriptor, 300, 0).decode(errors="replace").partition(" ")
            os.close(descriptor)
            raise TlmError(
                f"{subject}: process {process or 'unknown'} on {host or 'another machine'} works on it; "
                "wait until it ends, or end it"
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            print(
                f"warning: {path.parent}: this file system has no locks; start one build at a time",
                file=sys.stderr,
            )
            return descriptor
        try:
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def killed_holder(path: Path) -> str | None:
    """The process that left the lock file `path` behind on this machine; None if it runs, or ran elsewhere."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            host, _, process = file.read(300).decode(errors="replace").partition(" ")
    except OSError:
        return None
    return process if host == socket.gethostname() else None
