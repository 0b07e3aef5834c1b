"""Where artifacts are stored.

Place in the flow: below everything that reads or writes an artifact.
"""

from __future__ import annotations

SHARED = "shared"
"""Stands in the place of the task in the path of an artifact that several tasks share (a PLM's stage 1)."""
