"""Selections: union, provenance, sizes and seeds."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from retrieval_corpora import write_corpus, write_task

from tlm.artifacts import read_manifest, write_manifest
from tlm.config.base import parse
from tlm.config.retrieval import (
    SELECTORS,
    Bm25Selector,
    DsirSelector,
    RandomSelector,
    SelectorSpec,
    WholeCorpusSelector,
    parse_selector,
)
from tlm.config.variants import VariantSpec
from tlm.errors import TlmError
from tlm.plan.selections import Selection
from tlm.retrieval.selection import select
from tlm.retrieval.selectors import FUNCTIONS, ChosenPassages, selects
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
    inputs = {"retrieval": write_retrieval(folder / "r", rows, 8)}
    manifest = select(Bm25Selector(k=k), corpus, folder / "s", inputs)
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
    retrieval = write_retrieval(folder / "r", rows, size)
    select(Bm25Selector(k=size), corpus, folder / "like", {"retrieval": retrieval})
    return folder / "like"


def ids(directory):
    table = pq.read_table(directory / "passages.parquet")
    return table["passage_id"].to_pylist(), table


def test_random_draws_as_many_passages_as_like_holds(tmp_path, corpus):
    like = selection(tmp_path, corpus, 50)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select(RandomSelector(like="like", seed=seed), corpus, tmp_path / name, {"like": like})
    first, table = ids(tmp_path / "a")
    assert len(first) == 50 and first == sorted(set(first))
    assert first == ids(tmp_path / "b")[0] != ids(tmp_path / "c")[0]
    row = table.to_pylist()[0]
    assert (row["rank"], row["query_id"], row["queries"], row["score"]) == (0, -1, 0, 0.0)


def test_whole_corpus_up_to_a_limit(tmp_path, corpus):
    def whole(name, limit):
        return select(WholeCorpusSelector(limit_words=limit), corpus, tmp_path / name, {}).counts

    assert whole("all", None)["passages"] == len(TEXTS)
    assert 200 <= whole("some", 200)["words"] < 200 + 6
    whole("more", 400)
    assert set(ids(tmp_path / "some")[0]) < set(ids(tmp_path / "more")[0])  # the same order, read further
    assert whole("x", 10**9)["passages"] == len(TEXTS)


def test_dsir_prefers_passages_similar_to_the_task(tmp_path):
    chemistry = [f"the protein binds the receptor number{i}" for i in range(100)]
    sports = [f"the team won the match number{i}" for i in range(100)]
    corpus = write_corpus(
        tmp_path / "corpus", [text for pair in zip(chemistry, sports, strict=True) for text in pair]
    )
    task = write_task(tmp_path / "task", ["a protein binds a receptor", "the receptor binds"])
    like = selection(tmp_path, corpus, 60)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        select(DsirSelector(like="like", seed=seed), corpus, tmp_path / name, {"like": like, "task": task})
    first, table = ids(tmp_path / "a")
    assert len(first) == 60
    assert sum(passage % 2 == 0 for passage in first) > 55
    assert first == ids(tmp_path / "b")[0] != ids(tmp_path / "c")[0]
    assert np.all(np.isfinite(np.array(table["score"])))


def test_unusable_inputs_raise(tmp_path, corpus):
    def bm25(name, rows, k):
        inputs = {"retrieval": write_retrieval(tmp_path / name, rows, 5)}
        select(Bm25Selector(k=k), corpus, tmp_path / "s", inputs)

    with pytest.raises(TlmError, match="holds the top 5 of each query, the selector needs 6"):
        bm25("r", [(0, 1, 2)], 6)
    with pytest.raises(TlmError, match="lacks 1 of the selected"):
        bm25("far", [(0, 1, 999)], 5)
    with pytest.raises(TlmError, match="no query shares a word"):
        bm25("none", [], 5)
    for selector, missing in (
        (Bm25Selector(k=1), "give --retrieval"),
        (RandomSelector(like="x"), "give --like"),
        (DsirSelector(like="x"), "give --like and --task"),
    ):
        with pytest.raises(TlmError, match=missing):
            select(selector, corpus, tmp_path / "s", {})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"selector": "task-only"}', "--spec: selector: must be one of bm25, .*, got 'task-only'"),
        ('{"k": 5}', "--spec: selector: missing key"),
        ('{"selector": "bm25", "k": 0}', "--spec: k: .*greater than 0"),
        ('{"selector": "bm25", "k": 5, "sead": 1}', "--spec: sead: unknown key"),
    ],
)
def test_invalid_selector_settings_raise(text, message):
    with pytest.raises(TlmError, match=message):
        parse_selector(text, "--spec")


def test_every_selector_that_reads_a_corpus_has_a_function():
    assert set(FUNCTIONS) == {each for each in SELECTORS.values() if each.reads_corpus}


def test_a_new_selector_needs_one_declaration_and_one_function(tmp_path, corpus):
    class FirstSelector(SelectorSpec):
        """The first passages of the corpus, as many as `like` holds."""

        selector: str = "first"
        like: str
        inputs = ("like",)

    @selects(FirstSelector)
    def select_first(spec, inputs):
        size = read_manifest(inputs.folders["like"], "selection").counts["passages"]
        candidates = np.arange(300)
        return ChosenPassages(candidates[inputs.excluded.allowed(candidates)][:size])

    try:
        variant = parse(VariantSpec, {"description": "d", "selector": "first"}, "variant")
        planned = Selection.from_name("first-k20-clean", "c", "t")
        assert planned == Selection(variant.selector, 20, "c", "t", clean=True)
        assert planned.name == "first-k20-clean"
        assert planned.made_from(50) == {"like": "data/selections/c/t/bm25-k20-clean"}
        spec = parse_selector(planned.spec(seed=1).model_dump_json(), "--spec")
        like = selection(tmp_path, corpus, 20)
        audit = write_audit(tmp_path / "audit", corpus, [0, 5])
        manifest = select(spec, corpus, tmp_path / "first", {"like": like}, without=[audit])
        assert ids(tmp_path / "first")[0] == [i for i in range(22) if i not in (0, 5)]
        assert manifest.parameters == {"selector": "first", "exclude": "contaminated"}
        assert manifest.inputs["like"] == read_manifest(like).digest
    finally:
        del SELECTORS["first"], FUNCTIONS[FirstSelector]


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
def test_passages_found_by_an_audit_are_excluded_without_replacement(tmp_path_factory, corpus, found, k):
    rows = [(q, rank, (q * 37 + rank * 11) % 300) for q in range(20) for rank in range(1, 9)]
    assume(not {passage for _, rank, passage in rows if rank <= k} <= found)
    folder = tmp_path_factory.mktemp("clean")
    audit = write_audit(folder / "audit", corpus, sorted(found))
    retrieval = write_retrieval(folder / "r", rows, 8)

    def chosen(name, selector, inputs, without=()):
        select(selector, corpus, folder / name, inputs, without=without)
        return pq.read_table(folder / name / "passages.parquet").to_pylist()

    bm25 = {"retrieval": retrieval}
    plain = chosen("plain", Bm25Selector(k=k), bm25)
    clean = chosen("clean", Bm25Selector(k=k), bm25, [audit])
    assert clean == [row for row in plain if row["passage_id"] not in found]
    larger = chosen("larger", Bm25Selector(k=8), bm25, [audit])
    assert {row["passage_id"] for row in clean} <= {row["passage_id"] for row in larger}
    drawn = chosen("random", RandomSelector(like=""), {"like": folder / "clean"}, [audit])
    assert len(drawn) == min(len(clean), 300 - len(found))
    assert not found & {row["passage_id"] for row in drawn}
    whole = chosen("whole", WholeCorpusSelector(), {}, [audit])
    assert [row["passage_id"] for row in whole] == [i for i in range(300) if i not in found]


def test_dsir_and_a_limited_corpus_skip_excluded_passages(tmp_path, corpus):
    audit = write_audit(tmp_path / "audit", corpus, range(0, 300, 2))
    like = selection(tmp_path, corpus, 20)
    task = write_task(tmp_path / "task", ["passage number word"])
    dsir = DsirSelector(like="", buckets=1000)
    whole = WholeCorpusSelector(limit_words=200)
    for name, selector, inputs in (("dsir", dsir, {"like": like, "task": task}), ("whole", whole, {})):
        select(selector, corpus, tmp_path / name, inputs)
        select(selector, corpus, tmp_path / f"{name}-clean", inputs, without=[audit])
        before, after = ids(tmp_path / name)[0], ids(tmp_path / f"{name}-clean")[0]
        odd = {passage for passage in before if passage % 2}
        assert (
            odd and odd <= set(after) and all(passage % 2 for passage in after)
        )  # in the same order as before
    assert len(ids(tmp_path / "dsir-clean")[0]) == 20


def test_the_manifest_records_exclusion_only_if_audits_are_given(tmp_path, corpus):
    one = write_audit(tmp_path / "one", corpus, [1, 2], "one")
    two = write_audit(tmp_path / "two", corpus, [2, 3], "two")
    whole = WholeCorpusSelector()
    plain = select(whole, corpus, tmp_path / "plain", {})
    assert plain.parameters == {"selector": "whole-corpus", "limit_words": None, "seed": 0}
    assert set(plain.counts) == {"passages", "bytes", "words"} and set(plain.inputs) == {"corpus"}
    clean = select(whole, corpus, tmp_path / "clean", {}, without=[one, two])
    assert clean.parameters == {**plain.parameters, "exclude": "contaminated"}
    assert clean.inputs == {
        **plain.inputs,
        "audit/one": read_manifest(one).digest,
        "audit/two": read_manifest(two).digest,
    }
    assert clean.counts["passages"] == plain.counts["passages"] - 3


def test_unusable_audits_raise(tmp_path, corpus):
    whole = WholeCorpusSelector()
    other = write_audit(tmp_path / "other", corpus, [1], digest="f" * 64)
    with pytest.raises(TlmError, match=r"other: does not audit the current"):
        select(whole, corpus, tmp_path / "s", {}, without=[other])
    everything = write_audit(tmp_path / "all", corpus, range(300))
    with pytest.raises(TlmError, match="the selection is empty"):
        select(whole, corpus, tmp_path / "s", {}, without=[everything])
    assert not (tmp_path / "s").exists()
