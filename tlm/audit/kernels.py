"""The inner loops of the audit, compiled: one pass over other texts finds the runs they share with audited texts.

Words are numbers in the vocabulary of the audited texts (ABSENT for any other word). So comparing integers verifies a
hash match, and a word outside the vocabulary ends every run. Two hash tables index the audited texts: `runs` has each
of their runs of RUN words, `shorts` the beginnings of the texts with fewer words.
"""

from __future__ import annotations

import numba
import numpy as np

from tlm.retrieval.word_splitter import mix

RUN = 13  # words; GPT-3's choice (Brown et al. 2020, Appendix C)
LEAST = 5  # words; a shorter text occurs inside others by chance
ABSENT = -1
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it vanishes
_ONE = np.uint64(1)
_TAG, _PLACE = np.uint64(0xFFFFFFFF00000000), np.uint64(0x00000000FFFFFFFF)


@numba.njit(nogil=True, cache=True, inline="always")
def _value(word):  # type: ignore[no-untyped-def]
    """What a word contributes to the hash of a run."""
    return mix(np.uint64(word) + _ONE)


@numba.njit(nogil=True, cache=True)
def _hash(words, begin, size):  # type: ignore[no-untyped-def]
    """Hash of words[begin:begin + size]; `scan` computes the same as a rolling hash."""
    hashed = np.uint64(0)
    for i in range(begin, begin + size):
        hashed = hashed * _BASE + _value(words[i])
    return hashed


@numba.njit(nogil=True, cache=True)
def _find(table, hashed, words, others, begin, size):  # type: ignore[no-untyped-def]
    """First position in `words` of the run others[begin:begin + size], or ABSENT; and its slot in `table`."""
    mixed = mix(hashed)
    mask = len(table) - 1
    slot = np.int64(mixed & _PLACE) & mask
    while table[slot]:
        if (table[slot] & _TAG) == (mixed & _TAG):
            place = np.int64(table[slot] & _PLACE) - 1
            i = 0
            while i < size and words[place + i] == others[begin + i]:
                i += 1
            if i == size:
                return place, slot
        slot = (slot + 1) & mask
    return np.int64(ABSENT), slot


@numba.njit(nogil=True, cache=True)
def _insert(table, more, words, begin, size):  # type: ignore[no-untyped-def]
    """Enter words[begin:begin + size] into `table`; `more` links equal runs to the first one."""
    hashed = _hash(words, begin, size)
    place, slot = _find(table, hashed, words, words, begin, size)
    if place == ABSENT:
        table[slot] = (mix(hashed) & _TAG) | np.uint64(begin + 1)
    else:
        more[begin] = more[place]
        more[place] = begin


@numba.njit(nogil=True, cache=True)
def enter(words, begins, runs, shorts, more):  # type: ignore[no-untyped-def]
    """Enter all texts words[begins[i]:begins[i + 1]] into the tables; the caller fills `more` with ABSENT.

    A short text is found by its first LEAST words, or by all of its words if it has no more.
    """
    for text in range(len(begins) - 1):
        size = begins[text + 1] - begins[text]
        if size >= RUN:
            for place in range(begins[text], begins[text + 1] - RUN + 1):
                _insert(runs, more, words, place, RUN)
        elif size > 0:
            _insert(shorts, more, words, begins[text], min(size, LEAST))


@numba.njit(nogil=True, cache=True)
def enter_vocabulary(hashes, table):  # type: ignore[no-untyped-def]
    """Enter the distinct terms with these hashes into `table`, as numbers + 1. The table must be at most half full."""
    mask = len(table) - 1
    for number in range(len(hashes)):
        slot = np.int64(hashes[number] & _PLACE) & mask
        while table[slot]:
            slot = (slot + 1) & mask
        table[slot] = number + 1


