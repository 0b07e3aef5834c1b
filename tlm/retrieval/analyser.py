"""Text to terms, as Elasticsearch's `standard` analyser does it: Unicode words (UAX #29), lower-cased.

Works on the UTF-8 bytes of a whole batch of texts and numbers the distinct terms as they come, so that the index
and the queries never hold a Python string per word. Words of ASCII letters and digits take a fast path; a word
that meets anything else is read again by the full rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from tlm.config.retrieval import IndexSpec
from tlm.retrieval import unicode as uni

MAX_TOKEN = 255  # UTF-16 units; Elasticsearch cuts longer words into pieces of this length
_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)


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
        return [raw[begin:end].decode() for begin, end in zip(begins, self.ends.tolist(), strict=True)]

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


def analyse(texts: pa.Array | Sequence[str]) -> Analysed:
    """Split and number the words of `texts` (no nulls). Releases the interpreter lock."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    stream, starts, hashes, ends, terms = _analyse(raw, bounds, uni.break_classes(), uni.lower_case())
    return Analysed(stream, starts, Terms(hashes, ends, terms))


def analyse_with(texts: pa.Array | Sequence[str], spec: IndexSpec) -> Analysed:
    """Analyse as an index is configured to."""
    analysed = analyse(texts)
    if spec.stop_words == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # loaded only where it is wanted

        return without(analysed, ENGLISH_STOP_WORDS)
    return analysed


@numba.njit(nogil=True, cache=True, inline="always")
def _decode(data, i):  # type: ignore[no-untyped-def]
    """Code point at byte i of valid UTF-8, and its length in bytes."""
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return ((lead & 0x1F) << 6) | (data[i + 1] & 0x3F), 2
    if lead < 0xF0:
        return ((lead & 0x0F) << 12) | ((data[i + 1] & 0x3F) << 6) | (data[i + 2] & 0x3F), 3
    rest = ((data[i + 1] & 0x3F) << 12) | ((data[i + 2] & 0x3F) << 6) | (data[i + 3] & 0x3F)
    return ((lead & 0x07) << 18) | rest, 4


@numba.njit(nogil=True, cache=True)
def _skip_extend(data, i, end, classes):  # type: ignore[no-untyped-def]
    """First byte at or after i that is no combining mark or format character (WB4)."""
    while i < end:
        point, size = _decode(data, i)
        if classes[point] != uni.EXTEND:
            break
        i += size
    return i


@numba.njit(nogil=True, cache=True)
def _class_at(data, i, end, classes):  # type: ignore[no-untyped-def]
    if i >= end:
        return np.uint8(uni.OTHER)
    point, _ = _decode(data, i)
    return classes[point]


@numba.njit(nogil=True, cache=True)
def _emoji_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """End of the emoji that begins at i: modifiers, and further pictographs joined by U+200D."""
    while True:
        _, size = _decode(data, i)
        i += size
        joined = False
        while i < end:
            point, size = _decode(data, i)
            if classes[point] != uni.EXTEND or point == 0xFE0E:
                break
            joined = point == 0x200D
            i += size
        if not (joined and _class_at(data, i, end, classes) == uni.EMOJI):
            return i


