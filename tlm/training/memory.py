"""Let a training process keep freed memory instead of returning it to the system after every step.

Place in the flow: each stage calls it once, before it builds its model. glibc returns freed blocks of megabytes to the
system and allocates them again in the next step. Each of their pages then costs a page fault, and a small model's step
has many. Results do not change.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 << 20  # the most that glibc accepts on 64-bit systems
_KEPT = 1 << 30  # bytes at the top of the heap


def keep_freed_memory() -> bool:
    """Let this process reuse freed memory. Returns False, and changes nothing, where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)) and bool(
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
    )
