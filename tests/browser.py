"""A headless Chromium for tests of pages: what they say on the console, what they load, and how they look.

The browser is driven over the DevTools protocol through two pipes, so that no driver, port or library is needed. It
reaches no host: a page that requests one gets an error, which its console shows.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PHONE = (390, 844)
DESKTOP = (1280, 900)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",  # a container's root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


def executable() -> str | None:
    """The browser: TLM_CHROMIUM, or the first that is installed."""
    return os.environ.get("TLM_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


def absent() -> str | None:
    """Why there is no browser to test with, or None if there is one."""
    return None if executable() else f"no Chromium ({', '.join(_NAMES)}); install Debian's `chromium`"


class BrowserError(Exception):
    """The browser refused, or did not answer in time."""


@dataclass
class Page:
    """An open page. `errors` fills while it runs: exceptions, console errors, and what it could not load."""

    browser: Browser
    session: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Every requested address, except those inside the page (data:, blob:)."""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        return self.browser.call(method, session=self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {_exception(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 120.0) -> None:
        """Wait until a JavaScript expression is true, such as an element that is there."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise BrowserError(f"not in {seconds:g} s: {expression}; errors: {self.errors}")
            time.sleep(0.05)

    def text(self) -> str:
        """What a reader sees, as text."""
        return str(self.evaluate("document.body.innerText"))

    def broken_images(self) -> list[str]:
        """Images that the page shows and that have no pixels."""
        return list(
            self.evaluate(
                "Promise.all([...document.images].map(i => i.decode().then(() => null, () => i)))"
                ".then(all => all.filter(i => i).map(i => (i.alt + ' ' + i.src).trim().slice(0, 120)))"
            )
        )

    def too_wide(self) -> list[str]:
        """Elements that make the page scroll sideways, which no reader should have to on a phone."""
        return list(
            self.evaluate(
                "document.documentElement.scrollWidth <= innerWidth + 1 ? [] :"
                "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
                ".slice(0, 5).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.trim().slice(0, 40))"
            )
        )

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of that size (`DESKTOP`, `PHONE`)."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """A PNG of the whole page, or of what the window shows."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """The page as it is printed, on A4."""
        data = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(data["data"]))
        return path


class Browser:
    """One running browser; `with browser() as chromium` starts and ends it."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._left = to, back, b""
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}
        self._loaded: set[str] = set()

    def open(self, address: str | Path, size: tuple[int, int] = DESKTOP, seconds: float = 180.0) -> Page:
        """Open a file or an address in a tab of its own and wait until it is loaded."""
        url = address.resolve().as_uri() if isinstance(address, Path) else address
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(*size)
        self._loaded.discard(session)
        answer = page.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        end = time.monotonic() + seconds
        while session not in self._loaded:
            self._handle(self._read(end))
        return page

    def call(self, method: str, session: str | None = None, seconds: float = 180.0, **parameters: Any) -> Any:
        """One command and its answer. Raises BrowserError if the browser refuses it or says nothing in time."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while (answer := self._read(end)).get("id") != number:
            self._handle(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self, end: float) -> dict[str, Any]:
        """The next message; they end with a zero byte."""
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._back], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self._back, 1 << 20) if ready else b""
            if not more:
                raise BrowserError("the browser has ended" if ready else "the browser says nothing")
            self._left += more
        message, self._left = self._left.split(b"\0", 1)
        return dict(json.loads(message))

    def _handle(self, message: dict[str, Any]) -> None:
        """Note an event that the page sends by itself."""
        page = self._pages.get(message.get("sessionId", ""))
        if page is None:
            return
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded.add(page.session)
        elif method == "Runtime.exceptionThrown":
            page.errors.append(_exception(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert", "warning"):
            text = " ".join(str(each.get("value", each.get("description", ""))) for each in params["args"])
            (page.warnings if params["type"] == "warning" else page.errors).append(text)
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            text = f"{entry['text']} {entry.get('url', '')}".strip()
            (page.errors if entry["level"] == "error" else page.warnings).append(text)
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("data:", "blob:")):
                page.requests.append(url)


def _exception(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details.get("text"))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A fresh browser with a profile of its own. Raises BrowserError where none is installed."""
    if reason := absent():
        raise BrowserError(reason)
    chromium = executable()
    assert chromium is not None
    child_in, to = os.pipe()
    back, child_out = os.pipe()
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        # The protocol's pipes are descriptors 3 and 4 of the browser.
        start = f'exec "$@" 3<&{child_in} 4>&{child_out}'
        command = [
            "bash",
            "-c",
            start,
            "bash",
            chromium,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        process = subprocess.Popen(
            command, pass_fds=(child_in, child_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(child_in)
        os.close(child_out)
        try:
            yield Browser(to, back)
        finally:
            os.close(to)  # the browser ends when nobody can tell it anything any more
            os.close(back)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
