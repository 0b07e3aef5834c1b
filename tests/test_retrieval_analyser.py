"""The analyser against Elasticsearch's `standard`, and against its grammar written as a regular expression."""

import random

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.config.retrieval import IndexSpec
from tlm.retrieval.analyser import analyse, analyse_with
from tlm.retrieval.word_splitter import hash_terms


def tokens(texts: list[str], spec: IndexSpec | None = None) -> list[list[str]]:
    found = analyse_with(texts, spec) if spec else analyse(texts)
    terms = found.terms.strings()
    return [
        [terms[number] for number in found.stream[found.starts[i] : found.starts[i + 1]]]
        for i in range(len(texts))
    ]


# What Elasticsearch 8.19's `_analyze` answers.
GOLDEN = [
    ("don't stop U.S.A. 3.14 1,000 a:b a_b __ _a _1_ e.g", "don't stop u.s.a 3.14 1,000 a:b a_b _a _1_ e.g"),
    ("a'b a''b 'a' a.b. 1.a a.1 1:2", "a'b a b a a.b 1 a a 1 1 2"),
    ("IL-2 TNF-α β2-integrin", "il 2 tnf α β2 integrin"),
    ("日本語 ひらがな カタカナー テキスト", "日 本 語 ひ ら が な カタカナー テキスト"),
    ("한국어 텍스트", "한국어 텍스트"),
    ("ภาษาไทย ລາວ", "ภาษาไทย ລາວ"),
    ("က္ခ ខ្មែរ", "က္ခ ខ្មែរ"),
    ("שָׁלוֹם צה\"ל ג'", "שָׁלוֹם צה\"ל ג'"),
    ("İSTANBUL Straße ΣΑΣ", "istanbul straße σασ"),
    ("a\u00adb e\u0301 \u0301x", "a\u00adb e\u0301 x"),
    ("カaカ アb1 1ア _ア_ イ_イ", "カ a カ ア b1 1 ア _ア_ イ_イ"),
    ("😀 👨‍👩‍👧 🇩🇪🇫 1️⃣ #️⃣ © ❤️ ☺︎ 👍🏽", "😀 👨‍👩‍👧 🇩🇪 1️⃣ #️⃣ © ❤️ ☺ 👍🏽"),
    ("ﷺ ½ ² x² ٣٫٥", "ﷺ x ٣٫٥"),
    ("abc\u3000def \u00a0g\u2028h", "abc def g h"),
    ("𠀀𠀁 𝒜𝒷", "𠀀 𠀁 𝒜𝒷"),
]


@pytest.mark.parametrize(("text", "expected"), GOLDEN)
def test_tokens_match_elasticsearch(text, expected):
    assert tokens([text]) == [expected.split(" ")]


def test_long_words_are_cut_at_255():
    assert [len(token) for token in tokens(["x" * 600])[0]] == [255, 255, 90]
    assert tokens(["é" * 300])[0] == ["é" * 255, "é" * 45]
    # UTF-16 units: a letter beyond the first plane takes two
    assert [len(token) for token in tokens(["𝒜" * 200])[0]] == [127, 73]


_X = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*"
_WORD = regex.compile(
    rf"""
    (?: [\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}\p{{WB=Numeric}}_]{_X}
        (?: (?<=[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{_X}) [.:'’·]{_X}
              (?=[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}])
          | (?<=\p{{WB=Numeric}}{_X}) [.,;'’]{_X} (?=\p{{WB=Numeric}}) )? )+
    """,
    regex.VERBOSE,
)


def by_grammar(text: str) -> list[str]:
    found = (match[0] for match in _WORD.finditer(text))
    return [word.lower() for word in found if regex.search(r"[\p{WB=ALetter}\p{WB=Numeric}]", word)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="aBz09_.,:;'’· -(\u0301éÑжЩ\n"), max_size=5))
def test_words_follow_the_grammar(texts):
    assert tokens(texts) == [by_grammar(text) for text in texts]


def test_numbering_survives_growth_of_the_table():
    generator = random.Random(1)
    texts = [" ".join(f"w{generator.randrange(60_000)}" for _ in range(500)) for _ in range(300)]
    assert tokens(texts) == [text.split() for text in texts]
    found = analyse(texts)
    assert len(set(found.terms.strings())) == len(found.terms)


@given(st.lists(st.text(min_size=1, max_size=20), unique=True, min_size=1))
def test_hash_terms_matches_the_hashes_of_split_words(words):
    found = analyse(words)
    raw = found.terms.data
    bounds = [0, *found.terms.ends.tolist()]
    import numpy as np

    assert hash_terms(raw, np.array(bounds)).tolist() == found.terms.hashes.tolist()


def test_stop_words_and_stems():
    spec = IndexSpec(stop_words="english", stemmer="english")
    assert tokens(["The runners were running", "of the", "runner"], spec) == [
        ["runner", "run"],
        [],
        ["runner"],
    ]
    assert tokens(["the runs"], IndexSpec(stemmer="english")) == [["the", "run"]]


def test_no_texts_and_empty_texts():
    assert tokens([]) == []
    assert tokens(["", "  ", "...", "a"]) == [[], [], [], ["a"]]
