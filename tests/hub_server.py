"""A Hub on this machine that takes uploads: repositories, the check of a card, large files, commits."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

COMMIT = "c0ffee" + 34 * "0"


@dataclass
class Hub:
    """Its repositories and the requests that it received."""

    token: str = "hf_secret"
    address: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes, token: str | None) -> tuple[int, Any]:
        """Status and JSON. Paths are those of the Hub's HTTP API."""
        self.requests.append(f"{method} {path}")
        if path.startswith("/large/"):
            self.large[path.rsplit("/", 1)[-1]] = body
            return 200, {}
        if path == "/api/validate-yaml":
            return self._card(json.loads(body)["content"])
        if token != f"Bearer {self.token}":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self.private[name] = wanted.get("private", wanted.get("visibility") == "private")
            return 200, {"url": f"{self.address}/{name}", "name": name}
        match = re.fullmatch(r"(?:/api/models)?/([\w.-]+/[\w.-]+?)(?:\.git)?(/.*)?", path)
        if match is None or match[1] not in self.private:
            return 404, {"error": "Repository not found"}
        name, rest = match[1], match[2] or ""
        if rest == "":
            return 200, {"id": name, "private": self.private[name], "sha": COMMIT, "tags": [], "siblings": []}
        if rest == "/preupload/main":
            return 200, {"files": [self._mode(each["path"]) for each in json.loads(body)["files"]]}
        if rest == "/info/lfs/objects/batch":
            wanted = json.loads(body)["objects"]
            actions = [
                {**e, "actions": {"upload": {"href": f"{self.address}/large/{e['oid']}"}}} for e in wanted
            ]
            return 200, {"transfer": "basic", "objects": actions}
        assert rest == "/commit/main", path
        for line in body.decode().splitlines():
            self._commit(**json.loads(line))
        return 200, {
            "success": True,
            "commitUrl": f"{self.address}/{name}/commit/{COMMIT}",
            "commitOid": COMMIT,
        }

    def _card(self, content: str) -> tuple[int, Any]:
        """As the Hub does, it wants every result to name what was measured on what."""
        front_matter = yaml.safe_load(content.split("---\n")[1])
        for index in front_matter.get("model-index", []):
            for result in index["results"]:
                if not result["task"]["type"] or not result["dataset"]["type"] or not result["metrics"]:
                    return 400, {"errors": [{"message": '"model-index" is not complete'}], "warnings": []}
        if not isinstance(front_matter.get("license", ""), str):
            return 400, {"errors": [{"message": '"license" must be a string'}], "warnings": []}
        return 200, {"errors": [], "warnings": []}

    def _mode(self, path: str) -> dict[str, Any]:
        large = path.endswith((".safetensors", ".onnx"))
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def _commit(self, key: str, value: dict[str, Any]) -> None:
        if key == "header":
            self.messages.append(value["summary"])
        elif key == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        else:
            assert key == "lfsFile"
            data = self.large[value["oid"]]
            assert sha256(data).hexdigest() == value["oid"]
            self.files[value["path"]] = data


@contextmanager
def uploads() -> Iterator[Hub]:
    """The server, running."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            length = self.headers.get("Content-Length")
            body = self.rfile.read(int(length)) if length else self._chunks()
            path = self.path.split("?")[0]
            status, value = hub.answer(self.command, path, body, self.headers.get("Authorization"))
            content = json.dumps(value).encode()
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _respond

        def _chunks(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return b""
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
