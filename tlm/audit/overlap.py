"""Find shared runs of words: the audited texts are indexed in memory, and any number of other texts streams past.

Place in the flow: `tlm.audit.normalise` → here → `tlm.audit.stage`. Memory: about 40 bytes per word of the audited
texts, and one batch of the other texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tlm.audit import kernels
from tlm.audit.kernels import ABSENT, LEAST, RUN
from tlm.audit.normalise import split
from tlm.errors import TlmError

__all__ = ["LEAST", "RUN", "Audited", "Shared"]

_ROOM = 1 << 16  # least number of pairs per batch of results


@dataclass(frozen=True)
class Shared:
    """Pairs of texts that share a run of RUN words, or whose audited text occurs whole in the other text.

    All arrays have a row for each pair, in the order of `other`.
    """

    other: np.ndarray  # number of the other text in its batch
    text: np.ndarray  # number of the audited text
    words: np.ndarray  # the longest run that they share
    whole: np.ndarray  # bool: the run is the whole audited text
    equal: np.ndarray  # bool: and the whole other text


class Audited:
    """The audited texts, indexed so that `find` can search other texts for them.

    `sizes`: number of words of each text. `covered`: for every word of all texts, whether a run found so far
    contains it.
    """

    def __init__(self, texts: pa.Array) -> None:
        analysed = split(texts)
        total = len(analysed.stream)
        if total >= 1 << 31:
            raise TlmError(
                f"audit: {total:,} words of dev and test are more than 2,147,483,647; limit the task"
            )
        self._terms = analysed.terms
        self._begins = analysed.starts
        self.sizes = np.diff(analysed.starts)
        # Padding: after a hash collision, words beyond the end of the last text may be compared.
        self._words = np.concatenate((analysed.stream, np.full(RUN, ABSENT - 1, np.int32)))
        self._text_of = np.repeat(np.arange(len(self.sizes), dtype=np.int32), self.sizes)
        self._vocabulary = np.zeros(_slots(len(analysed.terms)), np.int32)
        kernels.enter_vocabulary(self._terms.hashes, self._vocabulary)
        self._runs = np.zeros(_slots(int(np.maximum(self.sizes - RUN + 1, 0).sum())), np.uint64)
        self._shorts = np.zeros(_slots(int((self.sizes < RUN).sum())), np.uint64)
        self._more = np.full(total, ABSENT, np.int32)
        kernels.enter(self._words, self._begins, self._runs, self._shorts, self._more)
        self.covered = np.zeros(total, np.bool_)
        self._seen = np.full(len(self.sizes), ABSENT, np.int64)

    def coverage(self) -> np.ndarray:
        """For each text, the number of its words inside runs found so far."""
        sums = np.concatenate(([0], np.cumsum(self.covered)))
        return np.diff(sums[self._begins])

    def find(self, others: pa.Array) -> Iterator[Shared]:
        """All pairs of a text of `others` and an audited text that share words, in batches."""
        analysed = split(others)
        terms, known = analysed.terms, self._terms
        numbers = kernels.translate(
            self._vocabulary, known.hashes, known.ends, known.data, terms.hashes, terms.ends, terms.data
        )
        stream = numbers[analysed.stream]
        out = np.empty((_ROOM + len(self.sizes), 4), np.int64)
        first = 0
        while first < len(others):
            filled, first = kernels.scan(
                stream,
                analysed.starts,
                first,
                self._words,
                self._begins,
                self._text_of,
                self._runs,
                self._shorts,
                self._more,
                self.covered,
                self._seen,
                out,
            )
            other, text, words, equal = out[:filled].T.copy()
            whole = words == self.sizes[text]
            yield Shared(other, text, words, whole, equal.astype(bool) & whole)


def _slots(entries: int) -> int:
    """Slots of a hash table that is at most half full with this number of entries."""
    return max(16, 1 << int(2 * entries - 1).bit_length()) if entries else 16