@numba.njit(nogil=True, cache=True)
def _word_end(data, i, end, classes, first):  # type: ignore[no-untyped-def]
    """End of the word that begins at i with class `first`; the negative end if it is joiners alone."""
    last, worded = first, first != uni.JOINER
    _, size = _decode(data, i)
    i = _skip_extend(data, i + size, end, classes)
    while i < end:
        point, size = _decode(data, i)
        here = classes[point]
        after = _skip_extend(data, i + size, end, classes)
        alphabetic = last == uni.LETTER or last == uni.HEBREW
        if here == uni.LETTER or here == uni.HEBREW or here == uni.DIGIT:
            if last == uni.KATAKANA:
                break
            worded = True
        elif here == uni.KATAKANA:
            if last != uni.KATAKANA and last != uni.JOINER:
                break
            worded = True
        elif here == uni.JOINER:
            pass
        elif last == uni.HEBREW and here == uni.QUOTE:  # WB7a
            following = _class_at(data, after, end, classes)
            if following != uni.LETTER and following != uni.HEBREW:
                return after
        elif alphabetic and (here == uni.MID_LETTER or here == uni.MID_BOTH or here == uni.QUOTE):  # WB6, 7
            following = _class_at(data, after, end, classes)
            if following != uni.LETTER and following != uni.HEBREW:
                break
        elif last == uni.HEBREW and here == uni.DOUBLE_QUOTE:  # WB7b, 7c
            if _class_at(data, after, end, classes) != uni.HEBREW:
                break
        elif last == uni.DIGIT and (here == uni.MID_NUMBER or here == uni.MID_BOTH or here == uni.QUOTE):
            if _class_at(data, after, end, classes) != uni.DIGIT:  # WB11, 12
                break
        else:
            break
        i, last = after, here
    return i if worded else -i


@numba.njit(nogil=True, cache=True)
def _token_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """End of the token that begins at i, or, negative, where to look for the next one."""
    point, size = _decode(data, i)
    here = classes[point]
    after = i + size
    if uni.LETTER <= here <= uni.HEBREW:
        return _word_end(data, i, end, classes, here)
    if here == uni.HAN or here == uni.HIRAGANA:
        return _skip_extend(data, after, end, classes)
    if here == uni.SOUTH_EAST_ASIAN:
        after = _skip_extend(data, after, end, classes)
        while _class_at(data, after, end, classes) == uni.SOUTH_EAST_ASIAN:
            _, size = _decode(data, after)
            after = _skip_extend(data, after + size, end, classes)
        return after
    if here == uni.EMOJI:
        return _emoji_end(data, i, end, classes)
    if here == uni.REGIONAL:  # a flag is a pair
        second = _skip_extend(data, after, end, classes)
        if _class_at(data, second, end, classes) == uni.REGIONAL:
            return _skip_extend(data, second + 4, end, classes)
    if here == uni.KEYCAP:  # '#' or '*', perhaps U+FE0F, and U+20E3
        stop = _skip_extend(data, after, end, classes)
        if stop >= after + 3 and data[stop - 3] == 0xE2 and data[stop - 2] == 0x83 and data[stop - 1] == 0xA3:
            return stop
    return -after


@numba.njit(nogil=True, cache=True)
def _lower_into(data, begin, end, lower, scratch):  # type: ignore[no-untyped-def]
    """Lower-case at most MAX_TOKEN UTF-16 units from `begin` into `scratch`.

    Returns the bytes written, their hash, and where it stopped reading.
    """
    size, units, i, hashed = 0, 0, begin, _SEED
    while i < end:
        point, width = _decode(data, i)
        units += 2 if width == 4 else 1
        if units > MAX_TOKEN:
            break
        i += width
        low = lower[point]
        start = size
        if low < 0x80:
            scratch[size] = low
            size += 1
        elif low < 0x800:
            scratch[size] = 0xC0 | (low >> 6)
            scratch[size + 1] = 0x80 | (low & 0x3F)
            size += 2
        elif low < 0x10000:
            scratch[size] = 0xE0 | (low >> 12)
            scratch[size + 1] = 0x80 | ((low >> 6) & 0x3F)
            scratch[size + 2] = 0x80 | (low & 0x3F)
            size += 3
        else:
            scratch[size] = 0xF0 | (low >> 18)
            scratch[size + 1] = 0x80 | ((low >> 12) & 0x3F)
            scratch[size + 2] = 0x80 | ((low >> 6) & 0x3F)
            scratch[size + 3] = 0x80 | (low & 0x3F)
            size += 4
        for j in range(start, size):
            hashed = (hashed ^ np.uint64(scratch[j])) * _MULTIPLIER
    return size, hashed, i


