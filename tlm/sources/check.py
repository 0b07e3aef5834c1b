"""Ask every source for its size and digest, without downloading: `tlm check-sources`.

Place in the flow: config/ → here → the command line. The Hub answers one request for all files of a repository at a
commit, a package index one for all files of a project, and other servers a HEAD request.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tlm import __version__
from tlm.config.sources import FileSpec, SourceSpec, local_matches
from tlm.errors import TlmError
from tlm.sources.download import open_url
from tlm.sources.fetch import mirrored

TIMEOUT = 20.0  # seconds
Status = Literal["same", "there", "differs", "gone", "no answer"]
"""same: the server's digest is the pinned one. there: the file exists, with the declared size if one is declared; no
digest to compare."""
FAULTS: tuple[Status, ...] = ("differs", "gone", "no answer")


@dataclass(frozen=True)
class Answer:
    """What a server says about one file or repository."""

    source: str
    address: str
    status: Status
    size: int | None = None
    sha256: str | None = None
    note: str = ""


@dataclass(frozen=True)
class _Remote:
    size: int | None = None
    sha256: str | None = None
    commit: str = ""


class _Absent(Exception):
    """The server has no such file."""


def check_sources(
    sources: Mapping[str, SourceSpec],
    checkpoints: Iterable[tuple[str, str | None]],
    mirrors: Mapping[str, str],
) -> Iterator[Answer]:
    """An answer for each file, in order, then for each (name, revision) of a model or tokenizer of the Hub."""
    for name, spec in sources.items():
        for file in spec.files:
            yield _answer(name, file, mirrors)
    for repository, revision in checkpoints:
        commit = revision or "main"
        found = _asked(lambda r=repository, c=commit: _hub("/".join(("models", r)), c)[0])  # type: ignore[misc]
        if isinstance(found, _Remote):
            yield Answer("checkpoint", f"{repository}@{commit}", "there", note=_moving(commit, found))
        else:
            yield Answer("checkpoint", f"{repository}@{commit}", found[0], note=found[1])


def _answer(name: str, file: FileSpec, mirrors: Mapping[str, str]) -> Answer:
    found = _asked(lambda: _remote(file, mirrors))
    if not isinstance(found, _Remote):
        return Answer(name, file.address, found[0], note=found[1])
    note = _moving(file.address.partition("@")[2].partition("/")[0], found) if file.scheme == "hf" else ""
    status: Status = "there"
    if file.sha256 is not None and found.sha256 is not None:
        status = "same" if file.sha256 == found.sha256 else "differs"
        note = note if status == "same" else f"pinned: sha256 {file.sha256}"
    if file.bytes is not None and found.size is not None and file.bytes != found.size:
        status, note = "differs", f"pinned: {file.bytes:,} bytes"
    return Answer(name, file.address, status, found.size, found.sha256, note)


def _moving(revision: str, found: _Remote) -> str:
    """For a branch, the commit that it names today."""
    return (
        "" if re.fullmatch(r"[0-9a-f]{40}", revision) or not found.commit else f"{revision} is {found.commit}"
    )


def _asked(ask: Callable[[], _Remote]) -> _Remote | tuple[Status, str]:
    try:
        return ask()
    except _Absent as error:
        return "gone", str(error)
    except urllib.error.HTTPError as error:
        # The Hub answers 401 for a repository that does not exist.
        absent = error.code in (401, 403, 404, 410)
        return "gone" if absent else "no answer", f"the server answers {error.code}"
    except TlmError as error:
        return "gone", str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return "no answer", str(getattr(error, "reason", None) or error) or type(error).__name__


def _remote(file: FileSpec, mirrors: Mapping[str, str]) -> _Remote:
    if file.scheme == "file":
        found = local_matches(file)
        if not found:
            raise _Absent("no such file here")
        return _Remote(sum(path.stat().st_size for path in found))
    if file.scheme == "pypi":
        return _wheel(*file.pypi())
    if (path := mirrored(file.url(), mirrors)) is not None:
        return _Remote(path.stat().st_size)
    if file.scheme == "hf":
        repository, _, rest = file.address.removeprefix("hf://").partition("@")
        revision, _, inside = rest.partition("/")
        whole, files = _hub(repository, revision)
        if inside not in files:
            raise _Absent(f"the repository has no {inside}; it has {', '.join(sorted(files)[:8])}")
        size, sha256 = files[inside]
        return _Remote(size, sha256, whole.commit)
    with open_url(file.url(), TIMEOUT, method="HEAD") as response:
        size = response.headers.get("Content-Length")
        return _Remote(int(size) if size else None)


@cache
def _hub(repository: str, revision: str) -> tuple[_Remote, dict[str, tuple[int | None, str | None]]]:
    """The commit of a repository `datasets/…` or `models/…`, and name → (bytes, sha256 of a large file)."""
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    found = _json(f"{base}/api/{repository}/revision/{revision}?blobs=true")
    files = {
        each["rfilename"]: (each.get("size"), (each.get("lfs") or {}).get("sha256"))
        for each in found.get("siblings", [])
    }
    return _Remote(commit=str(found.get("sha") or "")), files


def _wheel(name: str, version: str) -> _Remote:
    """The wheel of a release, from a package index with JSON pages (PEP 691)."""
    base = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    project = re.sub(r"[-_.]+", "-", name).lower()
    for each in _json(f"{base}/{project}/", "application/vnd.pypi.simple.v1+json").get("files", []):
        first, _, rest = str(each["filename"]).partition("-")
        named = re.sub(r"[-_.]+", "-", first).lower() == project
        if named and rest.startswith(f"{version}-") and rest.endswith(".whl"):
            return _Remote(each.get("size"), each.get("hashes", {}).get("sha256"))
    raise _Absent(f"the index has no wheel of {name} {version}")


def _json(url: str, accept: str = "application/json") -> dict[str, Any]:
    with open_url(url, TIMEOUT, headers={"Accept": accept, "User-Agent": f"tlm/{__version__}"}) as response:
        found: dict[str, Any] = json.loads(response.read())
    return found
