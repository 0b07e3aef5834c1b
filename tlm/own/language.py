"""A guess of the script and the language of texts, for the printed summary and for the tokenizer.

Place in the flow: below `tlm.own.findings`. Most letters decide the script; the most frequent common words
decide the language. No model is used: a wrong guess changes one word of a report, and `--language` overrides it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
"""Characters of writing that puts no spaces between words."""

_LETTER = regex.compile(r"\p{L}")
_SCRIPTS = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Bengali": r"\p{Bengali}",
    "Tamil": r"\p{Tamil}",
    "Hangul": r"\p{Hangul}",
    "kana": r"[\p{Hiragana}\p{Katakana}]",
    "Han": r"\p{Han}",
    "Thai": r"\p{Thai}",
    "Lao": r"\p{Lao}",
    "Khmer": r"\p{Khmer}",
    "Myanmar": r"\p{Myanmar}",
}
_PATTERNS = {name: regex.compile(pattern) for name, pattern in _SCRIPTS.items()}
_ONE_LANGUAGE = {  # the language of most texts in a script
    "Greek": "el",
    "Hebrew": "he",
    "Devanagari": "hi",
    "Bengali": "bn",
    "Tamil": "ta",
    "Hangul": "ko",
    "kana": "ja",
    "Han": "zh",
    "Thai": "th",
    "Lao": "lo",
    "Khmer": "km",
    "Myanmar": "my",
}
# Frequent words that are rare in the other languages of the script.
_COMMON = {
    "Latin": {
        "en": "the of and to in is that for it was with on this are be as at by",
        "de": "der die und das ist nicht mit ein eine den zu von auf für sich dem auch es",
        "fr": "le la les et des est une dans pour que qui du pas sur au avec ce plus",
        "es": "el los las y que es una por con para del no se lo como más su está",
        "it": "il che di è non una per gli della sono con del anche alla nel più ma si",
        "pt": "o os não uma que com para do da em por mais foi ao são dos é às",
        "nl": "de het een en van is niet dat op te voor met zijn aan ook maar er ze",
        "sv": "och det att är som en på för med inte av jag den till om ett har",
        "da": "og det at er på til af en ikke der med som jeg har var den et",
        "nb": "og det er på ikke til av som jeg har med for en at vi et",
        "fi": "ja on ei että se oli hän mutta ovat kun niin myös mitä tämä",
        "pl": "i w nie na się z jest że do to jak ale o po przez są",
        "cs": "a se je na že v to s jsem by ale jako do za byl jsou",
        "hu": "a az és hogy nem egy van is ez de csak meg volt mint",
        "ro": "și în de la cu nu este o pe un că din care sunt mai",
        "tr": "bir ve bu çok için da de ile ne gibi ama olarak daha var",
        "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga",
        "vi": "và là của không có cho được những một các người với trong đã",
    },
    "Cyrillic": {
        "ru": "и в не на что я с это как он но по его она из у",
        "uk": "і в не на що я з це як він але у та до за його",
        "bg": "и на в да не се е за от с че това по са ще",
    },
    "Arabic": {
        "ar": "في من على أن إلى هذا ما لا كان التي عن مع هذه",
        "fa": "و در به از که این را با است برای آن یک می خود",
        "ur": "کے میں کی ہے اور سے کا کو نے پر یہ ہیں کہ",
    },
}
_WORDS = {
    script: {name: frozenset(words.split()) for name, words in each.items()}
    for script, each in _COMMON.items()
}


@dataclass(frozen=True)
class Writing:
    """The writing of texts. `unspaced` and `marked` are shares of the letters."""

    script: str
    language: str | None
    """ISO 639-1; None if no language is clearly the most likely."""
    unspaced: float
    marked: float
    """Letters with an accent or a vowel sign, which BERT's lower-casing removes."""


def guess(texts: Sequence[str]) -> Writing:
    """Guess the writing of some texts; a few hundred texts give a good guess."""
    sample = "\n".join(texts)
    letters = len(_LETTER.findall(sample))
    counts = {name: len(pattern.findall(sample)) for name, pattern in _PATTERNS.items()}
    # Japanese is written in Han with kana among it.
    script = (
        "kana"
        if counts["kana"] > 0.1 * (counts["Han"] + counts["kana"]) > 0
        else max(counts, key=counts.__getitem__)
    )
    if not letters:
        return Writing("none", None, 0.0, 0.0)
    marks = sum(unicodedata.category(each) == "Mn" for each in unicodedata.normalize("NFD", sample))
    return Writing(
        script=script,
        language=_ONE_LANGUAGE.get(script) or _language(script, sample.lower().split()),
        unspaced=len(UNSPACED.findall(sample)) / letters,
        marked=marks / letters,
    )


def _language(script: str, words: Iterable[str]) -> str | None:
    """The language whose common words are at least a tenth of all, and a fifth more than the next one's."""
    found = Counter(words)
    total = found.total()
    scores = sorted(
        (
            (sum(found[word] for word in common) / max(1, total), name)
            for name, common in _WORDS.get(script, {}).items()
        ),
        reverse=True,
    )
    if not scores or scores[0][0] < 0.1 or (len(scores) > 1 and scores[0][0] < 1.2 * scores[1][0]):
        return None
    return scores[0][1]
