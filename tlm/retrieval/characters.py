"""Character tables of the `standard` analyser: word-break class and lower case of every code point.

The classes are those of UAX #29 and those that Elasticsearch's tokenizer adds. The Unicode data comes from the `regex`
package.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import regex

CODE_POINTS = 0x110000
OTHER, LETTER, DIGIT, JOINER, KATAKANA, HEBREW = 0, 1, 2, 3, 4, 5
MID_LETTER, MID_NUMBER, MID_BOTH, QUOTE, DOUBLE_QUOTE = 6, 7, 8, 9, 10
EXTEND, HAN, HIRAGANA, SOUTH_EAST_ASIAN, EMOJI, REGIONAL, KEYCAP = 11, 12, 13, 14, 15, 16, 17

# Later lines win: a Thai vowel sign is Extend, not South-East Asian; a katakana letter is never Han.
_CLASSES = (
    (EMOJI, r"\p{Extended_Pictographic}"),
    (HAN, r"\p{Script=Han}"),
    (HIRAGANA, r"\p{Script=Hiragana}"),
    (SOUTH_EAST_ASIAN, r"\p{Line_Break=Complex_Context}"),
    (LETTER, r"\p{WB=ALetter}"),
    (HEBREW, r"\p{WB=Hebrew_Letter}"),
    (DIGIT, r"\p{WB=Numeric}"),
    (KATAKANA, r"\p{WB=Katakana}"),
    (JOINER, r"\p{WB=ExtendNumLet}"),
    (MID_LETTER, r"\p{WB=MidLetter}"),
    (MID_NUMBER, r"\p{WB=MidNum}"),
    (MID_BOTH, r"\p{WB=MidNumLet}"),
    (QUOTE, r"\p{WB=Single_Quote}"),
    (DOUBLE_QUOTE, r"\p{WB=Double_Quote}"),
    (REGIONAL, r"\p{WB=Regional_Indicator}"),
    (KEYCAP, r"[#*]"),
    (EXTEND, r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]"),
)
# No other plane has characters with a word-break property.
_PLANES = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))


@cache
def break_classes() -> np.ndarray:
    """uint8[0x110000]: the class of every code point."""
    classes = np.zeros(CODE_POINTS, np.uint8)
    for plane in _PLANES:
        text = "".join(map(chr, plane))
        for code, pattern in _CLASSES:
            for match in regex.finditer(f"{pattern}+", text):
                classes[plane.start + match.start() : plane.start + match.end()] = code
    return classes


@cache
def lower_case() -> np.ndarray:
    """int32[0x110000]: simple lower case, one code point to one (as in Java's `Character.toLowerCase`).

    Only U+0130 has a lower case of two characters; the first of them is taken.
    """
    lower = np.arange(CODE_POINTS, dtype=np.int32)
    for point in range(0x20000):  # no cased letters beyond plane 1
        lower[point] = ord(chr(point).lower()[0])
    return lower
