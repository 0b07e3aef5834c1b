"""Loading: completed, never doubled; named by what it holds; nothing of another corpus taken for it."""

import json
import shutil
import threading
import time

import pytest
from elasticsearch import ConnectionError
from retrieval_corpora import write_corpus

from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.retrieval.elastic import index as index_module
from tlm.retrieval.elastic import load
from tlm.retrieval.elastic.index import build_elastic_index

LUCENE = IndexSpec(norms="lucene")
TEXTS = [f"w{i % 13} w{i % 7} common w{i % 31} Ünïcode 東京" for i in range(1000)]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    for module in (load, index_module):
        monkeypatch.setattr(module, "RANGE", 64)
    return write_corpus(tmp_path / "corpus", TEXTS, parts=3)


@pytest.fixture
def ask(elasticsearch_server):
    return lambda method, path, body=None: json.loads(elasticsearch_server.request(method, path, body))


def small(elastic, **more):
    return elastic.model_copy(update={"bulk_bytes": 4000, **more})


def counted(ask, name):
    """Passages of an index, and deleted documents, which would count in the statistics."""
    ask("POST", f"/{name}/_refresh")
    docs = ask("GET", f"/{name}/_stats/docs")["_all"]["primaries"]["docs"]
    return docs["count"], docs["deleted"]


def test_settings_and_contents_of_the_index(corpus, tmp_path, elastic, ask):
    manifest = build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic))
    name = manifest.parameters["index"]
    assert manifest.counts == {"passages": 1000}
    assert manifest.parameters == {
        "backend": "elasticsearch",
        "index": name,
        "shards": 1,
        "server": "8.19.0",
        **LUCENE.model_dump(),
    }
    written = (tmp_path / "index/manifest.json").read_text()
    assert "127.0.0.1" not in written and "http" not in written
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["manifest.json"]
    assert counted(ask, name) == (1000, 0)
    held = ask("GET", f"/{name}")[name]
    settings = held["settings"]["index"]
    assert settings["similarity"]["tlm"] == {"type": "BM25", "k1": "1.2", "b": "0.75"}
    assert "refresh_interval" not in settings and settings["number_of_replicas"] == "0"
    assert held["mappings"]["_source"] == {"enabled": False}
    segments = ask("GET", f"/{name}/_stats/segments")["_all"]["primaries"]["segments"]
    assert segments["count"] == 1


def test_the_name_depends_on_corpus_and_mapping(corpus, tmp_path, elastic):
    def name(folder=corpus, spec=LUCENE, **more):
        destination = tmp_path / "index"
        shutil.rmtree(destination, ignore_errors=True)
        return build_elastic_index(folder, destination, spec, small(elastic, **more)).parameters["index"]

    first = name()
    assert name(merge=False, replicas=1, bulk_threads=1) == first
    others = [
        name(write_corpus(tmp_path / "other", TEXTS[:-1])),
        name(spec=IndexSpec(norms="lucene", k1=0.9)),
        name(spec=IndexSpec(norms="lucene", b=0.5)),
        name(spec=IndexSpec(norms="lucene", stop_words="english")),
        name(shards=2),
    ]
    assert len({first, *others}) == 6 and all(each.startswith(elastic.prefix) for each in others)


def test_a_finished_index_is_reused(corpus, tmp_path, elastic, ask, monkeypatch):
    first = build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic))
    before = (tmp_path / "index/manifest.json").read_bytes()
    monkeypatch.setattr(load, "_send", None)  # nothing is sent
    shutil.rmtree(tmp_path / "index")
    build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic, replicas=1))
    assert (tmp_path / "index/manifest.json").read_bytes() == before
    name = first.parameters["index"]
    assert ask("GET", f"/{name}/_settings")[name]["settings"]["index"]["number_of_replicas"] == "1"