@numba.njit(nogil=True, cache=True)
def translate(table, hashes, ends, data, other_hashes, other_ends, other_data):  # type: ignore[no-untyped-def]
    """The number in the vocabulary (`table`, `hashes`, `ends`, `data`) of each other term, or ABSENT."""
    mask = len(table) - 1
    numbers = np.full(len(other_hashes), ABSENT, np.int32)
    for other in range(len(other_hashes)):
        low = other_ends[other - 1] if other else 0
        size = other_ends[other] - low
        slot = np.int64(other_hashes[other] & _PLACE) & mask
        while table[slot]:
            number = table[slot] - 1
            begin = ends[number - 1] if number else 0
            if hashes[number] == other_hashes[other] and ends[number] - begin == size:
                i = 0
                while i < size and data[begin + i] == other_data[low + i]:
                    i += 1
                if i == size:
                    numbers[other] = number
                    break
            slot = (slot + 1) & mask
    return numbers


@numba.njit(nogil=True, cache=True)
def _note(other, text, place, length, size, covered, seen, out, filled):  # type: ignore[no-untyped-def]
    """Keep the longest run of this pair of texts."""
    covered[place : place + length] = True
    row = seen[text]
    if row == ABSENT:
        seen[text] = filled
        row = filled
        filled += 1
        out[row, 0], out[row, 1], out[row, 2] = other, text, 0
    if length > out[row, 2]:
        out[row, 2], out[row, 3] = length, length == size
    return filled


@numba.njit(nogil=True, cache=True)
def scan(  # type: ignore[no-untyped-def]
    others, starts, first, words, begins, text_of, runs, shorts, more, covered, seen, out
):
    """Find the runs that texts others[starts[i]:starts[i + 1]], from number `first` on, share with audited texts.

    Fills `out` [rows, 4] with (other text, audited text, longest shared run in words, 1 if the other text holds no
    more words than these), a row for each pair that shares a run of RUN words or whose other text contains the whole
    audited text. Sets `covered` [words] for audited words in shared runs. `seen` [audited texts] must be filled with
    ABSENT, and is so again afterwards. Returns the number of filled rows and of the text to continue from: `out` needs
    room for one row per audited text, and `scan` returns when the rows of the next text might not fit.
    """
    leaving = _ONE  # factor of a word that leaves the window
    for _ in range(RUN):
        leaving *= _BASE
    leaving_short = _ONE
    for _ in range(LEAST):
        leaving_short *= _BASE
    filled = 0
    for other in range(first, len(starts) - 1):
        if filled + len(seen) > len(out):
            return filled, other
        begin, end = starts[other], starts[other + 1]
        size = end - begin
        before = filled
        known = 0
        hashed = hashed_short = np.uint64(0)
        for i in range(begin, end):
            if others[i] == ABSENT:
                known = 0
                hashed = hashed_short = np.uint64(0)
                continue
            known += 1
            value = _value(others[i])
            hashed = hashed * _BASE + value
            if known > RUN:
                hashed -= _value(others[i - RUN]) * leaving
            hashed_short = hashed_short * _BASE + value
            if known > LEAST:
                hashed_short -= _value(others[i - LEAST]) * leaving_short
            if known >= RUN:
                at = i - RUN + 1
                place, _ = _find(runs, hashed, words, others, at, RUN)
                while place != ABSENT:
                    text = text_of[place]
                    # Only at the beginning of a run, which covers its rest.
                    if at == begin or place == begins[text] or others[at - 1] != words[place - 1]:
                        length = RUN
                        while (
                            at + length < end
                            and place + length < begins[text + 1]
                            and others[at + length] == words[place + length]
                        ):
                            length += 1
                        filled = _note(other, text, place, length, size, covered, seen, out, filled)
                    place = more[place]
            if known >= LEAST or (i == end - 1 and known == size):
                width = min(known, LEAST)
                at = i - width + 1
                place, _ = _find(shorts, hashed_short, words, others, at, width)
                while place != ABSENT:
                    text = text_of[place]
                    length = begins[text + 1] - place
                    fits = at + length <= end if length >= LEAST else length == size
                    matched = width
                    while fits and matched < length:
                        fits = others[at + matched] == words[place + matched]
                        matched += 1
                    if fits:
                        filled = _note(other, text, place, length, size, covered, seen, out, filled)
                    place = more[place]
        for row in range(before, filled):
            seen[out[row, 1]] = ABSENT
    return filled, len(starts) - 1
