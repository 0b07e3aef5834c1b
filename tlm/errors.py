"""The one exception that people see.

A `TlmError` is a mistake in a configuration, a file or an environment that its owner can mend. Scripts
print it as one line and exit with code 2 (`tlm.process.run_script`); anything else is a bug and keeps its traceback.
"""

from __future__ import annotations


class TlmError(Exception):
    """What is wrong, where (file, row, key), and what to do, in one line."""
