"""`tlm check-sources`: sizes and digests from servers on this machine, without a download; faults and the exit code."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT

from tlm.check_sources import checkpoints_of
from tlm.config.sources import FileSpec, SourceSpec
from tlm.plan.project import load_project
from tlm.sources import check

SHA, OTHER, COMMIT = "a" * 64, "b" * 64, "c" * 40
HUB = {
    "sha": COMMIT,
    "siblings": [
        {"rfilename": "train.csv", "size": 10, "lfs": {"sha256": SHA, "size": 10, "pointerSize": 1}},
        {"rfilename": "dev.csv", "size": 3},
    ],
}
INDEX = {"files": [{"filename": "Some_Pkg-1.0-py3-none-any.whl", "size": 7, "hashes": {"sha256": SHA}}]}


@pytest.fixture
def server(monkeypatch):
    """A Hub, a package index and a file server in one; yields its address and the requests that it got."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            known = {
                f"/api/datasets/a/b/revision/{COMMIT}": HUB,
                "/api/datasets/a/b/revision/main": HUB,
                "/api/models/a/m/revision/main": HUB,
                "/simple/some-pkg/": INDEX,
                "/file.zip": "12345",
            }
            if path not in known:
                self.send_error(401 if path.startswith("/api") else 404)
                return
            body = (
                json.dumps(known[path]).encode() if not isinstance(known[path], str) else known[path].encode()
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = respond

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{http.server_address[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        check._hub.cache_clear()
        yield address, asked
        http.shutdown()
        check._hub.cache_clear()


def answers(checkpoints=(), mirrors=None, **files):
    sources = {name: SourceSpec(files=[FileSpec(**file)]) for name, file in files.items()}
    found = list(check.check_sources(sources, checkpoints, mirrors or {}))
    return {answer.source: (answer.status, answer.size, answer.note) for answer in found}


def test_each_kind_of_source_answers_without_a_download(server, tmp_path):
    address, asked = server
    (tmp_path / "mine.csv").write_text("text")
    hub = f"hf://datasets/a/b@{COMMIT}"
    found = answers(
        large={"uri": f"{hub}/train.csv", "sha256": SHA},
        small={"uri": f"{hub}/dev.csv", "first_use": True},
        moving={"uri": "hf://datasets/a/b@main/dev.csv", "first_use": True},
        wheel={"uri": "pypi://some.pkg/1.0#x/*", "sha256": SHA, "bytes": 7},
        web={"uri": f"{address}/file.zip", "sha256": SHA, "bytes": 5},
        local={"uri": f"file://{tmp_path}/mine.csv"},
        checkpoints=[("a/m", None)],
    )
    assert found == {
        "large": ("same", 10, ""),
        "small": ("there", 3, ""),
        "moving": ("there", 3, f"main is {COMMIT}"),
        "wheel": ("same", 7, ""),
        "web": ("there", 5, ""),
        "local": ("there", 4, ""),
        "checkpoint": ("there", None, f"main is {COMMIT}"),
    }
    assert asked.count(f"GET /api/datasets/a/b/revision/{COMMIT}?blobs=true") == 1  # one request a repository
    assert "HEAD /file.zip" in asked and not any("resolve" in each for each in asked)


def test_faults_name_what_is_pinned(server, tmp_path):
    address, _ = server
    found = answers(
        changed={"uri": f"hf://datasets/a/b@{COMMIT}/train.csv", "sha256": OTHER},
        renamed={"uri": f"hf://datasets/a/b@{COMMIT}/test.csv", "first_use": True},
        repository={"uri": f"hf://datasets/a/none@{COMMIT}/test.csv", "first_use": True},
        wheel={"uri": "pypi://some-pkg/2.0", "sha256": SHA},
        size={"uri": f"{address}/file.zip", "sha256": SHA, "bytes": 6},
        web={"uri": f"{address}/none.zip", "sha256": SHA},
        silent={"uri": "http://127.0.0.1:9/x", "sha256": SHA},
        local={"uri": f"file://{tmp_path}/none.csv"},
    )
    assert {name: status for name, (status, _, _) in found.items()} == {
        "changed": "differs",
        "renamed": "gone",
        "repository": "gone",
        "wheel": "gone",
        "size": "differs",
        "web": "gone",
        "silent": "no answer",
        "local": "gone",
    }
    assert OTHER in found["changed"][2] and "it has dev.csv, train.csv" in found["renamed"][2]
    assert found["size"][2] == "pinned: 6 bytes" and found["web"][2] == "the server answers 404"


def test_the_command_ends_with_1_if_a_source_is_gone(server):
    def run(*arguments):
        command = [sys.executable, "-m", "tlm", "check-sources", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    good = run("toy")
    assert good.returncode == 0 and good.stdout.count("\n") == 4 and "4 asked: 4 there" in good.stderr
    bad = run("toy", "ag-tlm", "--faults")
    assert bad.returncode == 1 and bad.stdout.count("gone") == 3 and "toy" not in bad.stdout
    unknown = run("agtlm")
    assert unknown.returncode == 2 and "no source 'agtlm'" in unknown.stderr


def test_the_checkpoints_of_all_scales_and_variants_are_asked_once():
    project = load_project({"scale": "demo", "seeds": [1]}, ROOT / "config")
    found = checkpoints_of(project)
    assert len(found) == len(set(found))
    names = [name for name, _ in found]
    assert sum(name.startswith("yxchar/tlm-") for name in names) == 24
    assert {"google-bert/bert-base-uncased", "FacebookAI/roberta-large"} <= set(names)
