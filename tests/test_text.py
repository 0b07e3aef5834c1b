"""Splitting loses no text, and passages keep to their sizes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.text import clean, paragraphs, passages, sentences, unspaced_passages

TEXTS = st.text(
    st.one_of(
        st.sampled_from(list("abcXYZ.?! \n\t\"')(,;éß0123456789")),
        st.characters(),
    ),
    max_size=400,
)


@given(TEXTS)
def test_clean_is_idempotent_normal_and_writable(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned == unicodedata.normalize("NFC", cleaned)
    assert cleaned == " ".join(cleaned.split())
    cleaned.encode("utf-8")
    assert not any(unicodedata.category(each) == "Cc" for each in cleaned)


def test_clean_by_example():
    assert clean("\ufeffcafe\u0301\x00 \t\r\n soft\u00adware\x85\u2028end \ud800") == "café software end"


@given(TEXTS)
def test_sentences_lose_nothing(text):
    cleaned = clean(text)
    assert " ".join(sentences(cleaned)) == cleaned
    assert all(sentences(cleaned))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One came. Two went! Who? He did.", ["One came.", "Two went!", "Who?", "He did."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Dr. Smith met J. Doe et al. In May.", ["Dr. Smith met J. Doe et al. In May."]),
        ("See Fig. 3 (i.e. The left one). Next.", ["See Fig. 3 (i.e. The left one).", "Next."]),
        ("Values of 0.5 rose (P < 0.05). 12 died.", ["Values of 0.5 rose (P < 0.05).", "12 died."]),
        ("It ended... and began. Élan won.", ["It ended... and began.", "Élan won."]),
        ("no stop at all", ["no stop at all"]),
        ("", []),
    ],
)
def test_sentences_by_example(text, expected):
    assert sentences(text) == expected


UNITS = st.lists(st.integers(1, 300), max_size=30).map(
    lambda sizes: [" ".join(f"w{number}-{word}" for word in range(size)) for number, size in enumerate(sizes)]
)


@given(UNITS, st.integers(1, 40), st.integers(0, 60))
def test_passages_lose_and_move_no_word_and_never_exceed_the_maximum(units, minimum, extra):
    maximum = 2 * minimum + extra
    made = passages(units, minimum, maximum)
    assert " ".join(made).split() == " ".join(units).split()
    assert all(0 < len(each.split()) <= maximum for each in made)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=200))
def test_passages_of_ordinary_sentences_reach_the_minimum(sizes):
    made = passages([" ".join(["w"] * size) for size in sizes], 40, 120)
    assert len(made) == 1 or min(len(each.split()) for each in made) >= 40


@given(st.lists(st.integers(1, 25), min_size=1, max_size=60))
def test_passages_end_where_sentences_end(sizes):
    units = [" ".join([*(["w"] * (size - 1)), f"end{number}."]) for number, size in enumerate(sizes)]
    assert all(each.endswith(".") for each in passages(units, 40, 120))


@given(st.text("ab.\t\r\n "))
def test_paragraphs_lose_no_word(text):
    assert " ".join(paragraphs(text)) == clean(text)


def test_paragraphs_by_example():
    assert paragraphs("a\nb\n \n\nc\r\n\r\n d ") == ["a b", "c", "d"]


@given(st.lists(st.text("猫坐在。！？」 ，a", min_size=1, max_size=80), max_size=6), st.integers(2, 20))
def test_unspaced_passages_keep_every_character_and_their_sizes(paragraphs, minimum):
    cut = unspaced_passages([clean(each) for each in paragraphs], minimum, 2 * minimum)
    assert "".join(cut).replace(" ", "") == "".join(paragraphs).replace(" ", "")
    assert all(0 < len(passage) <= 2 * minimum for passage in cut)


def test_unspaced_passages_end_where_sentences_do():
    text = "他说：「你好！」然后走了。今天天气很好。我们去公园。"
    assert unspaced_passages([text], 5, 14) == ["他说：「你好！」然后走了。", "今天天气很好。我们去公园。"]