@numba.njit(nogil=True, cache=True)
def _analyse(data, bounds, classes, lower):  # type: ignore[no-untyped-def]
    texts = len(bounds) - 1
    volume = bounds[texts] - bounds[0]
    # A word takes two bytes with its separator. Memory that is never written is never resident.
    stream = np.empty(volume // 2 + texts + 1, np.int32)
    starts = np.zeros(texts + 1, np.int64)
    slots = 1 << 14
    table = np.full(slots, -1, np.int32)
    hashes = np.empty(slots, np.uint64)
    ends = np.empty(slots, np.int64)
    terms = np.empty(volume * 2 + 8, np.uint8)  # lower case may be longer: 2 bytes become 3
    scratch = np.empty(4 * MAX_TOKEN, np.uint8)
    count = filled = used = 0
    kinds = np.full(256, uni.EXTEND, np.uint8)  # of a byte; those above ASCII need the full rules
    kinds[:128] = classes[:128]
    alphanumeric = (kinds == uni.LETTER) | (kinds == uni.DIGIT)
    separates = kinds == uni.OTHER
    lowered = lower[:256].astype(np.uint8)
    for text in range(texts):
        i, end = bounds[text], bounds[text + 1]
        while i < end:
            if separates[data[i]]:
                i += 1
                continue
            begin, size, hashed = i, 0, _SEED
            while i < end and alphanumeric[data[i]] and size < MAX_TOKEN:
                scratch[size] = lowered[data[i]]
                hashed = (hashed ^ np.uint64(scratch[size])) * _MULTIPLIER
                size += 1
                i += 1
            plain = size > 0 and (i == end or separates[data[i]])
            if size > 0 and not plain and uni.MID_LETTER <= kinds[data[i]] <= uni.DOUBLE_QUOTE:
                # A full stop, comma or quote that ends a word: nothing can join behind it.
                plain = i + 1 == end or separates[data[i + 1]]
            if plain:
                stop = i
            else:
                stop = _token_end(data, begin, end, classes)
                if stop < 0:
                    i = -stop
                    continue
                i = begin
            while True:
                if not plain:
                    size, hashed, i = _lower_into(data, i, stop, lower, scratch)
                hashed ^= hashed >> np.uint64(32)
                slot = np.int64(hashed & np.uint64(slots - 1))
                while True:
                    number = table[slot]
                    if number < 0:
                        break
                    if hashes[number] == hashed:
                        start = ends[number - 1] if number else 0
                        same = ends[number] - start == size
                        if same:
                            for j in range(size):
                                if terms[start + j] != scratch[j]:
                                    same = False
                                    break
                        if same:
                            break
                    slot = (slot + 1) & (slots - 1)
                if number < 0:
                    number = count
                    table[slot] = number
                    hashes[number] = hashed
                    terms[used : used + size] = scratch[:size]
                    used += size
                    ends[number] = used
                    count += 1
                    if 2 * count >= slots:
                        slots *= 2
                        table = np.full(slots, -1, np.int32)
                        hashes = np.concatenate((hashes, np.empty(slots - len(hashes), np.uint64)))
                        ends = np.concatenate((ends, np.empty(slots - len(ends), np.int64)))
                        for old in range(count):
                            slot = np.int64(hashes[old] & np.uint64(slots - 1))
                            while table[slot] >= 0:
                                slot = (slot + 1) & (slots - 1)
                            table[slot] = old
                stream[filled] = number
                filled += 1
                if plain or i >= stop:
                    break
        starts[text + 1] = filled
    return stream[:filled].copy(), starts, hashes[:count].copy(), ends[:count].copy(), terms[:used].copy()


def without(analysed: Analysed, words: frozenset[str]) -> Analysed:
    """The same texts without the terms in `words` (stop words). Lengths count what is left, as in Lucene."""
    keep = np.array([term not in words for term in analysed.terms.strings()], bool)
    if keep.all():
        return analysed
    renumbered = (np.cumsum(keep) - 1).astype(np.int32)
    kept = keep[analysed.stream]
    starts = np.concatenate(([0], np.cumsum(kept)))[analysed.starts]
    return Analysed(renumbered[analysed.stream[kept]], starts, analysed.terms.take(np.flatnonzero(keep)))


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
