"""The engine against brute force: same passages in the same order, ties included."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_corpora import Oracle, lucene_byte, texts_of, write_corpus

from tlm.config.retrieval import IndexSpec
from tlm.retrieval import search, weighting
from tlm.retrieval.analyser import analyse
from tlm.retrieval.index import build_index
from tlm.retrieval.search import EmbeddedIndex
from tlm.retrieval.weighting import lucene_length


def index(folder, texts, spec=None, parts=1):
    build_index(write_corpus(folder / "corpus", texts, parts), folder / "index", spec or IndexSpec(), 2)
    return EmbeddedIndex(folder / "index")


def agree(engine, texts, queries, k, threads=1):
    oracle = Oracle(texts, engine.spec)
    found = engine.top_k(queries, k, threads)
    for number, query in enumerate(queries):
        span = slice(found.starts[number], found.starts[number + 1])
        expected = oracle.top(query, k)
        assert found.passages[span].tolist() == [passage for _, passage in expected], query
        assert np.allclose(found.scores[span], [score for score, _ in expected], rtol=1e-6)
        assert np.all(np.diff(found.scores[span]) <= 0)


# Few words make ties; some of them of other scripts, and one that no passage has.
WORDS = ["a", "b", "c", "d", "привет", "한국", "naïve", "日", "3.14"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
QUERY = st.lists(st.sampled_from([*WORDS, "absent"]), max_size=8).map(" ".join)
CORPUS = st.lists(TEXT, min_size=1, max_size=40)


@settings(max_examples=2000)
@given(
    CORPUS,
    st.lists(QUERY, min_size=1, max_size=5),
    st.integers(1, 50),
    st.sampled_from(["exact", "lucene"]),
    st.sampled_from([0, 2, 128]),
    st.tuples(st.floats(0, 3), st.floats(0, 1)),
)
def test_small_corpora(tmp_path_factory, texts, queries, k, norms, dense, parameters):
    spec = IndexSpec(norms=norms, k1=parameters[0], b=parameters[1])
    engine = index(tmp_path_factory.mktemp("search"), texts, spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighting, "DENSE_TERMS", dense)
        agree(engine, texts, queries, k)


def zipf_texts(generator, count, words, length):
    population = [f"w{i}" for i in range(words)]
    weights = [1 / (i + 1) for i in range(words)]
    return [
        " ".join(generator.choices(population, weights, k=generator.randrange(1, length)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("norms", ["exact", "lucene"])
@pytest.mark.parametrize("k", [1, 10, 700])
def test_natural_frequencies(tmp_path, norms, k):
    generator = random.Random(k)
    texts = zipf_texts(generator, 5000, 3000, 60)  # several slices of a block
    texts += ["w1 " * 300 + "w9", "w2 " * 1000, "w3 " * 255, "w3 " * 256]  # counts beyond a byte, and long
    engine = index(tmp_path, texts, IndexSpec(norms=norms))
    agree(engine, texts, zipf_texts(generator, 10, 3000, 60), k)


def test_several_blocks_and_parts(tmp_path):
    generator = random.Random(5)
    texts = zipf_texts(generator, 140_000, 400, 6)  # short texts of few words: many ties across blocks
    engine = index(tmp_path, texts, parts=3)
    assert len(engine.blocks) == 3
    queries = zipf_texts(generator, 12, 400, 8)
    agree(engine, texts, queries, 300, threads=2)
    whole, fewer = engine.top_k(queries, 300, 2), engine.top_k(queries, 20, 1)
    for q in range(len(queries)):
        first = slice(whole.starts[q], whole.starts[q] + fewer.starts[q + 1] - fewer.starts[q])
        span = slice(fewer.starts[q], fewer.starts[q + 1])
        assert np.array_equal(whole.passages[first], fewer.passages[span])
        assert np.array_equal(whole.scores[first], fewer.scores[span])


def test_more_ties_than_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "SPARE", 64)
    texts = ["same words here"] * 3000 + ["same words", "here"]
    engine = index(tmp_path, texts)
    with ThreadPoolExecutor(1) as pool:
        held = engine.candidates(engine._weigh(["same words here", "here"], None), 5, 1, pool)
    assert held.sizes[0] == -1  # the case that this test is for
    agree(engine, texts, ["same words here", "here", "words", "x"], 5)


@pytest.mark.parametrize(
    ("texts", "queries"),
    [
        (["a"], ["a", "b", ""]),
        (["", "", ""], ["a", ""]),
        (["", "a", ""], ["a a a"]),
        (["a b", "b a", "a b"], ["a b", "b a"]),
    ],
)
def test_tiny_and_empty_texts(tmp_path, texts, queries):
    agree(index(tmp_path, texts), texts, queries, 10)


def test_only_the_heaviest_terms_count(tmp_path):
    texts = ["a b", "a c", "a", "a d d"]
    engine = index(tmp_path, texts)
    # idf of b, c, d is alike: twice d weighs most, then the first in the text
    found = engine.top_k(["a b c d d"], 10, 1, terms=2)
    expected = Oracle(texts, IndexSpec()).top("b d d", 10)
    assert found.passages.tolist() == [passage for _, passage in expected]


def test_lengths_match_lucenes_one_byte_encoding():
    lengths = np.arange(0, 100_000)
    assert lucene_length(lengths).tolist() == [lucene_byte(int(length)) for length in lengths]


def test_agreement_with_bm25s(tmp_path, shared):
    import bm25s

    texts = texts_of(shared / "corpus" / "part-0003.jsonl.zst", 20_000)
    queries = texts_of(shared / "tasks" / "chemprot" / "train.jsonl.zst", 60)

    def words(some):
        found = analyse(some)
        terms = found.terms.strings()
        return [
            [terms[n] for n in found.stream[a:b]]
            for a, b in zip(found.starts, found.starts[1:], strict=False)
        ]

    rival = bm25s.BM25(k1=1.2, b=0.75, method="lucene", dtype="float64")
    rival.index(words(texts), show_progress=False)
    passages, scores = rival.retrieve(words(queries), k=50, show_progress=False)
    found = index(tmp_path, texts).top_k(queries, 50, 1)
    ours, same = found.scores.reshape(-1, 50), 0
    assert np.allclose(ours, scores, rtol=1e-5)
    for q in range(len(queries)):
        same += len(np.intersect1d(found.passages[50 * q : 50 * q + 50], passages[q]))
    assert same / (50 * len(queries)) > 0.999  # ties at the end may fall either way
