"""The stage: queries of the training split alone, resumable, shared out, shortened."""

from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from retrieval_corpora import Oracle, write_corpus, write_task
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from tlm.config.retrieval import IndexSpec, QuerySpec, RetrievalSpec
from tlm.errors import TlmError
from tlm.retrieval import index as index_module
from tlm.retrieval import search
from tlm.retrieval import stage as stage_module
from tlm.retrieval.index import build_index
from tlm.retrieval.queries import query_texts, rake
from tlm.retrieval.stage import retrieve, retrieve_share
from tlm.retrieval.stop_words import NLTK_ENGLISH

PASSAGES = [f"w{i % 13} w{i % 7} common devword testword w{i % 31}" for i in range(700)]
QUERIES = [f"w{i % 13} w{i % 5} common" for i in range(40)] + ["nothing known"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "PASSAGES", 100)
    monkeypatch.setattr(search, "PASSAGES", 100)
    build_index(write_corpus(tmp_path / "corpus", PASSAGES), tmp_path / "index", IndexSpec(), 1)
    write_task(tmp_path / "task", QUERIES)
    return tmp_path


def run(folder, spec, name="out", **more):
    return retrieve(folder / "index", folder / "task", folder / name, spec, 1, **more)


def test_columns_and_counts_of_a_retrieval(folders):
    manifest = run(folders, RetrievalSpec(k=12))
    table = pq.read_table(folders / "out" / "topk.parquet")
    assert table.schema.types == [pa.int64(), pa.int32(), pa.int64(), pa.float32()]
    oracle = Oracle(PASSAGES, IndexSpec())
    rows = [
        (query, rank, passage)
        for query, text in enumerate(QUERIES)
        for rank, (_, passage) in enumerate(oracle.top(text, 12), 1)
    ]
    assert (
        list(zip(*(table[name].to_pylist() for name in ("query_id", "rank", "passage_id")), strict=True))
        == rows
    )
    assert manifest.counts == {
        "queries": 41,
        "rows": 480,
        "queries_with_fewer_than_k": 1,
        "queries_without_result": 1,
    }
    assert [path.name for path in sorted((folders / "out").iterdir())] == ["manifest.json", "topk.parquet"]


def test_dev_and_test_rows_are_not_queries(folders):
    run(folders, RetrievalSpec(k=5))
    assert pq.read_table(folders / "out" / "topk.parquet")["query_id"].to_numpy().max() < len(QUERIES)
    table = pq.read_table(folders / "task" / "dev.parquet")
    pq.write_table(table.set_column(0, "row_id", pa.array([3], pa.int64())), folders / "task" / "dev.parquet")
    with pytest.raises(TlmError, match=r"row_id 3 is also in dev"):
        run(folders, RetrievalSpec(k=5))


def test_pairs_are_joined(folders):
    write_task(folders / "pairs", ["w1", "w2"], ["w3 common", "w4"])
    write_task(folders / "joined", ["w1 w3 common", "w2 w4"])
    for name in ("pairs", "joined"):
        retrieve(folders / "index", folders / name, folders / f"out-{name}", RetrievalSpec(k=20), 1)
    tables = [pq.read_table(folders / f"out-{name}" / "topk.parquet") for name in ("pairs", "joined")]
    assert tables[0].equals(tables[1])


def test_unusable_settings_raise(folders):
    with pytest.raises(TlmError, match=r"k is 701.* only 700"):
        run(folders, RetrievalSpec(k=701))
    with pytest.raises(TlmError, match=r"built with k1 = 1.2, 2.0 is configured"):
        run(folders, RetrievalSpec(k=5, index=IndexSpec(k1=2.0)))
    assert not (folders / "out").exists()


def test_a_killed_run_continues_after_its_last_chunk(folders, monkeypatch):
    monkeypatch.setattr(search, "CHUNK", 10)
    spec = RetrievalSpec(k=7)
    whole = run(folders, spec, "whole")
    calls = []
    written = stage_module._write

    def dies(path, found, ids):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(path.name)
        written(path, found, ids)

    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            run(folders, spec)
    later = []
    monkeypatch.setattr(
        stage_module, "_write", lambda path, *rest: (later.append(path.name), written(path, *rest))
    )
    assert run(folders, spec).digest == whole.digest
    assert len(later) == 2
    # another job's chunks are not taken for its own
    (folders / ".other.partial").mkdir()
    (folders / ".other.partial" / f"{'0' * 16}-00000.parquet").write_bytes(b"")
    assert run(folders, spec, "other").digest == whole.digest


