"""Split UTF-8 bytes into words like Elasticsearch's `standard` tokenizer, compiled.

The rules are those of UAX #29 plus the tokenizer's own: each Han or Hiragana character is a word, South-East Asian
text (no spaces) stays in one piece, emoji are words. Words are lower-cased, character by character, and cut into
pieces of 255. Two differences remain: isolated marks, joiners and skin tones are skipped here, while Elasticsearch
makes words or beginnings of words of them; and a quotation mark after a Hebrew letter is always part of the word
here, while Elasticsearch has two readings.
"""

from __future__ import annotations

import numba
import numpy as np

from tlm.retrieval import characters as uni

MAX_TOKEN = 255  # UTF-16 units; Elasticsearch cuts longer words into pieces of this length
_ONE, _MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # MurmurHash3's finalizer
_SHIFT, _BYTE, _WORD = np.uint64(33), np.uint64(8), np.uint64(64)
SHORT = 7  # words of so many bytes or fewer have hashes without collisions


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
    """First byte at or after i that is not part of a combining mark or format character (WB4)."""
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
    """End of the word that begins at i with class `first`; the negative end if it consists of joiners only."""
    last, worded = first, first != uni.JOINER
    _, size = _decode(data, i)
    i = _skip_extend(data, i + size, end, classes)
    while i < end:
        point, size = _decode(data, i)
        here = classes[point]
        after = _skip_extend(data, i + size, end, classes)
        alphabetic = last in (uni.LETTER, uni.HEBREW)
        if here in (uni.LETTER, uni.HEBREW, uni.DIGIT):
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
            if following not in (uni.LETTER, uni.HEBREW):
                return after
        elif alphabetic and here in (uni.MID_LETTER, uni.MID_BOTH, uni.QUOTE):  # WB6, 7
            following = _class_at(data, after, end, classes)
            if following not in (uni.LETTER, uni.HEBREW):
                break
        elif last == uni.HEBREW and here == uni.DOUBLE_QUOTE:  # WB7b, 7c
            if _class_at(data, after, end, classes) != uni.HEBREW:
                break
        elif last == uni.DIGIT and here in (uni.MID_NUMBER, uni.MID_BOTH, uni.QUOTE):
            if _class_at(data, after, end, classes) != uni.DIGIT:  # WB11, 12
                break
        else:
            break
        i, last = after, here
    return i if worded else -i


@numba.njit(nogil=True, cache=True)
def _token_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """End of the token that begins at i; if none begins there, the negated position to continue from."""
    point, size = _decode(data, i)
    here = classes[point]
    after = i + size
    if uni.LETTER <= here <= uni.HEBREW:
        return _word_end(data, i, end, classes, here)
    if here in (uni.HAN, uni.HIRAGANA):
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
    if here == uni.KEYCAP:  # '#' or '*' with U+20E3 among its combining marks
        stop = _skip_extend(data, after, end, classes)
        for at in range(after, stop - 2):
            if data[at] == 0xE2 and data[at + 1] == 0x83 and data[at + 2] == 0xA3:
                return stop
    return -after


@numba.njit(nogil=True, cache=True)
def _lower_into(data, begin, end, lower, scratch):  # type: ignore[no-untyped-def]
    """Lower-case at most MAX_TOKEN UTF-16 units from `begin` into `scratch`.

    Returns the number of bytes written and the position after the last byte read.
    """
    size, units, i = 0, 0, begin
    while i < end:
        point, width = _decode(data, i)
        units += 2 if width == 4 else 1
        if units > MAX_TOKEN:
            break
        i += width
        low = lower[point]
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
    return size, i


@numba.njit(nogil=True, cache=True, inline="always")
def mix(value):  # type: ignore[no-untyped-def]
    """A one-to-one scramble of 64 bits."""
    value = (value ^ (value >> _SHIFT)) * _ONE
    value = (value ^ (value >> _SHIFT)) * _MULTIPLIER
    return value ^ (value >> _SHIFT)


@numba.njit(nogil=True, cache=True)
def _hash(data, begin, end):  # type: ignore[no-untyped-def]
    """Hash of a word: its bytes, mixed eight at a time. `_split_until_full` computes the same while it reads."""
    hashed = word = np.uint64(0)
    shift = np.uint64(0)
    for i in range(begin, end):
        word |= np.uint64(data[i]) << shift
        shift += _BYTE
        if shift == _WORD:
            hashed = mix(hashed ^ word)
            word = shift = np.uint64(0)
    return mix(hashed ^ word)


