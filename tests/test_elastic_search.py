"""Searching: the same results as the embedded engine, in the same order; nothing dropped, cuts counted."""

import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from retrieval_corpora import Oracle, texts_of, write_corpus, write_task

from tlm.config.retrieval import IndexSpec, QuerySpec, RetrievalSpec
from tlm.errors import TlmError
from tlm.retrieval.elastic import search as search_module
from tlm.retrieval.elastic.index import build_elastic_index
from tlm.retrieval.elastic.search import ElasticIndex
from tlm.retrieval.index import build_index
from tlm.retrieval.queries import QueryFailed
from tlm.retrieval.search import EmbeddedIndex
from tlm.retrieval.stage import open_engine, retrieve

LUCENE = IndexSpec(norms="lucene")


def skewed_texts(count, seed=1):
    """Texts of 1 to 120 words, some rare and some in most texts, a tenth of them equal to another."""
    draw = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(400)]
    texts = [
        " ".join(f"w{n}" for n in draw.choices(range(400), weights, k=draw.randint(1, 120)))
        for _ in range(count)
    ]
    return [draw.choice(texts) if draw.random() < 0.1 else text for text in texts]


TEXTS = skewed_texts(1500)
QUERIES = [*skewed_texts(60, 2), "w1", "w1 w1 w1 w399", "none of these", "", "W3, w3; w7!"]


@pytest.fixture
def built(tmp_path, elastic):
    """Build both engines' indexes of TEXTS; gives the two, opened."""

    def build(spec=LUCENE, texts=TEXTS, **more):
        corpus = tmp_path / f"corpus{len(list(tmp_path.iterdir()))}"
        write_corpus(corpus, texts)
        server = elastic.model_copy(update={"queries_per_request": 7, **more})
        build_elastic_index(corpus, tmp_path / f"{corpus.name}-server", spec, server)
        build_index(corpus, tmp_path / f"{corpus.name}-embedded", spec, 1)
        return (
            ElasticIndex(tmp_path / f"{corpus.name}-server", server),
            EmbeddedIndex(tmp_path / f"{corpus.name}-embedded"),
        )

    return build


def lists(found):
    return [
        found.passages[begin:end].tolist()
        for begin, end in zip(found.starts[:-1], found.starts[1:], strict=True)
    ]


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        (LUCENE, {}),
        (IndexSpec(norms="lucene", k1=0.9, b=0.4), {"merge": False}),
        (IndexSpec(norms="lucene", k1=2.0, b=0.0), {"shards": 3}),
    ],
    ids=["defaults", "other parameters, not merged", "three shards"],
)
def test_both_engines_agree(built, spec, more):
    server, embedded = built(spec, **more)
    oracle = Oracle(TEXTS, spec)
    for k in (1, 10, 300):
        there, here = server.top_k(QUERIES, k, 1), embedded.top_k(QUERIES, k, 1)
        assert there.starts.tolist() == here.starts.tolist()
        np.testing.assert_allclose(there.scores, here.scores, rtol=2e-5)
        shared = [len(set(a) & set(b)) for a, b in zip(lists(there), lists(here), strict=True)]
        assert sum(shared) >= 0.99 * len(there.passages)
        for query, found in zip(QUERIES[:5], lists(there), strict=False):
            wanted = [score for score, _ in oracle.top(query, k)]
            held = dict(map(reversed, oracle.top(query, len(TEXTS))))
            np.testing.assert_allclose([held[passage] for passage in found], wanted, rtol=2e-5)


def test_term_clauses_match_the_servers_own_match_query(built):
    server, _ = built()
    found = server.top_k(QUERIES, 30, 1)
    for number, text in enumerate(QUERIES):
        hits = server.client.search(
            index=server.name,
            size=30,
            query={"match": {"text": text}},
            sort=["_score", {"passage": "asc"}],
        )["hits"]["hits"]
        span = slice(found.starts[number], found.starts[number + 1])
        assert [hit["sort"][1] for hit in hits] == found.passages[span].tolist()
        scores = [hit["sort"][0] / 2.2 for hit in hits]
        np.testing.assert_allclose(found.scores[span], scores, rtol=1e-6)


def test_ties_go_to_the_lower_passage(built):
    texts = ["same words here", "others", "same words here", "same words here"] * 50
    server, _ = built(texts=texts, bulk_bytes=300, shards=2, merge=False)
    found = server.top_k(["words", "others"], 120, 1)
    wanted = [i for i, text in enumerate(texts) if text == "same words here"]
    assert lists(found) == [wanted[:120], [i for i, text in enumerate(texts) if text == "others"]]


