"""Text: cleaning, sentences, passages. Deterministic, without models or downloads.

Place in the flow: used by the readers of tasks and corpora. A *word* here is a maximal run without white space.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, pairwise

# Control characters other than white space, invisible marks of word processors (byte order mark, zero-width
# space, soft hyphen), non-characters, and lone surrogates, which JSON can hold and UTF-8 cannot.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Normalise to NFC, remove control characters, fold runs of white space to one space, and strip the ends."""
    text = _UNWANTED.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text (separated by blank lines), cleaned, without empty ones."""
    cleaned = (clean(part) for part in re.split(r"\n[^\S\n]*\n", text.replace("\r\n", "\n")))
    return [part for part in cleaned if part]


# A full stop after one of these does not end a sentence. Lower case, without the stop.
_ABBREVIATIONS = frozenset(
    """
    adj al approx art assn ave bros ca capt cf ch co col corp dept dr ed eds e.g eg eq eqs esp est etc ex fig
    figs gen gov hon i.e ie inc jr lt ltd max messrs min mr mrs ms mt nr op p pp pres prof pt ref refs rep rev
    resp sec sen sp spp sr ser st subsp suppl tab u.k u.s v viz vol vols vs
    """.split()  # noqa: SIM905
)
# The end of a sentence: stops and closing quotes or brackets, white space, and (as a look-ahead) the beginning of
# the next sentence, which is not a lower-case letter.
_END = re.compile(r"""[.!?…]+["'”’)\]]*(\s+)(?=["'“‘(\[]*[^\W_a-zà-öø-ÿ])""")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘]*$")


def sentences(text: str) -> list[str]:
    """Split at the ends of sentences. Joining the result with spaces gives a `clean` text back."""
    out = []
    start = 0
    for match in _END.finditer(text):
        if match[0][0] == "." and match.end(1) - match.start() - len(match[1]) == 1:
            word = _LAST_WORD.search(text, max(start, match.start() - 24), match.start())
            before = word[0] if word else ""
            initial = len(before) == 1 and before.isupper()
            if initial or before.lower() in _ABBREVIATIONS:
                continue
        out.append(text[start : match.start(1)])
        start = match.end(1)
    if start < len(text):
        out.append(text[start:])
    return out


def passages(units: Sequence[str], minimum: int, maximum: int) -> list[str]:
    """Join consecutive sentences of one document to passages of `minimum` to `maximum` words.

    All words stay, in order. No passage exceeds `maximum`: a longer sentence is cut into equal parts. A passage is
    shorter than `minimum` only if the whole document is, or next to a sentence of more than `maximum - minimum`
    words. Needs maximum >= 2 * minimum.
    """
    pieces: list[str] = []
    for unit in units:
        pieces += _cut(unit, maximum)
    groups = _grouped([piece.count(" ") + 1 for piece in pieces], minimum, maximum)
    return [" ".join(pieces[index] for index in group) for group in groups]


# Cuts in writing without spaces: after a stop and its closing quotes or brackets, and at white space.
_UNSPACED_END = re.compile(r"(?<=[。！？!?…])[」』”’）)]*|\s+")


def unspaced_passages(paragraphs: Sequence[str], minimum: int, maximum: int) -> list[str]:
    """The same as `passages` for writing without spaces between words; sizes are in characters."""
    pieces: list[str] = []
    for paragraph in paragraphs:
        ends = [match.end() for match in _UNSPACED_END.finditer(paragraph) if match.end()]
        bounds = [*dict.fromkeys([0, *ends, len(paragraph)])]
        for low, high in pairwise(bounds):
            parts = -(-(high - low) // maximum)
            cuts = [low + (high - low) * part // parts for part in range(parts + 1)]
            pieces += [paragraph[start:end] for start, end in pairwise(cuts)]
    groups = _grouped([len(piece) for piece in pieces], minimum, maximum)
    joined = ("".join(pieces[index] for index in group).strip() for group in groups)
    return [passage for passage in joined if passage]


def _grouped(sizes: Sequence[int], minimum: int, maximum: int) -> list[list[int]]:
    """Consecutive pieces in groups of at most `maximum`, as indices; a short last group takes from the one before."""
    groups: list[list[int]] = []
    words = 0
    for index, size in enumerate(sizes):
        if not groups or words + size > maximum:
            groups.append([])
            words = 0
        groups[-1].append(index)
        words += size
    if len(groups) > 1 and words < minimum:
        groups[-2:] = _rebalanced(groups[-2] + groups[-1], sizes)
    return groups


def _cut(unit: str, maximum: int) -> list[str]:
    if unit.count(" ") < maximum:
        return [unit] if unit else []
    words = unit.split(" ")
    parts = -(-len(words) // maximum)
    bounds = [len(words) * part // parts for part in range(parts + 1)]
    return [" ".join(words[low:high]) for low, high in pairwise(bounds)]


def _rebalanced(indices: list[int], sizes: Sequence[int]) -> list[list[int]]:
    """Split `indices` into two groups of sizes as equal as possible."""
    total = sum(sizes[index] for index in indices)
    left = list(accumulate(sizes[index] for index in indices))
    at = min(range(1, len(indices)), key=lambda count: abs(2 * left[count - 1] - total))
    return [indices[:at], indices[at:]]
