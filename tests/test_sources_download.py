"""Downloads over a network that fails: resumed, retried, verified, and never repeated."""

import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from tlm.artifacts import verify
from tlm.config.sources import FileSpec, SourceSpec
from tlm.errors import TlmError
from tlm.sources.download import ATTEMPTS, download, download_first
from tlm.sources.fetch import fetch_source

CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT by a script of behaviours, one a request; the last one repeats."""

    def __init__(self) -> None:
        self.script: list[str] = ["ok"]
        self.requests: list[str | None] = []  # the Range header of each
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                behaviour = outer.script.pop(0) if len(outer.script) > 1 else outer.script[0]
                span = self.headers.get("Range")
                outer.requests.append(span)
                if behaviour.isdigit():
                    self.send_response(int(behaviour))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if behaviour.startswith("redirect "):
                    self.send_response(302)
                    self.send_header("Location", behaviour.removeprefix("redirect "))
                    self.end_headers()
                    return
                start = (
                    int(span.removeprefix("bytes=").rstrip("-")) if span and behaviour != "no-ranges" else 0
                )
                body = CONTENT[start:] if behaviour != "other" else b"other" * 100
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if behaviour == "break" else body)
                self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/file.bin"


@pytest.fixture
def server():
    running = Server()
    yield running
    running.server.shutdown()
    running.server.server_close()


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.script = ["break", "ok"]
    path = download(server.url, SHA, tmp_path, pause=lambda seconds: None)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]
    assert leftovers(tmp_path) == [SHA]


def test_an_interrupted_run_is_continued_by_the_next(server, tmp_path):
    server.script = ["break"] + ["500"] * ATTEMPTS
    with pytest.raises(TlmError, match="run again to continue"):
        download(server.url, SHA, tmp_path, pause=lambda seconds: None)
    server.script = ["ok"]
    assert download(server.url, SHA, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.script = ["break", "no-ranges"]
    assert download(server.url, SHA, tmp_path, pause=lambda seconds: None).read_bytes() == CONTENT


def test_errors_of_the_server_are_retried_with_longer_pauses(server, tmp_path):
    pauses: list[float] = []
    server.script = ["500", "503", "ok"]
    assert download(server.url, SHA, tmp_path, pause=pauses.append).read_bytes() == CONTENT
    assert pauses == [1, 2]


def test_a_missing_file_is_not_retried(server, tmp_path):
    server.script = ["404"]
    with pytest.raises(TlmError, match="404"):
        download(server.url, SHA, tmp_path)
    assert len(server.requests) == 1


def test_a_wrong_digest_raises_and_leaves_nothing(server, tmp_path):
    server.script = ["other"]
    with pytest.raises(TlmError, match=f"expected {SHA}, got {hashlib.sha256(b'other' * 100).hexdigest()}"):
        download(server.url, SHA, tmp_path)
    assert leftovers(tmp_path) == []


def test_a_stale_part_is_replaced(server, tmp_path):
    part = tmp_path / "parts" / f"{hashlib.sha256(server.url.encode()).hexdigest()}.part"
    part.parent.mkdir()
    part.write_bytes(b"of another version")
    assert download(server.url, SHA, tmp_path).read_bytes() == CONTENT


def test_nothing_is_downloaded_twice(server, tmp_path):
    for _ in range(2):
        download(server.url, SHA, tmp_path)
    assert len(server.requests) == 1


def test_redirects_stay_on_safe_channels(server, tmp_path):
    server.script = ["redirect http://example.org/file.bin"]
    with pytest.raises(TlmError, match="not https"):
        download(server.url, SHA, tmp_path)
    server.script = [f"redirect {server.url}2", "ok"]
    assert download(server.url, SHA, tmp_path).read_bytes() == CONTENT


def test_fetch_source_over_http_and_truncated_archive(server, tmp_path):
    good = SourceSpec(files=[FileSpec(uri=server.url, sha256=SHA)])
    fetch_source("s", good, tmp_path / "s", tmp_path / "cache", {})
    assert verify(tmp_path / "s", "source").files["file.bin"]["sha256"] == SHA
    archive = SourceSpec(files=[FileSpec(uri=f"{server.url}#*.txt", sha256=SHA)])  # right bytes, no archive
    with pytest.raises(TlmError, match="neither a zip nor a tar archive, or a truncated one"):
        fetch_source("a", archive, tmp_path / "a", tmp_path / "cache", {})
    assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] != []
    assert not list(tmp_path.glob(".a*"))


def test_without_a_published_digest_the_first_download_decides(server, tmp_path, capsys):
    source = SourceSpec(files=[FileSpec(uri=server.url, first_use=True)])
    first = fetch_source("s", source, tmp_path / "s", tmp_path / "cache", {})
    assert first.inputs == {server.url: SHA}
    assert f"no digest was pinned; from now on it is sha256 {SHA}" in capsys.readouterr().out
    server.script = ["500"]  # from the cache now
    assert fetch_source("s", source, tmp_path / "s", tmp_path / "cache", {}) == first
    (tmp_path / "cache" / SHA[:2] / SHA).unlink()
    server.script = ["other"]
    with pytest.raises(TlmError, match=f"sha256 expected {SHA}, got"):
        fetch_source("s", source, tmp_path / "t", tmp_path / "cache", {})
    assert not (tmp_path / "t").exists()


def test_a_first_download_never_goes_on_from_half_a_file(server, tmp_path):
    server.script = ["break", "404"]
    with pytest.raises(TlmError, match="404"):
        download_first(server.url, tmp_path, pause=lambda seconds: None)
    server.script = ["ok"]
    server.requests.clear()
    assert download_first(server.url, tmp_path) == SHA
    assert server.requests == [None]


def test_a_mirror_may_be_the_first_to_be_seen(tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/a.csv").write_bytes(CONTENT)
    source = SourceSpec(files=[FileSpec(uri="hf://datasets/a/b@main/a.csv", first_use=True)])
    mirrors = {"https://huggingface.co/datasets/a/b/resolve/main/": f"{tmp_path / 'mirror'}/"}
    manifest = fetch_source("s", source, tmp_path / "s", tmp_path / "cache", mirrors)
    assert manifest.inputs == {"hf://datasets/a/b@main/a.csv": SHA}
    (tmp_path / "mirror/a.csv").write_bytes(b"changed")
    with pytest.raises(TlmError, match="sha256 expected"):
        fetch_source("s", source, tmp_path / "s2", tmp_path / "cache", mirrors)