@numba.njit(nogil=True, cache=True)
def split_words(data, bounds, classes, lower):  # type: ignore[no-untyped-def]
    """Number the words of texts data[bounds[i]:bounds[i + 1]], valid UTF-8.

    Returns the texts as a stream of numbers, where each text begins in it, and the distinct words in order of
    first occurrence: their hashes, the ends of their bytes, and the bytes.
    """
    texts = len(bounds) - 1
    volume = bounds[texts] - bounds[0]
    # A word takes at least two bytes with its separator. Unused parts of the array take no physical memory.
    stream = np.empty(volume // 2 + texts + 1, np.int32)
    terms = np.empty(volume * 2 + 8, np.uint8)  # lower case may be longer: 2 bytes become 3
    starts = np.zeros(texts + 1, np.int64)
    state = np.zeros(3, np.int64)  # text to read next, distinct words, bytes of them
    hashes, ends = np.empty(0, np.uint64), np.empty(0, np.int64)
    slots = 1 << 14
    while True:
        hashes = np.concatenate((hashes, np.empty(slots // 2 - len(hashes), np.uint64)))
        ends = np.concatenate((ends, np.empty(slots // 2 - len(ends), np.int64)))
        table = np.zeros(
            2 * slots, np.uint64
        )  # per slot: hash; 2 · (number + 1), plus 1 if short; 0 is empty
        for number in range(state[1]):
            slot = np.int64(hashes[number] & np.uint64(slots - 1))
            while table[2 * slot + 1]:
                slot = (slot + 1) & (slots - 1)
            short = ends[number] - (ends[number - 1] if number else 0) <= SHORT
            table[2 * slot], table[2 * slot + 1] = hashes[number], 2 * number + 2 + short
        # A separate function, because numba is slow if an array is replaced inside a loop.
        _split_until_full(data, bounds, classes, lower, stream, starts, table, hashes, ends, terms, state)
        if state[0] == texts:
            break
        slots *= 4
    count, used = state[1], state[2]
    return (
        stream[: starts[texts]].copy(),
        starts,
        hashes[:count].copy(),
        ends[:count].copy(),
        terms[:used].copy(),
    )


@numba.njit(nogil=True, cache=True)
def _split_until_full(  # type: ignore[no-untyped-def]
    data, bounds, classes, lower, stream, starts, table, hashes, ends, terms, state
):
    """Continue from `state` until all texts are read or the table is half full; the next call rereads the last text."""
    mask, room = len(table) // 2 - 1, len(hashes)
    first, count, used = state
    kinds = np.full(256, uni.EXTEND, np.uint8)  # class of each byte; bytes above ASCII need the full rules
    kinds[:128] = classes[:128]
    separates = kinds == uni.OTHER
    plain_lower = np.zeros(256, np.uint8)  # lower case of an ASCII letter or digit; 0 for other bytes
    for byte in range(128):
        if kinds[byte] in (uni.LETTER, uni.DIGIT):
            plain_lower[byte] = lower[byte]
    scratch = np.empty(4 * MAX_TOKEN, np.uint8)
    for text in range(first, len(bounds) - 1):
        filled, i, end = starts[text], bounds[text], bounds[text + 1]
        while i < end:
            if separates[data[i]]:
                i += 1
                continue
            begin, size = i, 0
            hashed = word = shift = np.uint64(0)
            while i < end and size < MAX_TOKEN:
                low = plain_lower[data[i]]
                if low == 0:
                    break
                scratch[size] = low
                word |= np.uint64(low) << shift
                shift += _BYTE
                if shift == _WORD:
                    hashed = mix(hashed ^ word)
                    word = shift = np.uint64(0)
                size += 1
                i += 1
            hashed = mix(hashed ^ word)
            plain = size > 0 and (i == end or separates[data[i]])
            if size > 0 and not plain and uni.MID_LETTER <= kinds[data[i]] <= uni.DOUBLE_QUOTE:
                # A full stop, comma or quote before a separator always ends the word.
                plain = i + 1 == end or separates[data[i + 1]]
            stop = i
            if not plain:
                stop = _token_end(data, begin, end, classes)
                if stop < 0:
                    i = -stop
                    continue
                i = begin
            while plain or i < stop:
                if not plain:
                    size, i = _lower_into(data, i, stop, lower, scratch)
                    hashed = _hash(scratch, 0, size)
                plain = False
                slot = np.int64(hashed) & mask
                short = size <= SHORT
                number = np.int64(-1)
                while True:
                    entry = np.int64(table[2 * slot + 1])
                    if entry == 0:
                        break
                    if table[2 * slot] == hashed and (entry & 1) == short:
                        number = (entry >> 1) - 1
                        if short:
                            break
                        start = ends[number - 1] if number else 0
                        same = ends[number] - start == size
                        j = 0
                        while same and j < size:
                            same = terms[start + j] == scratch[j]
                            j += 1
                        if same:
                            break
                        number = np.int64(-1)
                    slot = (slot + 1) & mask
                if number < 0:
                    if count == room:
                        state[0], state[1], state[2] = text, count, used
                        return
                    number = count
                    table[2 * slot], table[2 * slot + 1] = hashed, 2 * number + 2 + short
                    hashes[number] = hashed
                    for j in range(size):
                        terms[used + j] = scratch[j]
                    used += size
                    ends[number] = used
                    count += 1
                stream[filled] = number
                filled += 1
        starts[text + 1] = filled
    state[0], state[1], state[2] = len(bounds) - 1, count, used


@numba.njit(nogil=True, cache=True)
def hash_terms(data, bounds):  # type: ignore[no-untyped-def]
    """The hash that `split_words` gives each term data[bounds[i]:bounds[i + 1]]."""
    hashes = np.empty(len(bounds) - 1, np.uint64)
    for term in range(len(hashes)):
        hashes[term] = _hash(data, bounds[term], bounds[term + 1])
    return hashes
