"""Types of command-line arguments that several commands share.

Place in the flow: imported while the arguments are built, so it imports no reader.
"""

from __future__ import annotations

import argparse


def delimiter(value: str) -> str:
    """An argument as a delimiter: one character, or a name of the tab."""
    found = "\t" if value.casefold() in ("tab", r"\t") else value
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not one character; write tab for a tab")
    return found
