"""Find duplicate passages with 8 bytes of memory per passage, for corpora of hundreds of gigabytes.

Place in the flow: used by `tlm.corpus.build`. Stores 64-bit digests in sorted arrays of doubling sizes, which are
merged as they grow; a Python set takes ten times as much memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


class Seen:
    """The digests of all texts so far: 8 bytes a text, and twice that while the largest arrays merge.

    The chance that any two different texts share a digest is 4e-6 at 12 million of them, and 8e-4 at 170 million.
    """

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []  # from large to small

    def first(self, texts: Sequence[bytes]) -> list[bool]:
        """For each text, whether it is new: in no earlier call and not earlier in `texts`."""
        digests = np.array(
            [int.from_bytes(blake2b(text, digest_size=8).digest(), "little") for text in texts], np.uint64
        )
        distinct, where = np.unique(digests, return_index=True)
        new = np.ones(len(distinct), bool)
        for known in self._sorted:
            at = np.searchsorted(known, distinct)
            at[at == len(known)] = 0
            new &= known[at] != distinct
        if new.any():
            self._add(distinct[new])
        first = np.zeros(len(texts), bool)
        first[where[new]] = True
        return [bool(each) for each in first]

    def _add(self, digests: np.ndarray) -> None:
        self._sorted.append(digests)
        while len(self._sorted) > 1 and len(self._sorted[-2]) <= 2 * len(self._sorted[-1]):
            merged = np.concatenate((self._sorted.pop(), self._sorted.pop()))
            merged.sort(kind="stable")  # finds the two runs
            self._sorted.append(merged)
