"""What texts share, against a naive oracle: sets of 13-word runs and lists of words."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.audit import kernels
from tlm.audit.normalise import split
from tlm.audit.overlap import LEAST, RUN, Audited

WORDS = ["a", "b", "c", "d", "e", "f"]
# Few distinct words, long texts: runs, repetitions and near misses everywhere.
TEXT = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


def words(text):
    """The audit's words of Latin text, by a regular expression."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())


def runs(text, size=RUN):
    listed = words(text)
    return {tuple(listed[i : i + size]) for i in range(len(listed) - size + 1)}


def stands_in(text, other):
    """Whether `text` stands whole in `other`."""
    mine, theirs = words(text), words(other)
    if len(mine) < LEAST:
        return bool(mine) and mine == theirs
    return any(theirs[i : i + len(mine)] == mine for i in range(len(theirs) - len(mine) + 1))


def longest(text, other):
    sizes = range(1, len(words(text)) + 1)
    return max((size for size in sizes if runs(text, size) & runs(other, size)), default=0)


def expected(texts, others):
    """(other, text) → (longest shared run, stands whole in it, is equal), of the pairs that count."""
    found = {}
    for i, other in enumerate(others):
        for j, text in enumerate(texts):
            whole = stands_in(text, other)
            if whole or runs(text) & runs(other):
                found[i, j] = (longest(text, other), whole, words(text) == words(other))
    return found


def found(audited, others):
    pairs = {}
    for part in audited.find(pa.array(others, pa.string())):
        for row in zip(part.other, part.text, part.words, part.whole, part.equal, strict=True):
            other, text, size, whole, equal = (each.item() for each in row)
            assert (other, text) not in pairs
            pairs[other, text] = (size, whole, equal)
    return pairs


def check(texts, others):
    audited = Audited(pa.array(texts, pa.string()))
    assert found(audited, others) == expected(texts, others)
    assert audited.coverage().tolist() == [covered(text, others) for text in texts]
    assert found(audited, others) == expected(texts, others)  # and again: nothing is left behind


def covered(text, others):
    """How many words of `text` lie in a run of RUN words, or in all of it, that some other text holds."""
    listed = words(text)
    marked = [False] * len(listed)
    for other in others:
        theirs = runs(other)
        for i in range(len(listed) - RUN + 1):
            if tuple(listed[i : i + RUN]) in theirs:
                marked[i : i + RUN] = [True] * RUN
        if stands_in(text, other):
            marked = [True] * len(listed)
    return sum(marked)


@given(st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=5))
def test_pairs_and_coverage_match_a_naive_search(texts, others):
    check(texts, others)


@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 30), st.integers(0, 60))
def test_an_excerpt_of_a_text_is_found(texts, which, begin, size):
    listed = " ".join(texts).split()
    cut = " ".join(listed[begin : begin + size])
    check([cut, texts[which % len(texts)]], [" ".join(listed), "x " + cut, cut + " y", cut])


def test_runs_do_not_cross_the_borders_of_texts():
    text = " ".join(f"w{i}" for i in range(20))
    halves = [" ".join(text.split()[:10]), " ".join(text.split()[10:])]
    assert found(Audited(pa.array([text])), halves) == {}
    # The halves stand whole in the text; as audited texts they are no run of RUN words.
    assert found(Audited(pa.array(halves)), [text]) == {(0, 0): (10, True, False), (0, 1): (10, True, False)}
    # Two audited texts side by side are not one.
    assert found(Audited(pa.array([text, text])), [text + " " + text]) == {
        (0, 0): (20, True, False),
        (0, 1): (20, True, False),
    }


def test_tiny_texts_count_only_when_they_are_the_whole_other_text():
    tiny = ["good film", "good", "", "!!!", "one two three four", "one two three four five"]
    others = [
        "Good film!",
        "a good film",
        "good",
        "...",
        "",
        "one two three four",
        "zero one two three four five",
    ]
    assert found(Audited(pa.array(tiny)), others) == {
        (0, 0): (2, True, True),
        (2, 1): (1, True, True),
        (5, 4): (4, True, True),
        (6, 5): (5, True, False),
    }


def test_all_equal_texts_are_found():
    text = "one and the same text of more than thirteen words, which stands here more than once"
    audited = Audited(pa.array([text, "another", text, text]))
    assert set(found(audited, ["", text, text])) == {(i, j) for i in (1, 2) for j in (0, 2, 3)}


def test_only_letters_and_digits_make_words():
    pairs = [
        ("It's a well-known fact that “curves” fit.", 'it \'s a well - known fact that " curves " fit'),
        ("The << aspirin >> inhibits [[ COX-1 ]] in vitro", "The aspirin inhibits COX 1 in vitro"),
        ("We de\ufb01ne the e\ufb03cient parser here", "We define the efficient parser here"),
        ("Ｆｕｌｌ ｗｉｄｔｈ letters in a row", "full width letters in a row"),
        ("snake_case names of five words", "snake case names of five words"),
        ("ÉCOLE Ünïcode ΣΊΣΥΦΟΣ ЖУК naïve café", "école ünïcode σίσυφοσ жук naïve café"),
    ]
    for one, other in pairs:
        assert found(Audited(pa.array([one])), ["before it " + other]), one
        assert found(Audited(pa.array([other])), [one]), other
    assert not found(Audited(pa.array(["a fact of the five words"])), ["a fact of the 5 words"])


def test_scripts_without_spaces_are_read_character_by_character():
    chinese = "我们提出一种新的方法来训练语言模型"
    assert len(split(pa.array([chinese])).stream) == len(chinese)
    assert found(Audited(pa.array([chinese[2:17]])), ["前言" + chinese + "。"])
    thai = "ภาษาไทยไม่มีช่องว่างระหว่างคำ"
    assert found(Audited(pa.array([thai])), ["x " + thai])
    assert found(Audited(pa.array([thai[4:]])), [thai])


def test_hash_collisions_are_no_matches():
    """Two different runs under one hash, in one chain of the table: each finds itself, a third finds nothing."""
    known = np.arange(2 * RUN, dtype=np.int32)
    hashed = np.uint64(12345)
    mixed = int(kernels.mix(hashed))
    table = np.zeros(16, np.uint64)
    for number, place in enumerate((0, RUN)):
        table[(mixed + number) % 16] = (mixed & ~0xFFFFFFFF) | (place + 1)
    assert kernels._find(table, hashed, known, known, 0, RUN)[0] == 0
    assert kernels._find(table, hashed, known, known, RUN, RUN)[0] == RUN
    third = known[:RUN].copy()
    third[-1] = 99
    assert kernels._find(table, hashed, known, third, 0, RUN)[0] == kernels.ABSENT


def test_more_pairs_than_fit_one_batch(monkeypatch):
    monkeypatch.setattr("tlm.audit.overlap._ROOM", 5)
    texts = ["the same five words here"] * 7 + ["other words that are not here"]
    others = texts * 4
    audited = Audited(pa.array(texts))
    assert len(list(audited.find(pa.array(others)))) > 4
    assert found(audited, others) == expected(texts, others)


def test_too_many_words_raise(monkeypatch):
    from tlm.errors import TlmError

    class Long:
        stream = range(1 << 31)

    monkeypatch.setattr("tlm.audit.overlap.split", lambda texts: Long)
    with pytest.raises(TlmError, match="limit the task"):
        Audited(pa.array(["x"]))
