"""A loopback HTTP proxy that disturbs the traffic between a client and a server, on order.

    with FaultProxy(server.url) as proxy:
        proxy.add(Fault("_bulk", status=429, times=2))
        ...                                    # the client talks to proxy.url

Requests that no fault matches pass unchanged. Every request is kept in `seen`, so that a test can look at what a
client has sent.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding"}


@dataclass
class Fault:
    """What happens to requests whose path `path` (a regular expression) is found in; one of the kinds below."""

    path: str
    status: int | None = None
    """Answer with this status, and `body`, without asking the server."""
    body: Mapping[str, Any] = field(
        default_factory=lambda: {"error": {"type": "injected", "reason": "injected"}}
    )
    hold: float | None = None
    """Say nothing for so many seconds, then close the connection."""
    reset: bool = False
    """Reset the connection instead of answering."""
    truncate: bool = False
    """Pass on half of the server's answer, then close."""
    edit: Callable[[dict[str, Any]], None] | None = None
    """Change the server's answer, parsed from JSON."""
    act: Callable[[], None] | None = None
    """Do this first; alone, the request then passes."""
    times: int | None = 1
    """For so many requests, None for all that come."""
    after: int = 0
    """So many matching requests pass first."""
    holding: str = ""
    """Only requests whose body holds this text."""


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class FaultProxy:
    """The proxy; a context manager. `url` is where clients go."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.seen: list[Seen] = []
        self.struck = 0  # requests that a fault has met
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __enter__(self) -> FaultProxy:
        outer = self

        class Handler(_Handler):
            proxy = outer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, *faults: Fault) -> None:
        """Order faults; of several that match a request, the first ordered strikes."""
        with self._lock:
            self._faults += faults

    def clear(self) -> None:
        """No faults from now on, and nothing seen."""
        with self._lock:
            self._faults, self.seen, self.struck = [], [], 0

    def count(self, path: str) -> int:
        """How many requests to such a path came."""
        return sum(bool(re.search(path, each.path)) for each in self.seen)

    def take(self, request: Seen) -> Fault | None:
        """Note a request, and the fault that it meets."""
        with self._lock:
            self.seen.append(request)
            for fault in self._faults:
                if not re.search(fault.path, request.path) or fault.holding.encode() not in request.body:
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                if fault.times == 0:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                self.struck += 1
                return fault
        return None

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the proxy's end."""
        self._closed.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hung up is no error here
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests look at `seen`."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.proxy.take(Seen(self.command, self.path, headers, body))
        if fault and fault.act:
            fault.act()
        if fault and fault.status:
            self._answer(fault.status, {"Content-Type": "application/json"}, json.dumps(fault.body).encode())
            return
        if fault and fault.hold is not None:
            self.proxy.wait(fault.hold)
            self.close_connection = True
            return
        if fault and fault.reset:
            self._reset()
            return
        try:
            status, headers, answer = self._ask(body)
        except (OSError, http.client.HTTPException):  # the server is down
            self._reset()
            return
        if fault and fault.edit:
            parsed = json.loads(answer)
            fault.edit(parsed)
            answer = json.dumps(parsed).encode()
        self._answer(status, headers, answer, cut=bool(fault and fault.truncate))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        target = self.proxy.upstream
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
        with contextlib.suppress(OSError):  # a client that timed out has gone
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def _reset(self) -> None:
        # Closing with a linger time of zero sends RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