def test_a_half_loaded_index_is_completed_not_doubled(corpus, tmp_path, elastic, ask, monkeypatch):
    sent = []
    send = load._send

    def dies(client, name, lines, *rest):
        if len(sent) == 5:
            raise KeyboardInterrupt
        sent.append(len(lines) // 2)
        return send(client, name, lines, *rest)

    one = small(elastic, bulk_threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(load, "_send", dies)
        with pytest.raises(KeyboardInterrupt):
            build_elastic_index(corpus, tmp_path / "index", LUCENE, one)
    assert not (tmp_path / "index").exists()
    name = next(iter(ask("GET", f"/{elastic.prefix}-*")))
    held, deleted = counted(ask, name)
    assert held == sum(sent) and 100 < held < 900 and deleted == 0
    assert ask("GET", f"/{name}")[name]["mappings"]["_meta"]["tlm"]["complete"] is False
    assert ask("GET", f"/{name}")[name]["settings"]["index"]["refresh_interval"] == "-1"
    again = []
    monkeypatch.setattr(load, "_send", lambda *given: (again.append(len(given[2]) // 2), send(*given))[1])
    build_elastic_index(corpus, tmp_path / "index", LUCENE, one)
    assert 1000 - held <= sum(again) < 1000 - held + load.RANGE  # ranges that were full are not sent again
    assert counted(ask, name) == (1000, 0)


def test_two_loaders_at_once(corpus, tmp_path, elastic, ask):
    found = []

    def build(number):
        found.append(build_elastic_index(corpus, tmp_path / f"index{number}", LUCENE, small(elastic)))

    threads = [threading.Thread(target=build, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len({each.digest for each in found}) == 1
    assert counted(ask, found[0].parameters["index"]) == (1000, 0)


def test_an_index_with_other_contents_raises(corpus, tmp_path, elastic, ask):
    name = build_elastic_index(corpus, tmp_path / "index", LUCENE, elastic).parameters["index"]
    meta = ask("GET", f"/{name}")[name]["mappings"]["_meta"]
    stale = {"_meta": {"tlm": {**meta["tlm"], "corpus": "0" * 64}}}
    for mapping in (stale, {"_meta": {}}):
        ask("PUT", f"/{name}/_mapping", json.dumps(mapping))
        with pytest.raises(TlmError, match=rf"index {name} on the server is not that of this corpus"):
            build_elastic_index(corpus, tmp_path / "again", LUCENE, elastic)
    ask("PUT", f"/{name}/_mapping", json.dumps({"_meta": meta}))
    ask("POST", f"/{name}/_doc/x?refresh=true", json.dumps({"passage": 5, "text": "a stranger"}))
    with pytest.raises(TlmError, match=rf"{name} holds 1,001 passages, the corpus 1,000"):
        build_elastic_index(corpus, tmp_path / "again", LUCENE, elastic)


def test_an_index_recreated_without_its_mapping_raises(corpus, tmp_path, elastic, ask, monkeypatch):
    send = load._send
    deleted = []

    def loses(client, name, *rest):
        if not deleted:
            deleted.append(ask("DELETE", f"/{name}"))
        return send(client, name, *rest)

    monkeypatch.setattr(load, "_send", loses)
    with pytest.raises(TlmError, match=r"is not that of this corpus"):
        build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic, bulk_threads=1))


def test_unsupported_settings_and_an_empty_corpus_raise(corpus, tmp_path, elastic):
    with pytest.raises(TlmError, match=r"set index\.norms to lucene"):
        build_elastic_index(corpus, tmp_path / "index", IndexSpec(), elastic)
    with pytest.raises(TlmError, match=r"there is nothing to index"):
        build_elastic_index(write_corpus(tmp_path / "none", []), tmp_path / "index", LUCENE, elastic)
    assert not (tmp_path / "index").exists()


def test_one_loader_that_fails_stops_the_others_at_once(corpus, tmp_path, elastic, monkeypatch):
    waiting = threading.Event()
    send = load._bulk

    def bulk(client, name, lines):
        if b'"0"' in lines[0]:
            waiting.wait(10)
            raise TlmError("enough")
        waiting.set()
        raise ConnectionError("again and again")

    monkeypatch.setattr(load, "_bulk", bulk)
    began = time.monotonic()
    with pytest.raises(TlmError, match="enough"):
        build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic, backoff=60))
    assert time.monotonic() - began < 12
    monkeypatch.setattr(load, "_bulk", send)
    build_elastic_index(corpus, tmp_path / "index", LUCENE, small(elastic))


def test_requests_are_bounded_and_hold_every_passage_once(corpus):
    parts = index_module.corpus_parts(corpus, index_module.read_manifest(corpus))
    missing = [True] * 16
    missing[3] = False
    chunks = list(load._chunks(parts, missing, 2000))
    assert all(sum(len(line) + 1 for line in chunk) <= 2000 for chunk in chunks)
    ids = [json.loads(line)["create"]["_id"] for chunk in chunks for line in chunk[::2]]
    texts = [json.loads(line)["text"] for chunk in chunks for line in chunk[1::2]]
    wanted = [i for i in range(1000) if i // 64 != 3]
    assert ids == [str(i) for i in wanted] and texts == [TEXTS[i] for i in wanted]
    assert [len(chunk) for chunk in load._chunks(parts, missing, 1)] == [2] * len(wanted)
