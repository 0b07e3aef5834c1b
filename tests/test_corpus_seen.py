"""Duplicates are found as a set finds them, in a tenth of its memory."""

from hypothesis import given
from hypothesis import strategies as st

from tlm.corpus.seen import Seen


@given(st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=40))
def test_duplicates_match_those_of_a_set(batches):
    seen, known = Seen(), set()
    for batch in batches:
        texts = [str(number).encode() for number in batch]
        expected = []
        for text in texts:
            expected.append(text not in known)
            known.add(text)
        assert seen.first(texts) == expected


def test_memory_is_eight_bytes_per_text():
    seen = Seen()
    for start in range(0, 20_000, 1000):
        assert all(seen.first([b"%d" % number for number in range(start, start + 1000)]))
    assert not any(seen.first([b"%d" % number for number in range(20_000)]))
    assert sum(each.nbytes for each in seen._sorted) == 8 * 20_000 and len(seen._sorted) < 8