def test_a_smaller_k_is_a_prefix(built):
    server, _ = built()
    long, short = server.top_k(QUERIES, 200, 1), server.top_k(QUERIES, 20, 1)
    assert lists(short) == [each[:20] for each in lists(long)]


def test_stop_words_are_the_same(built):
    texts = ["the cat and the dog", "a dog", "whereafter the cow", "the", "dog dog cow"] * 3
    server, embedded = built(IndexSpec(norms="lucene", stop_words="english"), texts)
    queries = ["the cow", "whereafter", "a dog and a cat"]
    there, here = server.top_k(queries, 9, 1), embedded.top_k(queries, 9, 1)
    assert lists(there) == lists(here) and len(there.passages) > 0
    np.testing.assert_allclose(there.scores, here.scores, rtol=1e-6)


@pytest.mark.parametrize("terms", [1, 4])
def test_only_the_heaviest_terms_count(built, terms):
    server, embedded = built()
    there, here = (engine.top_k(QUERIES, 50, 1, terms=terms) for engine in (server, embedded))
    assert sum(a == b for a, b in zip(lists(there), lists(here), strict=True)) >= 0.95 * len(QUERIES)
    assert server.counts(QUERIES, terms) == {"queries_cut_to_clause_limit": 0}


def test_queries_above_the_clause_limit_keep_their_heaviest_terms_and_are_counted(built):
    server, embedded = built()
    limit = server._find_clause_limit(1_000_000)
    assert 1024 <= limit < 1_000_000
    assert server._find_clause_limit(2) == 2
    fill = " ".join(f"unknown{i}" for i in range(limit - 2))
    fits, long = f"w399 w1 {fill}", f"w1 {'w399 ' * 6}{fill} unknown unheard"
    assert server.counts([fits, "w1"], None) == {"queries_cut_to_clause_limit": 0}
    assert server.counts([fits, long, "w1"], None) == {
        "queries_cut_to_clause_limit": 1,
        "clause_limit": limit,
    }
    assert server.counts([long], 20) == {"queries_cut_to_clause_limit": 0}
    there = server.top_k([fits, long], 40, 1)
    wanted = embedded.top_k(["w399 w1", "w399 " * 6], 40, 1)  # w1, the most frequent word, is cut
    assert lists(there) == lists(wanted)


def test_k_above_the_default_result_window(built):
    texts = [f"common w{i % 9} w{i % 100}" for i in range(12_500)]
    server, embedded = built(texts=texts)
    there, here = server.top_k(["common w3 w55"], 12_000, 1), embedded.top_k(["common w3 w55"], 12_000, 1)
    assert there.passages.tolist() == here.passages.tolist() and len(there.passages) == 12_000


