"""Memory that a training process keeps instead of giving it back to the system after every step.

Place in the flow: each stage calls it once, before it builds its model. glibc returns freed blocks of megabytes
to the system and asks for them again in the next step; each of their pages then costs a fault, and a small model's
step is full of them. Nothing that is computed changes.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc takes no more on 64-bit systems
_KEPT = 1 << 30  # bytes at the top of the heap


def keep_freed_memory() -> bool:
    """Let this process reuse freed memory. False where the C library is not glibc and nothing was changed."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)) and bool(
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
    )
