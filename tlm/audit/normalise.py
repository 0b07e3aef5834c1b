"""Words of the audit: lower-cased runs of letters and digits; all other characters separate words.

Punctuation is ignored because copies of a text often differ in it: quotation marks, hyphens, the spaces of tokenised
data ("it 's"), the marks around entities ("<< aspirin >>"). NFKC replaces compatibility characters (the ligature of
"define" in text from a PDF). Each Han, Hiragana or South-East Asian character is a word, because these scripts are
written without spaces.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tlm.retrieval import characters as uni
from tlm.retrieval.analyser import Analysed, analyse

_KEPT = {uni.LETTER, uni.DIGIT, uni.KATAKANA, uni.EXTEND, uni.HAN, uni.HIRAGANA}
_AS = {uni.HEBREW: uni.LETTER, uni.SOUTH_EAST_ASIAN: uni.HAN}


@cache
def classes() -> np.ndarray:
    """uint8[0x110000]: the class of every code point, for `tlm.retrieval.word_splitter.split_words`."""
    table = np.full(256, uni.OTHER, np.uint8)
    for kind in _KEPT:
        table[kind] = kind
    for kind, other in _AS.items():
        table[kind] = other
    return table[uni.break_classes()]


def split(texts: pa.Array) -> Analysed:
    """Split and number the words of `texts` (no nulls)."""
    plain = pc.string_is_ascii(texts)
    if pc.any(pc.invert(plain)).as_py():
        texts = pc.if_else(plain, texts, pc.utf8_normalize(texts, form="NFKC"))
    return analyse(texts, classes())
