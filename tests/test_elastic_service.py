"""A local server for the length of a job: healthy before its user starts, gone after it, whatever happens.

The server is mostly a stand-in of a few lines, which takes no time to start; one test runs the workflow with a
real one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from elasticsearch_server import absent, free_port, home_for_a_server, serve_command
from recorded_imports import assert_ran
from workflow_runner import environment, snakemake

from tlm.artifacts import read_manifest
from tlm.errors import TlmError
from tlm.retrieval.elastic.state import await_server

# Answers the requests of `connect`, and all others with 400, or not at all in the mode "hang".
STAND_IN = """
import http.server, json, os, sys, time
port, note, hang = int(sys.argv[1]), sys.argv[2], len(sys.argv) > 3
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = {"_cluster/health": {"status": "green"}, "_nodes": {"nodes": {"a": {"version": "8.19.0"}}}}
        held = [value for key, value in body.items() if key in self.path]
        if hang and not held:
            open(note + ".requested", "w").close()
            time.sleep(600)
        self.send_response(200 if held else 400)
        text = json.dumps(held[0] if held else {"error": {"type": "stand_in", "reason": "no such thing"}}).encode()
        for name, value in {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_PUT = do_POST = do_HEAD = answer
    def log_message(self, *_):
        pass
open(note, "w").write(str(os.getpid()))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class StandIn:
    """The stand-in's command, address and process id."""

    def __init__(self, folder: Path) -> None:
        self.port, self.note = free_port(), folder / "pid"
        program = folder / "stand_in.py"
        program.write_text(STAND_IN)
        self.command = f"{sys.executable} {program} {self.port} {self.note}"
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        until(lambda: self.note.exists() and self.note.read_text())
        return int(self.note.read_text())


def until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Ended; one that nobody has waited for yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def stand_in(tmp_path) -> StandIn:
    return StandIn(tmp_path)


def serve(state: Path, start: str, url: str, shell: str = "exec {}", **times: float) -> subprocess.Popen:
    """`scripts/server.py` as the rule runs it, with other times if wanted."""
    settings = json.dumps({"start": start, "url": url})
    code = (
        "import sys; from pathlib import Path; from tlm.process import run_script\n"
        "from tlm.config.elasticsearch import server_settings; from tlm.retrieval.elastic.service import serve\n"
        f"run_script(lambda: serve(server_settings(sys.argv[1]), Path(sys.argv[2]), **{times!r}))"
    )
    command = [sys.executable, "-c", code] if times else [sys.executable, str(ROOT / "scripts/server.py")]
    arguments = [settings, str(state)] if times else ["--elasticsearch", settings, "--state", str(state)]
    line = " ".join(f"'{word}'" for word in (part.replace("'", "'\\''") for part in [*command, *arguments]))
    return subprocess.Popen(
        ["bash", "-c", shell.format(line)], env=environment(ROOT), stderr=subprocess.PIPE, text=True
    )


def reason(process: subprocess.Popen) -> str:
    """The one line that it ends with."""
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    last = errors.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_a_server_is_healthy_when_its_user_starts_and_gone_after_sigterm(tmp_path, stand_in):
    state = tmp_path / "servers/x.json"
    process = serve(state, stand_in.command, stand_in.url)
    until(state.exists)
    await_server(state, 60)
    assert not gone(stand_in.pid)
    process.terminate()
    assert process.wait(60) == 0
    assert_ran("server")
    assert gone(stand_in.pid)


def test_the_server_stops_when_the_script_or_its_parent_is_killed(tmp_path, stand_in):
    state = tmp_path / "x.json"
    process = serve(state, stand_in.command, stand_in.url)
    until(state.exists)
    await_server(state, 60)
    process.kill()
    process.wait()
    until(lambda: gone(stand_in.pid))
    stand_in.note.unlink()
    process = serve(state, stand_in.command, stand_in.url, shell="{} & wait")
    until(lambda: stand_in.note.exists() and json.loads(state.read_text())["state"] == "ready")
    pid = stand_in.pid
    process.kill()
    until(lambda: gone(pid))


def test_a_start_command_that_fails_raises_one_line(tmp_path, stand_in):
    state = tmp_path / "x.json"
    for start, message in (
        ("/no/such/program", "ended with code 127"),
        ("false", "ended with code 1"),
        ("", "the command is empty"),
        ("'", "No closing quotation"),
    ):
        assert message in reason(serve(state, start, stand_in.url))
        with pytest.raises(TlmError, match=message):
            await_server(state, 5)
    assert "not healthy after 1 s" in reason(serve(state, "sleep 600", stand_in.url, healthy=1.0))
    with pytest.raises(TlmError, match="not healthy"):
        await_server(state, 5)


def test_a_server_that_ends_by_itself_raises(tmp_path, stand_in):
    state = tmp_path / "x.json"
    process = serve(state, stand_in.command, stand_in.url)
    until(state.exists)
    await_server(state, 60)
    os.kill(stand_in.pid, signal.SIGKILL)
    assert "ended by itself" in reason(process)


def test_another_server_at_the_address_raises(tmp_path, stand_in):
    with subprocess.Popen(stand_in.command.split()) as other:
        try:
            until(stand_in.note.exists)
            line = reason(serve(tmp_path / "x.json", "sleep 600", stand_in.url, silent=0.5))
        finally:
            other.kill()
    assert "something listens there already" in line


def settings(server: dict[str, str]) -> str:
    held = {"backend": "elasticsearch", "index": {"norms": "lucene"}, "elasticsearch": server}
    return f"retrieval={json.dumps(held)}"


INDEX = "data/indexes/toy/manifest.json"


def test_nothing_is_left_running_after_a_failed_job_and_after_an_interrupt(project, stand_in):
    server = {"url": stand_in.url, "start": stand_in.command}
    failed = snakemake(project, INDEX, "--config", "scale=smoke", settings(server))
    assert failed.returncode != 0 and "no such thing" in failed.stdout + failed.stderr
    assert gone(stand_in.pid)
    stand_in.note.unlink()
    requested = Path(f"{stand_in.note}.requested")
    server["start"] += " hang"
    command = [sys.executable, "-m", "snakemake", "--cores", "2", INDEX, "--config", "scale=smoke"]
    with subprocess.Popen(
        [*command, settings(server)],
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            until(requested.exists, 120)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            process.wait(60)
        finally:
            process.kill()
    until(lambda: gone(stand_in.pid))
    assert not (project / "data/indexes/toy").exists()


def test_the_workflow_starts_a_real_server_for_the_jobs_that_need_it(project, tmp_path):
    if why := absent():
        pytest.skip(why)
    with home_for_a_server() as home:
        port = free_port()
        server = {"url": f"http://127.0.0.1:{port}", "start": serve_command(home, port)}
        target = "data/retrieval/toy/toy/top50/manifest.json"
        result = snakemake(project, target, "--config", "scale=smoke", settings(server))
        assert result.returncode == 0, result.stdout + result.stderr
        assert not list((project / "data").glob("servers/*"))
        pid = int((home / "node0" / "pid").read_text()) if (home / "node0" / "pid").exists() else 0
        assert not pid or gone(pid)
        again = snakemake(project, target, "--dry-run", "--config", "scale=smoke", settings(server))
        assert "Nothing to be done" in again.stdout + again.stderr
    parameters = read_manifest(project / "data/indexes/toy", "index").parameters
    assert parameters["backend"] == "elasticsearch" and str(port) not in json.dumps(parameters)
    counts = read_manifest(project / "data/retrieval/toy/toy/top50", "retrieval").counts
    assert counts["rows"] == counts["queries"] * 50