def answered(monkeypatch, engine, change):
    """Let `change` alter what comes back: it is given the number of the request and its answers."""
    ask = engine._msearch
    requests = []

    def altered(body, kept):
        requests.append(len(body) // 2)
        answers = ask(body, kept)
        change(len(requests), answers)
        return answers

    monkeypatch.setattr(engine, "_msearch", altered)
    return requests


def test_failed_searches_are_retried_and_none_is_lost(built, monkeypatch):
    server, _ = built(requests_in_flight=1)
    wanted = lists(server.top_k(QUERIES, 20, 1))
    busy = {"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429}

    def change(number, answers):
        if number == 1:
            answers[3] = busy
            answers[5] = {**answers[5], "timed_out": True, "hits": {"hits": []}}
            answers[6] = {**answers[6], "_shards": {"failed": 1}, "hits": {"hits": []}}
        if number == 2:
            del answers[1:]

    requests = answered(monkeypatch, server, change)
    assert lists(server.top_k(QUERIES, 20, 1)) == wanted
    assert requests[:4] == [7, 3, 2, 7]


@pytest.mark.parametrize(
    ("error", "tries", "reason"),
    [
        ({"error": {"type": "illegal", "reason": "no"}, "status": 400}, 1, "400 illegal: no"),
        ({"error": {"type": "busy", "reason": "always"}, "status": 429}, 3, "gave up after 3 tries"),
    ],
)
def test_a_query_that_fails_for_good_is_named(built, monkeypatch, tmp_path, error, tries, reason):
    server, _ = built(requests_in_flight=1, retries=2)

    def change(number, answers):
        if len(answers) != 7 or number == 2:  # the second group of seven, and what is left of it
            answers[2 if number == 2 else 0] = error

    requests = answered(monkeypatch, server, change)
    with pytest.raises(QueryFailed, match=reason) as caught:
        server.top_k(QUERIES, 20, 1)
    assert caught.value.query == 9 and len(requests) >= tries
    requests.clear()
    write_task(tmp_path / "task", QUERIES)
    monkeypatch.setattr("tlm.retrieval.stage.open_engine", lambda *_: server)
    folder, spec = next(tmp_path.glob("*-server")), RetrievalSpec(k=5, index=LUCENE)
    with pytest.raises(TlmError, match=rf"the query of row_id 9: .*{reason}"):
        retrieve(folder, tmp_path / "task", tmp_path / "out", spec, 1)
    assert not (tmp_path / "out").exists()


def test_a_missing_or_different_index_on_the_server_raises(built, tmp_path, elasticsearch_server):
    server, _ = built()
    folder = next(tmp_path.glob("*-server"))

    def refused():
        with pytest.raises(TlmError) as caught:
            open_engine(folder, server.server)
        return str(caught.value)

    def mark(**more):
        body = json.dumps({"_meta": {"tlm": {**meta, **more}}})
        elasticsearch_server.request("PUT", f"/{server.name}/_mapping", body)

    read = elasticsearch_server.request("GET", f"/{server.name}/_mapping")
    meta = json.loads(read)[server.name]["mappings"]["_meta"]["tlm"]
    mark(corpus="0" * 64)
    assert f"index {server.name} on the server is of another corpus" in refused()
    mark(complete=False)
    assert f"index {server.name} on the server is unfinished, 1,500 of 1,500" in refused()
    elasticsearch_server.request("DELETE", f"/{server.name}")
    assert f"the server has no index {server.name}; build it again" in refused()


def test_the_stage_writes_the_same_artifact(built, tmp_path, monkeypatch):
    server, _ = built()
    monkeypatch.setattr(search_module, "CHUNK", 25)
    write_task(tmp_path / "task", QUERIES)

    def run(kind, name):
        spec = RetrievalSpec(k=30, index=LUCENE)
        folder = next(tmp_path.glob(f"*-{kind}"))
        made = retrieve(folder, tmp_path / "task", tmp_path / name, spec, 1, server=server.server)
        return made, pq.read_table(tmp_path / name / "topk.parquet")

    (there, rows), (here, others) = run("server", "there"), run("embedded", "here")
    assert rows.schema == others.schema and rows["query_id"].equals(others["query_id"])
    assert np.mean(rows["passage_id"].to_numpy() == others["passage_id"].to_numpy()) > 0.99
    assert there.counts == {**here.counts, "queries_cut_to_clause_limit": 0}
    assert there.parameters == here.parameters
    assert run("server", "again")[0].digest == there.digest


def test_shortened_queries_report_their_loss(built, tmp_path):
    server, _ = built()
    write_task(tmp_path / "task", QUERIES)
    spec = RetrievalSpec(k=10, index=LUCENE, query=QuerySpec(mode="top_terms", terms=2))
    folder = next(tmp_path.glob("*-server"))
    made = retrieve(folder, tmp_path / "task", tmp_path / "out", spec, 1, server=server.server)
    assert 0 < made.counts["overlap_with_whole_text"]["mean"] < 1


def test_both_engines_agree_on_real_text(built, shared):
    """Real queries over real passages: at least 99 in 100 of the top 50 are common to both engines.

    They differ where two passages are as good as equal: Elasticsearch orders by sums in single precision, and its
    version of Unicode splits a few strings otherwise (a lone cedilla ends a word), which moves idf and lengths.
    """
    server, embedded = built(texts=texts_of(shared / "corpus/part-0003.jsonl.zst", 20_000))
    queries = texts_of(shared / "tasks/chemprot/train.jsonl.zst", 150)
    queries += texts_of(shared / "tasks/imdb/train.jsonl.zst", 15)
    there, here = server.top_k(queries, 50, 1), embedded.top_k(queries, 50, 1)
    common = sum(len(set(a) & set(b)) for a, b in zip(lists(there), lists(here), strict=True))
    assert common >= 0.99 * len(here.passages) and len(here.passages) == 50 * len(queries)
    np.testing.assert_allclose(there.scores, here.scores, rtol=1e-4)
