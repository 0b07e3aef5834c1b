"""Progress of long work: one line every few seconds with rate and ETA, readable on a screen and in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO


def duration(seconds: float) -> str:
    """`75` → `1m15s`; hours and days likewise, the two largest units."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return "".join(f"{value}{unit}" for value, unit in parts[:2])


class Progress:
    """Counts work and prints a progress line at most every `every` seconds.

    A plain line rather than a bar that is redrawn: the same text goes to the terminal and, through `tee`, to
    the rule's log.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, *, every: float = 10.0, stream: TextIO | None = None
    ) -> None:
        self.what, self.total, self.unit, self.every = what, total, unit, every
        self.stream = stream or sys.stderr
        self.done = 0
        self._first = self._printed = time.monotonic()
        self._skipped = 0

    def skip(self, amount: int) -> None:
        """Count work that an earlier run did: it counts for the position, but not for the rate."""
        self.done += amount
        self._skipped += amount

    def add(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more, and print a line if the last one is old enough."""
        self.done += amount
        now = time.monotonic()
        if now - self._printed >= self.every:
            self._printed = now
            self._print(now, note)

    def finish(self, note: str = "") -> None:
        """Print the closing line."""
        self._print(time.monotonic(), note, last=True)

    def _print(self, now: float, note: str, *, last: bool = False) -> None:
        spent = max(now - self._first, 1e-9)
        rate = (self.done - self._skipped) / spent
        line = f"{self.what}: {self.done:,}"
        if self.total:
            line += f"/{self.total:,}"
        line += f" {self.unit}, {rate:,.0f}/s"
        if last:
            line += f", done in {duration(spent)}"
        elif self.total and rate > 0:
            line += f", ETA {duration((self.total - self.done) / rate)}"
        print(line + (f", {note}" if note else ""), file=self.stream, flush=True)
