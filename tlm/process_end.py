"""How a script ends early: after a signal, with a full or read-only disk, and when the build that started it is gone.

Place in the flow: below `tlm.process`, which runs every script; workflow/rules/common.smk names the build.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

BUILD = "TLM_BUILD"
"""Environment variable with the host, process and start time of the build that started a script."""
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_GRACE = 30.0  # seconds between the interrupt and the end of a script whose build is gone


def disk_error(error: BaseException) -> str | None:
    """One line for an error whose cause is a full or read-only disk or a missing permission; None for another error."""
    cause: BaseException | None = error
    while cause is not None:
        # safetensors reports `… (os error 28)` in an exception of its own.
        found = re.search(r"\(os error (\d+)\)", str(cause))
        number = cause.errno if isinstance(cause, OSError) else int(found[1]) if found else None
        if number in _DISK:
            file = getattr(cause, "filename", None)
            place = f"{file}: " if file else ""
            return f"{place}{os.strerror(number)}; mend this, then run the same command again to continue"
        cause = cause.__cause__ or cause.__context__
    return None


def this_build() -> str:
    """The value of `BUILD` that names this process."""
    return f"{socket.gethostname()} {os.getpid()} {_start_time(os.getpid())}"


def _start_time(process: int) -> float | None:
    """When a process started, in seconds since 1970; None if it is gone."""
    import psutil

    try:
        return float(psutil.Process(process).create_time())
    except psutil.Error:
        return None


def interrupt_on_sigterm() -> None:
    """Let SIGTERM, which batch systems send, end a script as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def end_with_build() -> None:
    """Interrupt this script when the build that started it is gone: a killed build would leave its scripts running."""
    host, _, rest = os.environ.get(BUILD, "").partition(" ")
    if host != socket.gethostname():
        return
    process, _, started = rest.partition(" ")

    def watch() -> None:
        while str(_start_time(int(process))) == started:
            time.sleep(1)
        with suppress(OSError):  # nobody may read the other end
            print(f"the build that started this (process {process}) is gone", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(130)

    threading.Thread(target=watch, daemon=True).start()
