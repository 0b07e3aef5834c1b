"""State of a local server: a small file that `service` writes and the jobs that wait for the server read."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tlm.artifacts import atomic_file, canonical_json
from tlm.errors import TlmError

HEALTHY = 300.0  # seconds that a server has to become healthy
SILENT = 90.0  # seconds that a previous server has to stop listening; its guard kills it after 60


def write_state(state: Path, word: str, reason: str = "") -> None:
    """Write that the server is `starting`, `ready` or `failed`, and why."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(state) as temporary:
        temporary.write_text(canonical_json({"state": word, "reason": reason}), encoding="utf-8")


def await_server(state: Path, seconds: float = HEALTHY + SILENT) -> None:
    """Return when `state` says that the server is ready. Raises TlmError with the reason if it failed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held = json.loads(state.read_text(encoding="utf-8"))
        if held["state"] == "ready":
            return
        if held["state"] == "failed":
            raise TlmError(f"retrieval.elasticsearch.start: {held['reason']}")
        time.sleep(0.2)
    raise TlmError(f"{state}: no server was ready after {seconds:.0f} s; see its log in logs/server/")
