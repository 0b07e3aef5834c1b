"""Selections: union, provenance, sizes and seeds."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from retrieval_corpora import write_corpus, write_task

from tlm.artifacts import read_manifest, write_manifest
from tlm.config.retrieval import (
    Bm25Selector,
    DsirSelector,
    RandomSelector,
    TaskOnlySelector,
    WholeCorpusSelector,
)
from tlm.errors import TlmError
from tlm.retrieval.selection import select, select_bm25, select_dsir, select_random, select_whole_corpus
from tlm.retrieval.stage import SCHEMA

TEXTS = [f"passage number {i} " + "word " * (i % 4) for i in range(300)]


def write_retrieval(directory, rows, k):
    """A retrieval of (query, rank, passage) rows; the score falls with the rank."""
    directory.mkdir(parents=True)
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    scores = [float(100 - rank) for rank in columns[1]]
    arrays = [*columns, scores]
    table = pa.table(
        [pa.array(values, field.type) for values, field in zip(arrays, SCHEMA, strict=True)], SCHEMA
    )
    pq.write_table(table, directory / "topk.parquet")
    write_manifest(directory, "retrieval", counts={}, parameters={"k": k})
    return directory


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("selection") / "corpus", TEXTS, parts=3)


@given(
    st.lists(st.lists(st.integers(0, 299), max_size=8, unique=True), min_size=1, max_size=6).filter(any),
    st.integers(1, 8),
)
def test_union_keeps_the_best_rank(tmp_path_factory, corpus, lists, k):
    folder = tmp_path_factory.mktemp("union")
    rows = [(q, rank, p) for q, found in enumerate(lists) for rank, p in enumerate(found, 1)]
    manifest = select_bm25(write_retrieval(folder / "r", rows, 8), corpus, k, folder / "s")
    got = pq.read_table(folder / "s" / "passages.parquet").to_pylist()
    expected = {}
    for query, rank, passage in rows:
        if rank <= k:
            expected.setdefault(passage, []).append((rank, query))
    assert [row["passage_id"] for row in got] == sorted(expected)
    for row in got:
        rank, query = min(expected[row["passage_id"]])
        assert (row["rank"], row["query_id"], row["queries"]) == (
            rank,
            query,
            len(expected[row["passage_id"]]),
        )
        assert row["score"] == 100 - rank
        assert row["text"] == TEXTS[row["passage_id"]]
        assert row["source"] == f"source{row['passage_id'] % 2}"
    assert manifest.counts["passages"] == len(got)
    assert manifest.counts["bytes"] == sum(len(row["text"].encode()) for row in got)
    assert manifest.counts["words"] == sum(len(row["text"].split()) for row in got)


def selection(folder, corpus, size):
    rows = [(0, i + 1, i * 2) for i in range(size)]
    select_bm25(write_retrieval(folder / "r", rows, size), corpus, size, folder / "like")
    return folder / "like"


def ids(directory):
    table = pq.read_table(directory / "passages.parquet")
    return table["passage_id"].to_pylist(), table


def test_random_takes_the_size_of_another(tmp_path, corpus):
    like = selection(tmp_path, corpus, 50)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select_random(corpus, like, seed, tmp_path / name)
    first, table = ids(tmp_path / "a")
    assert len(first) == 50 and first == sorted(set(first))
    assert first == ids(tmp_path / "b")[0] != ids(tmp_path / "c")[0]
    row = table.to_pylist()[0]
    assert (row["rank"], row["query_id"], row["queries"], row["score"]) == (0, -1, 0, 0.0)


def test_whole_corpus_up_to_a_limit(tmp_path, corpus):
    assert select_whole_corpus(corpus, None, 0, tmp_path / "all").counts["passages"] == len(TEXTS)
    some = select_whole_corpus(corpus, 200, 0, tmp_path / "some").counts
    assert 200 <= some["words"] < 200 + 6
    more, _ = ids(tmp_path / "some")
    select_whole_corpus(corpus, 400, 0, tmp_path / "more")
    assert set(more) < set(ids(tmp_path / "more")[0])  # the same order, read further
    assert select_whole_corpus(corpus, 10**9, 0, tmp_path / "x").counts["passages"] == len(TEXTS)


def test_dsir_prefers_what_looks_like_the_task(tmp_path):
    chemistry = [f"the protein binds the receptor number{i}" for i in range(100)]
    sports = [f"the team won the match number{i}" for i in range(100)]
    corpus = write_corpus(
        tmp_path / "corpus", [text for pair in zip(chemistry, sports, strict=True) for text in pair]
    )
    task = write_task(tmp_path / "task", ["a protein binds a receptor", "the receptor binds"])
    like = selection(tmp_path, corpus, 60)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select_dsir(corpus, task, like, 10_000, seed, tmp_path / name)
    first, table = ids(tmp_path / "a")
    assert len(first) == 60
    assert sum(passage % 2 == 0 for passage in first) > 55
    assert first == ids(tmp_path / "b")[0] != ids(tmp_path / "c")[0]
    assert np.all(np.isfinite(np.array(table["score"])))


def test_mistakes_are_named(tmp_path, corpus):
    retrieval = write_retrieval(tmp_path / "r", [(0, 1, 2)], 5)
    with pytest.raises(TlmError, match=r"holds the top 5.* 6 are asked for"):
        select_bm25(retrieval, corpus, 6, tmp_path / "s")
    with pytest.raises(TlmError, match="lacks 1 of the selected"):
        select_bm25(write_retrieval(tmp_path / "far", [(0, 1, 999)], 5), corpus, 5, tmp_path / "s")
    with pytest.raises(TlmError, match="no query shares a word"):
        select_bm25(write_retrieval(tmp_path / "none", [], 5), corpus, 5, tmp_path / "s")
    for selector, missing in (
        (Bm25Selector(selector="bm25", k=1), "--retrieval"),
        (RandomSelector(selector="random", like="x"), "--like"),
        (DsirSelector(selector="dsir", like="x"), "--task"),
        (TaskOnlySelector(selector="task-only"), "nothing to select"),
    ):
        with pytest.raises(TlmError, match=missing):
            select(selector, corpus, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def write_audit(directory, corpus, passages, task="t", digest=None):
    """An audit of the corpus that found these passages, some of them twice."""
    directory.mkdir(parents=True)
    table = pa.table({"passage_id": pa.array([*passages, *passages[:2]], pa.int64())})
    pq.write_table(table, directory / "matches.parquet")
    inputs = {"task": "0" * 64, "corpus": digest or read_manifest(corpus).digest}
    write_manifest(directory, "audit", counts={}, parameters={"task": task}, inputs=inputs)
    return directory


@settings(max_examples=20)
@given(st.sets(st.integers(0, 299), max_size=200), st.integers(1, 8))
def test_what_an_audit_found_is_left_out_and_nothing_else_moves(tmp_path_factory, corpus, found, k):
    rows = [(q, rank, (q * 37 + rank * 11) % 300) for q in range(20) for rank in range(1, 9)]
    assume(not {passage for _, rank, passage in rows if rank <= k} <= found)
    folder = tmp_path_factory.mktemp("clean")
    audit = write_audit(folder / "audit", corpus, sorted(found))
    retrieval = write_retrieval(folder / "r", rows, 8)

    def chosen(name, selector, **inputs):
        select(selector, corpus, folder / name, **inputs)
        return pq.read_table(folder / name / "passages.parquet").to_pylist()

    bm25 = {"retrieval_dir": retrieval}
    plain = chosen("plain", Bm25Selector(selector="bm25", k=k), **bm25)
    clean = chosen("clean", Bm25Selector(selector="bm25", k=k), **bm25, without=[audit])
    assert clean == [row for row in plain if row["passage_id"] not in found]
    larger = chosen("larger", Bm25Selector(selector="bm25", k=8), **bm25, without=[audit])
    assert {row["passage_id"] for row in clean} <= {row["passage_id"] for row in larger}
    drawn = chosen(
        "random", RandomSelector(selector="random", like=""), like=folder / "clean", without=[audit]
    )
    assert len(drawn) == min(len(clean), 300 - len(found))
    assert not found & {row["passage_id"] for row in drawn}
    whole = chosen("whole", WholeCorpusSelector(selector="whole-corpus"), without=[audit])
    assert [row["passage_id"] for row in whole] == [i for i in range(300) if i not in found]


def test_dsir_and_a_limited_corpus_pass_over_what_is_left_out(tmp_path, corpus):
    audit = write_audit(tmp_path / "audit", corpus, range(0, 300, 2))
    like = selection(tmp_path, corpus, 20)
    task = write_task(tmp_path / "task", ["passage number word"])
    dsir = DsirSelector(selector="dsir", like="", buckets=1000)
    whole = WholeCorpusSelector(selector="whole-corpus", limit_words=200)
    for name, selector, inputs in (("dsir", dsir, {"like": like, "task_dir": task}), ("whole", whole, {})):
        select(selector, corpus, tmp_path / name, **inputs)
        select(selector, corpus, tmp_path / f"{name}-clean", **inputs, without=[audit])
        before, after = ids(tmp_path / name)[0], ids(tmp_path / f"{name}-clean")[0]
        odd = {passage for passage in before if passage % 2}
        assert (
            odd and odd <= set(after) and all(passage % 2 for passage in after)
        )  # in the same order as before
    assert len(ids(tmp_path / "dsir-clean")[0]) == 20


def test_the_option_is_in_the_manifest_and_without_it_nothing_is(tmp_path, corpus):
    one = write_audit(tmp_path / "one", corpus, [1, 2], "one")
    two = write_audit(tmp_path / "two", corpus, [2, 3], "two")
    whole = WholeCorpusSelector(selector="whole-corpus")
    plain = select(whole, corpus, tmp_path / "plain")
    assert plain.parameters == {"selector": "whole-corpus", "limit_words": None, "seed": 0}
    assert set(plain.counts) == {"passages", "bytes", "words"} and set(plain.inputs) == {"corpus"}
    clean = select(whole, corpus, tmp_path / "clean", without=[one, two])
    assert clean.parameters == {**plain.parameters, "exclude": "contaminated"}
    assert clean.inputs == {
        **plain.inputs,
        "audit/one": read_manifest(one).digest,
        "audit/two": read_manifest(two).digest,
    }
    assert clean.counts["passages"] == plain.counts["passages"] - 3


def test_mistakes_with_audits_are_named(tmp_path, corpus):
    whole = WholeCorpusSelector(selector="whole-corpus")
    other = write_audit(tmp_path / "other", corpus, [1], digest="f" * 64)
    with pytest.raises(TlmError, match=r"other: is no audit of .* as it is now"):
        select(whole, corpus, tmp_path / "s", without=[other])
    everything = write_audit(tmp_path / "all", corpus, range(300))
    with pytest.raises(TlmError, match="nothing is left"):
        select(whole, corpus, tmp_path / "s", without=[everything])
    assert not (tmp_path / "s").exists()
