"""Download one file: resumable, retried, verified by sha256, cached by it.

Place in the flow: below `tlm.sources.fetch`. A download grows in a `.part` file that is keyed by its URL, so
that an interrupted one continues where it stopped, and enters the cache only when its digest is right.
"""

from __future__ import annotations

import fcntl
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tlm import __version__
from tlm.artifacts import sha256_bytes, sha256_file
from tlm.errors import TlmError
from tlm.progress import Progress

ATTEMPTS = 5
TIMEOUT = 60.0  # seconds without a byte
_CHUNK = 1 << 20
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/")
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def cached(cache: Path, sha256: str) -> Path:
    """The place in the cache of the file with that digest."""
    return cache / sha256[:2] / sha256


def wrong_digest(what: str, expected: str, got: str) -> TlmError:
    """The error for a file with another digest than the pinned one."""
    return TlmError(
        f"{what}: sha256 expected {expected}, got {got}; the file was changed or damaged: nothing was kept"
    )


def download(
    url: str,
    sha256: str,
    cache: Path,
    *,
    size: int | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch `url` into `cache` unless it is there; return its path.

    Transient failures (connection lost, HTTP 408, 425, 429, 5xx) are tried ATTEMPTS times with doubled
    pauses, each continuing where the last one stopped if the server allows. `size` in bytes is used for the
    ETA only.
    Raises TlmError for any other answer, when the attempts are used up, and for a wrong digest, which leaves
    nothing behind.
    """
    final = cached(cache, sha256)
    if final.is_file():
        return final
    part = _part(cache, url)
    with _locked(part):
        if final.is_file():  # another process has fetched it meanwhile
            return final
        resumed = part.exists() and part.stat().st_size > 0
        _fetch(url, part, size, pause)
        got = sha256_file(part)
        if got != sha256 and resumed:
            # The part from an earlier run may belong to another version of the file: start again.
            part.unlink()
            _fetch(url, part, size, pause)
            got = sha256_file(part)
        if got != sha256:
            part.unlink()
            raise wrong_digest(url, sha256, got)
        final.parent.mkdir(parents=True, exist_ok=True)
        part.replace(final)
    return final


def download_first(
    url: str, cache: Path, *, size: int | None = None, pause: Callable[[float], None] = time.sleep
) -> str:
    """Fetch `url`, of which no digest is known, into `cache`; return the sha256 that it has.

    Never resumes: without a digest, a part of another version would not be noticed.
    Raises TlmError as `download` does.
    """
    part = _part(cache, url)
    with _locked(part):
        part.unlink(missing_ok=True)
        _fetch(url, part, size, pause)
        sha256 = sha256_file(part)
        final = cached(cache, sha256)
        final.parent.mkdir(parents=True, exist_ok=True)
        part.replace(final)
    return sha256


def _part(cache: Path, url: str) -> Path:
    return cache / "parts" / f"{sha256_bytes(url.encode())}.part"


def _fetch(url: str, part: Path, size: int | None, pause: Callable[[float], None]) -> None:
    progress = Progress(f"fetch {url}", size, "bytes")
    if part.exists():
        progress.skip(part.stat().st_size)
    for attempt in range(ATTEMPTS):
        try:
            _append(url, part, progress)
            progress.finish()
            return
        except urllib.error.HTTPError as error:
            if error.code not in _TRANSIENT:
                raise TlmError(f"{url}: the server answers {error.code} {error.reason}") from None
            reason = f"the server answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        if attempt + 1 < ATTEMPTS:
            pause(float(2**attempt))
    raise TlmError(f"{url}: {reason} ({ATTEMPTS} attempts); run again to continue where it stopped")


def _append(url: str, part: Path, progress: Progress) -> None:
    """One request for the missing rest of `part`. Raises OSError if the connection ends too early."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"tlm/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = open_url(url, TIMEOUT, headers=headers)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # no bytes beyond `part`; the digest then decides
            error.close()
            return
        raise
    with response:
        if have and response.status != 206:
            part.unlink()
            progress.skip(-have)
        expected = response.headers.get("Content-Length")
        received = 0
        with part.open("ab") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                received += len(chunk)
                progress.add(len(chunk))
        if expected is not None and received < int(expected):
            raise ConnectionError(f"connection closed after {received} of {expected} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to https (and to loopback) only, never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://") and not _LOOPBACK.match(newurl):
            raise TlmError(f"{req.full_url}: redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SafeRedirects)


def open_url(
    url: str, timeout: float, *, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Any:
    """The response of a server, following safe redirects. Raises OSError, and HTTPError for a status from 400."""
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    return _OPENER.open(request, timeout=timeout)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Let one process at a time work on `part`: two sources may share a file."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