@pytest.mark.parametrize("count", [1, 3])
def test_shares_give_the_same_bytes(folders, monkeypatch, count):
    monkeypatch.setattr(search, "CHUNK", 16)
    monkeypatch.setattr(search, "SPARE", 64)
    spec = RetrievalSpec(
        k=3
    )  # with hundreds of equal passages: some queries hold more than there is room for
    shares = [folders / f"share{i}" for i in range(count)]
    for i, share in enumerate(shares):
        retrieve_share(folders / "index", folders / "task", share, spec, 1, (i, count))
    assert run(folders, spec, shares=shares).digest == run(folders, spec, "whole").digest
    with pytest.raises(TlmError, match=r"share of another retrieval"):
        run(folders, RetrievalSpec(k=4), "x", shares=shares)
    if count > 1:
        with pytest.raises(TlmError, match=r"3 different ones are needed"):
            run(folders, spec, "x", shares=shares[:2])


def test_shortened_queries_report_their_loss(folders):
    manifest = run(folders, RetrievalSpec(k=10, query=QuerySpec(mode="top_terms", terms=1)))
    loss = manifest.counts["overlap_with_whole_text"]
    assert loss["queries"] == 40 and loss["k"] == 10 and 0 < loss["mean"] < 1
    all_terms = run(folders, RetrievalSpec(k=10, query=QuerySpec(mode="top_terms", terms=50)), "all")
    assert all_terms.counts["overlap_with_whole_text"]["mean"] == 1.0


TEXT = (
    "Deep neural networks learn. The deep neural networks of today learn from big data, and big data is big."
)


def test_the_stop_words_are_those_of_nltk():
    file = "".join(f"{word}\n" for word in NLTK_ENGLISH).encode()
    assert len(NLTK_ENGLISH) == 179 and len(file) == 936
    assert sha256(file).hexdigest() == "019f104ba2ed07436d05f9cdd3383034ad66014edc27fc651f837e1a038b6451"
    assert "whenever" in ENGLISH_STOP_WORDS and "whenever" not in NLTK_ENGLISH
    assert rake("They read whenever books arrive.", 9, "nltk") != rake("They read whenever books arrive.", 9)


def test_queries_over_the_clause_limit_find_nothing(folders):
    texts = pa.array(["one two two", "one two", "one"], pa.large_string())
    kept, counts = query_texts(
        texts, QuerySpec(drop_over=2)
    )  # repetitions count, as a match query has clauses
    assert kept.to_pylist() == ["", "one two", "one"] and counts == {"queries_dropped": 1}
    whole = run(folders, RetrievalSpec(k=10))
    manifest = run(folders, RetrievalSpec(k=10, query=QuerySpec(drop_over=2)), "dropped")
    assert manifest.counts["queries_dropped"] == 40 and manifest.counts["queries_without_result"] == 41
    assert manifest.counts["rows"] == 0 < whole.counts["rows"]


def test_rake(folders):
    assert rake(TEXT, 2) == "deep neural networks learn deep neural networks"
    assert rake("of the and", 5) == ""
    texts = pa.array([TEXT, "of the and it", "short text"], pa.large_string())
    shortened, counts = query_texts(texts, QuerySpec(mode="rake", phrases=2, above_words=2))
    assert shortened.to_pylist() == [
        "deep neural networks learn deep neural networks",
        "of the and it",
        "short text",
    ]
    assert counts == {"queries_shortened": 1, "queries_without_phrases": 1}
    longer = QuerySpec(mode="rake", phrases=2, mean_words=9)
    assert query_texts(texts, longer) == (texts, {})  # 8.3 words on average: whole texts
    assert query_texts(texts, longer.model_copy(update={"mean_words": 8}))[1]["queries_shortened"] == 2
    manifest = run(folders, RetrievalSpec(k=10, query=QuerySpec(mode="rake", above_words=2)))
    assert manifest.counts["queries_shortened"] + manifest.counts["queries_without_phrases"] == 40
    assert np.isfinite(manifest.counts["overlap_with_whole_text"]["mean"])
