"""Text to terms, as Elasticsearch's `standard` analyser does it: Unicode words (UAX #29), lower-cased.

The analyser reads the UTF-8 bytes of a whole batch of texts and numbers the distinct terms in order of first
occurrence, so neither the index nor the queries hold a Python string per word. Stop words and stems are looked up
once per distinct term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numba
import numpy as np
import pyarrow as pa

from tlm.config.retrieval import IndexSpec
from tlm.retrieval.characters import break_classes, lower_case
from tlm.retrieval.word_splitter import hash_terms, mix, split_words

Texts: TypeAlias = pa.Array | Sequence[str]


@dataclass(frozen=True)
class Terms:
    """Distinct terms, numbered: 64-bit hash [T], end of each in `data` [T], UTF-8 bytes."""

    hashes: np.ndarray
    ends: np.ndarray
    data: np.ndarray

    def __len__(self) -> int:
        return len(self.hashes)

    def strings(self) -> list[str]:
        """The terms as Python strings, in order."""
        raw, begins = self.data.tobytes(), [0, *self.ends[:-1].tolist()]
        return [raw[begin:end].decode() for begin, end in zip(begins, self.ends.tolist(), strict=False)]

    def take(self, order: np.ndarray) -> Terms:
        """The terms numbered `order`, in that order."""
        begins = np.concatenate(([0], self.ends[:-1])).astype(np.int64)[order]
        lengths = self.ends.astype(np.int64)[order] - begins
        ends = np.cumsum(lengths)
        index = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths - begins, lengths)
        return Terms(self.hashes[order], ends, self.data[index])


@dataclass(frozen=True)
class Analysed:
    """Texts as term numbers: text i is `stream[starts[i]:starts[i + 1]]`."""

    stream: np.ndarray  # int32
    starts: np.ndarray  # int64, texts + 1
    terms: Terms


def analyse(texts: Texts, classes: np.ndarray | None = None) -> Analysed:
    """Split and number the words of `texts` (no nulls). Releases the interpreter lock.

    `classes` [code points] replaces the word-break class of every character; the default is `break_classes()`.
    """
    raw, bounds = _utf8(texts)
    kinds = break_classes() if classes is None else classes
    stream, starts, hashes, ends, data = split_words(raw, bounds, kinds, lower_case())
    return Analysed(stream, starts, Terms(hashes, ends, data))


def _utf8(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of all texts, and the texts + 1 bounds of the texts in them."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    array = array.cast(pa.large_string())
    if len(array) == 0:
        return np.zeros(1, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8), bounds


def analyse_with(texts: Texts, spec: IndexSpec) -> Analysed:
    """Analyse as `spec` declares: remove stop words, then stem. Lengths do not count removed words (as in Lucene)."""
    analysed = analyse(texts)
    if spec.stop_words == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # slow to import, rarely needed

        analysed = _rewritten(analysed, lambda term: None if term in ENGLISH_STOP_WORDS else term)
    if spec.stemmer == "english":
        analysed = _rewritten(analysed, _english_stem)
    return analysed


@lru_cache(maxsize=1 << 20)
def _english_stem(term: str) -> str:
    return _stemmer().stem(term)


@lru_cache(maxsize=1)
def _stemmer():  # type: ignore[no-untyped-def]
    from nltk.stem.snowball import SnowballStemmer  # slow to import, rarely needed

    return SnowballStemmer("english")


def _rewritten(analysed: Analysed, rewrite: Callable[[str], str | None]) -> Analysed:
    """The same texts with every term replaced by `rewrite(term)`, or removed where that is None."""
    numbers: dict[str, int] = {}
    renumbered = np.empty(len(analysed.terms), np.int32)
    for old, term in enumerate(analysed.terms.strings()):
        new = rewrite(term)
        renumbered[old] = -1 if new is None else numbers.setdefault(new, len(numbers))
    stream = renumbered[analysed.stream]
    kept = stream >= 0
    starts = np.concatenate(([0], np.cumsum(kept)))[analysed.starts]
    data, bounds = _utf8(list(numbers))
    ends = bounds[1:].copy()
    return Analysed(stream[kept], starts, Terms(hash_terms(data, bounds), ends, data[: bounds[-1]].copy()))


@numba.njit(nogil=True, cache=True)
def _distinct(stream, starts, terms):  # type: ignore[no-untyped-def]
    texts = len(starts) - 1
    found = np.empty(len(stream), np.int32)
    times = np.empty(len(stream), np.int32)
    ends = np.zeros(texts + 1, np.int64)
    seen = np.full(terms, -1, np.int64)
    count = 0
    for text in range(texts):
        begin = count
        for i in range(starts[text], starts[text + 1]):
            term = stream[i]
            if seen[term] >= begin:
                times[seen[term]] += 1
            else:
                seen[term] = count
                found[count] = term
                times[count] = 1
                count += 1
        ends[text + 1] = count
    return found[:count].copy(), times[:count].copy(), ends


def distinct_terms(analysed: Analysed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct terms of every text in order of first occurrence, how often each occurs, and texts + 1 bounds."""
    found, times, ends = _distinct(analysed.stream, analysed.starts, len(analysed.terms))
    return found, times, ends


@numba.njit(nogil=True, cache=True)
def count_grams(stream, starts, hashes, counts):  # type: ignore[no-untyped-def]
    """Add the words, and the pairs of adjacent words, of all texts to the buckets `counts`, by hash."""
    buckets = np.uint64(len(counts))
    for text in range(len(starts) - 1):
        for i in range(starts[text], starts[text + 1]):
            here = hashes[stream[i]]
            counts[np.int64(here % buckets)] += 1
            if i > starts[text]:
                counts[np.int64(mix(hashes[stream[i - 1]] + mix(here)) % buckets)] += 1


@numba.njit(nogil=True, cache=True)
def sum_grams(stream, starts, hashes, values, sums):  # type: ignore[no-untyped-def]
    """sums[text] = Σ values[bucket] over the words and pairs of adjacent words of each text."""
    buckets = np.uint64(len(values))
    for text in range(len(starts) - 1):
        for i in range(starts[text], starts[text + 1]):
            here = hashes[stream[i]]
            sums[text] += values[np.int64(here % buckets)]
            if i > starts[text]:
                sums[text] += values[np.int64(mix(hashes[stream[i - 1]] + mix(here)) % buckets)]
