"""The one exception that people see.

A `TlmError` is a mistake in a configuration, a file or an environment that its owner can mend. Scripts
print it as one line and exit with code 2 (`tlm.process.run_script`); anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TlmError(Exception):
    """What is wrong, where (file, row, key), and what to do, in one line."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'text'?)` for the name among `known` closest to `name`, or "" if none is close."""
    spellings = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), spellings, n=1)
    return f" (did you mean {spellings[close[0]]!r}?)" if close else ""
