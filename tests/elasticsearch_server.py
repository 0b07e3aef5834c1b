"""A real Elasticsearch on the loopback address, for the tests of that backend.

The server is no part of the project: the folder `elasticsearch` beside the real data holds it together with a
script, `serve`, that starts it. Where the folder or Java is absent, the tests that need a server skip and say why.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAP = "512m"
PATIENCE = 240.0  # seconds for a start; about 20 on an idle machine


def absent() -> str | None:
    """Why no server can be started here, or None."""
    serve = _serve()
    if not serve.is_file():
        return f"no Elasticsearch at {serve} (TLM_SHARED names the folder above it)"
    if not os.environ.get("JAVA_HOME") and not shutil.which("java"):
        return "Elasticsearch needs Java 17 or newer: none found on the path, and JAVA_HOME is not set"
    return None


def _serve() -> Path:
    return Path(os.environ.get("TLM_SHARED", ROOT.parent / "shared")) / "elasticsearch" / "serve"


def _command(home: Path, port: int) -> list[str]:
    return [str(_serve()), "--home", str(home), "--port", str(port), "--heap", HEAP]


def _unpack(home: Path) -> None:
    """Put the program where `serve` would, with quick compilation, which halves the time of a start."""
    program = home / "program"
    if program.exists():
        return
    with tarfile.open(next(_serve().parent.glob("elasticsearch-*.tar.xz"))) as archive:
        # The filter came with Python 3.11.4.
        archive.extractall(program, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    options = program / "config" / "jvm.options.d"
    options.mkdir(exist_ok=True)
    (options / "tests.options").write_text("-XX:TieredStopAtLevel=1\n", encoding="ascii")


def serve_command(home: Path, port: int) -> str:
    """A command that runs a server in the foreground, for `retrieval.elasticsearch.start`."""
    _unpack(home)
    # It ends sooner while it reads its input, which here never comes.
    return f"bash -c 'exec {' '.join(_command(home, port))} --watch-stdin < <(exec sleep 3600)'"


def free_port() -> int:
    """A port P that is free together with P + 100, where the server's nodes talk to each other."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 100))
            except (OSError, OverflowError):
                continue
            return port


@dataclass
class Server:
    """One server: where it listens, and how to hurt it."""

    home: Path
    port: int
    password: str | None = None
    tls: bool = False
    user: str = "tlm"
    url: str = ""
    pid: int = 0
    ca: Path | None = None
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> Server:
        """Start it on its home (which keeps what it held) and wait until it answers."""
        command = _command(self.home, self.port)
        command += ["--watch-stdin"]  # it ends with this process, however that ends
        command += ["--password", self.password] if self.password else []
        command += ["--tls"] if self.tls else []
        _unpack(self.home)
        log = self.home / "serve.log"
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        late = threading.Timer(PATIENCE, self._process.terminate)
        late.start()
        line = self._process.stdout.readline() if self._process.stdout else ""
        late.cancel()
        if not line.startswith("ready "):
            self.stop()
            raise RuntimeError(f"Elasticsearch did not start: {log.read_text(encoding='utf-8')[-500:]}")
        _, self.url, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        self.pid = int(values["pid"])
        self.ca = Path(values["ca"]) if "ca" in values else None
        return self

    def kill(self) -> None:
        """End it as a power cut does, and return when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while _alive(self.pid):
            time.sleep(0.05)

    def restart(self) -> Server:
        """Start it again on the same port with what its disk holds, killed before or not."""
        self.stop()
        return self.start()

    def stop(self) -> None:
        """End it in good order; nothing happens where it is stopped."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            self.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def request(self, method: str, path: str, body: str | None = None) -> bytes:
        """A plain HTTP request past the client under test, such as `GET /_cat/indices`."""
        data = body.encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.password:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        context = ssl.create_default_context(cafile=str(self.ca)) if self.ca else None
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return bytes(answer.read())


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return state != "Z"


@contextlib.contextmanager
def home_for_a_server() -> Iterator[Path]:
    """An empty folder that the server's user can reach; cleared away at the end."""
    home = Path(tempfile.mkdtemp(prefix="tlm-elasticsearch-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def running(password: str | None = None, tls: bool = False) -> Iterator[Server]:
    """A server with an empty home, stopped at the end."""
    with home_for_a_server() as home:
        server = Server(home, free_port(), password, tls)
        try:
            yield server.start()
        finally:
            server.stop()
