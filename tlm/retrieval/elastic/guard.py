"""Run a command for as long as standard input stays open: `python -m tlm.retrieval.elastic.guard COMMAND …`.

`service` starts a server through this guard and holds the other end of the pipe. When that process ends, even by
`kill -9`, the pipe closes, and the guard stops the server and all processes of its group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

PATIENCE = 60.0  # seconds between SIGTERM and SIGKILL


def run_guarded(command: list[str]) -> int:
    """Run `command`, stop it when standard input closes, and return its exit code."""
    try:
        # A separate process group: one signal reaches all of it, and Ctrl-C in a terminal does not.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    threading.Thread(target=_end_with_input, args=[child], daemon=True).start()
    code = child.wait()
    _end(child)  # processes that the command left running
    return code


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would block the exit of this process
        pass
    _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop the whole group: SIGTERM, and SIGKILL after PATIENCE."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is empty
        os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run_guarded(sys.argv[1:]))
