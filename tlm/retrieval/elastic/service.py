"""A local server for the duration of a job: start it, wait until it is healthy, and stop it at the end.

Place in the flow: the rule `server`, a Snakemake service, runs `serve` if `retrieval.elasticsearch.start` is set;
`index` and `retrieve` read the server's state from a small JSON file. The command runs through a guard
(`tlm.retrieval.elastic.guard`), so that it cannot outlive this process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.errors import TlmError
from tlm.retrieval.elastic.client import connect
from tlm.retrieval.elastic.state import HEALTHY, SILENT, write_state

Guard = subprocess.Popen[bytes]


def serve(server: ElasticsearchSpec, state: Path, healthy: float = HEALTHY, silent: float = SILENT) -> None:
    """Run `server.start` until SIGTERM, or until the parent of this process is gone; write its progress to `state`.

    Raises TlmError, and writes it to `state`, if the command cannot be run, something else answers at the address,
    the server is not healthy in time, or it ends by itself.
    """
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    write_state(state, "starting")
    try:
        with local_server(server.start or "", server, healthy, silent) as guard:
            write_state(state, "ready")
            while os.getppid() == parent:
                if guard.poll() is not None:
                    raise TlmError(f"the server ended by itself, with code {guard.returncode}; see its log")
                time.sleep(0.2)
    except (TlmError, ValueError) as error:
        write_state(state, "failed", str(error))
        raise TlmError(str(error)) from None


def _wait_until_silent(address: str, seconds: float) -> None:
    """Wait until nothing listens at `address`: the previous job's server may still be stopping."""
    parts = urlsplit(address)
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 9200), timeout=5).close()
        except OSError:
            return
        if time.monotonic() > deadline:
            raise TlmError(
                f"{address}: something listens there already; stop it, or set retrieval.elasticsearch.start to null"
                " to use it"
            )
        time.sleep(0.5)


@contextlib.contextmanager
def local_server(
    command: str, server: ElasticsearchSpec, healthy: float = HEALTHY, silent: float = SILENT
) -> Iterator[Guard]:
    """Run `command` and wait until the server at the address of `server` is healthy; stop it after the block.

    Raises TlmError if the command is empty or ends early, something else answers at the address for longer than
    `silent` seconds, or the server is not healthy within `healthy` seconds.
    """
    words = shlex.split(command)
    if not words:
        raise TlmError("the command is empty: there is no server to start")
    address = os.environ.get("ELASTICSEARCH_URL") or server.url
    _wait_until_silent(address, silent)
    guarded = [sys.executable, "-m", "tlm.retrieval.elastic.guard", *words]
    stdin, pipe = os.pipe()
    guard = subprocess.Popen(guarded, stdin=stdin, start_new_session=True)
    os.close(stdin)
    try:
        _wait_until_healthy(guard, server, healthy)
        print(f"{address}: started and healthy", flush=True)
        yield guard
    finally:
        # Ignore further signals while the server stops.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.close(pipe)
        guard.wait()


def _wait_until_healthy(guard: Guard, server: ElasticsearchSpec, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            connect(server)
            return
        except TlmError as error:
            last = error
        if guard.poll() is not None:
            raise TlmError(
                f"the command ended with code {guard.returncode} before the server answered; see its log"
            )
        if time.monotonic() > deadline:
            raise TlmError(f"not healthy after {seconds:.0f} s: {last}")
        time.sleep(0.5)
