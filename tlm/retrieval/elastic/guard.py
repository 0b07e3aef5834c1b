"""Run a command for as long as standard input stays open: `python -m tlm.retrieval.elastic.guard COMMAND …`.

`service` starts a server behind this guard. However the process that holds the other end of the pipe comes to its
end, by `kill -9` too, the pipe closes, and the server and all processes of its group are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

PATIENCE = 60.0  # seconds between asking a server to stop and making it


def run_guarded(command: list[str]) -> int:
    """The exit code of `command`, which is ended when standard input closes."""
    try:
        # A group of its own, so that all of it can be signalled, and Ctrl-C in a terminal does not reach it.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    threading.Thread(target=_end_with_input, args=[child], daemon=True).start()
    code = child.wait()
    _end(child)  # what the command left behind
    return code


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would stand in the way of this process's own end
        pass
    _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to end, and make it if it does not."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is empty
        os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run_guarded(sys.argv[1:]))
