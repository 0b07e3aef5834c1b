"""Faults, on a real server: nothing lost, nothing doubled, one line that says why.

A proxy between client and server disturbs single requests (`fault_proxy`); the server is killed and started again
(`elasticsearch_server`). Secrets are looked for in all that is written.
"""

import http.server
import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT
from elasticsearch_server import Server, absent, free_port, running
from fault_proxy import Fault, FaultProxy
from retrieval_corpora import write_corpus, write_task

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.config.retrieval import IndexSpec, RetrievalSpec
from tlm.errors import TlmError
from tlm.retrieval.elastic.client import connect
from tlm.retrieval.elastic.index import build_elastic_index
from tlm.retrieval.stage import retrieve

LUCENE = IndexSpec(norms="lucene")
SEARCH = RetrievalSpec(k=20, index=LUCENE)
_DRAW = random.Random(5)
TEXTS = [" ".join(f"w{_DRAW.randrange(300)}" for _ in range(_DRAW.randrange(5, 60))) for _ in range(2000)]
QUERIES = [" ".join(f"w{_DRAW.randrange(300)}" for _ in range(20)) for _ in range(90)]
BUSY = {"error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}, "status": 429}


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for name in ("URL", "API_KEY", "PASSWORD"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)


@pytest.fixture
def proxy(elasticsearch_server):
    with FaultProxy(elasticsearch_server.url) as proxy:
        yield proxy


@pytest.fixture
def spec(proxy, elasticsearch_server):
    """Through the proxy, in small requests; the indexes of a test are deleted at its end."""
    prefix = f"fault-{secrets.token_hex(4)}"
    yield ElasticsearchSpec(
        url=proxy.url, prefix=prefix, bulk_bytes=20_000, queries_per_request=10, backoff=0.05
    )
    for name in json.loads(elasticsearch_server.request("GET", f"/{prefix}-*")):
        elasticsearch_server.request("DELETE", f"/{name}")


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", TEXTS)


@pytest.fixture
def built(corpus, tmp_path, spec):
    """An index, a task, and the bytes of the undisturbed result."""
    build_elastic_index(corpus, tmp_path / "index", LUCENE, spec)
    write_task(tmp_path / "task", QUERIES)
    return search(tmp_path, "undisturbed", spec)


def search(folder: Path, name: str, spec: ElasticsearchSpec) -> bytes:
    retrieve(folder / "index", folder / "task", folder / name, SEARCH, 1, server=spec)
    return (folder / name / "topk.parquet").read_bytes()


def held(server: Server, prefix: str) -> tuple[int, int]:
    """Passages that the server holds for a test, and deleted documents."""
    server.request("POST", f"/{prefix}-*/_refresh")
    docs = json.loads(server.request("GET", f"/{prefix}-*/_stats/docs"))["_all"]["primaries"]["docs"]
    return docs["count"], docs["deleted"]


def script(name: str, spec: ElasticsearchSpec, *arguments: object, **variables: str) -> subprocess.Popen:
    command = [sys.executable, ROOT / "scripts" / name, "--elasticsearch", spec.model_dump_json(), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def index_script(spec: ElasticsearchSpec, folder: Path, **variables: str) -> subprocess.Popen:
    places = ["--corpus", folder / "corpus", "--output", folder / "index"]
    return script("index.py", spec, "--spec", LUCENE.model_dump_json(), *places, **variables)


def one_line(process: subprocess.Popen) -> str:
    """The line that a script fails with."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_a_server_killed_while_it_is_loaded(corpus, tmp_path, spec, proxy, elasticsearch_server):
    proxy.add(Fault("_bulk", act=elasticsearch_server.kill, after=10))
    with pytest.raises(TlmError, match="gave up after 2 tries") as caught:
        build_elastic_index(corpus, tmp_path / "index", LUCENE, spec.model_copy(update={"retries": 1}))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index").exists()
    elasticsearch_server.restart()
    assert 0 < held(elasticsearch_server, spec.prefix)[0] < len(TEXTS)
    build_elastic_index(corpus, tmp_path / "index", LUCENE, spec)
    assert held(elasticsearch_server, spec.prefix) == (len(TEXTS), 0)


def test_a_server_killed_while_it_is_searched_and_started_again(
    built, tmp_path, spec, proxy, elasticsearch_server
):
    back = threading.Thread(target=elasticsearch_server.restart)

    def cut_the_power() -> None:
        elasticsearch_server.kill()
        back.start()

    proxy.add(Fault("_msearch", act=cut_the_power, after=4))
    patient = spec.model_copy(update={"backoff": 0.3, "retries": 14})
    assert search(tmp_path, "disturbed", patient) == built
    back.join()
    assert proxy.struck == 1


def test_a_loader_killed_while_it_loads(corpus, tmp_path, spec, proxy, elasticsearch_server):
    started = threading.Event()

    def kill_loader() -> None:
        started.wait()
        loader.kill()

    proxy.add(Fault("_bulk", act=kill_loader, after=10))
    loader = index_script(spec, tmp_path)
    started.set()
    loader.communicate(timeout=120)
    assert loader.returncode == -9
    assert not (tmp_path / "index").exists()
    assert 0 < held(elasticsearch_server, spec.prefix)[0] < len(TEXTS)
    again = index_script(spec, tmp_path)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert held(elasticsearch_server, spec.prefix) == (len(TEXTS), 0)


def disturbances(path: str, edit) -> list[Fault]:
    """One of each kind, met by one request after the other."""
    return [
        Fault(path, status=429, body=BUSY, times=2),
        Fault(path, reset=True, times=2),
        Fault(path, status=503),
        Fault(path, truncate=True),
        Fault(path, hold=60),
        Fault(path, edit=edit, times=3),
    ]


def test_loading_through_every_disturbance(corpus, tmp_path, spec, proxy, elasticsearch_server):
    def refuse_one(answer):
        answer["items"][1]["create"] = {"status": 429, "error": BUSY["error"]}

    faults = disturbances("_bulk", refuse_one)
    proxy.add(*faults)
    build_elastic_index(corpus, tmp_path / "index", LUCENE, spec.model_copy(update={"timeout": 3}))
    assert proxy.struck == 10
    assert held(elasticsearch_server, spec.prefix) == (len(TEXTS), 0)


def test_searching_through_every_disturbance(built, tmp_path, spec, proxy):
    def refuse_one(answer):
        answer["responses"][-1] = BUSY

    proxy.add(*disturbances("_msearch", refuse_one))
    assert search(tmp_path, "disturbed", spec.model_copy(update={"timeout": 3})) == built
    assert proxy.struck == 10


def test_a_query_that_never_succeeds_is_named_and_nothing_is_written(built, tmp_path, spec, proxy):
    write_task(tmp_path / "other", [*QUERIES[:40], "w1 marked", *QUERIES[40:]])

    def break_it(answer):
        answer["responses"][0] = {"error": {"type": "illegal_state", "reason": "broken"}, "status": 400}

    one_by_one = spec.model_copy(update={"queries_per_request": 1})
    proxy.add(Fault("_msearch", edit=break_it, holding="marked", times=None))
    places = ["--index", tmp_path / "index", "--task", tmp_path / "other", "--output", tmp_path / "out"]
    line = one_line(script("retrieve.py", one_by_one, "--spec", SEARCH.model_dump_json(), *places))
    assert "row_id 40" in line and "illegal_state: broken" in line
    assert not (tmp_path / "out").exists()


def test_a_disk_above_its_watermark(corpus, tmp_path, spec, proxy, elasticsearch_server):
    ask = elasticsearch_server.request
    disk = "cluster.routing.allocation.disk"
    level = "900pb"  # to be kept free: no disk is that large
    full = {f"{disk}.threshold_enabled": True, "cluster.info.update.interval": "10s"}
    full |= {f"{disk}.watermark.{name}": level for name in ("low", "high", "flood_stage")}

    def fill_up() -> None:
        ask("PUT", "/_cluster/settings", json.dumps({"persistent": full}))
        deadline = time.monotonic() + 60
        while b"read_only_allow_delete" not in ask("GET", f"/{spec.prefix}-*/_settings"):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    proxy.add(Fault("_bulk", act=fill_up, after=10))
    try:
        line = one_line(index_script(spec, tmp_path))
        assert "blocked writing" in line and "if its disk is full, make room there" in line
    finally:
        ask("PUT", "/_cluster/settings", json.dumps({"persistent": dict.fromkeys(full)}))
        free = {"index.blocks.read_only_allow_delete": None}
        ask("PUT", f"/{spec.prefix}-*/_settings", json.dumps(free))
    assert not (tmp_path / "index").exists()
    build_elastic_index(corpus, tmp_path / "index", LUCENE, spec)
    assert held(elasticsearch_server, spec.prefix) == (len(TEXTS), 0)


def test_an_api_key_goes_into_the_header_and_nowhere_else(corpus, tmp_path, spec, proxy):
    key = "VGhpcyBpcyBub3QgYSBrZXk6c2VjcmV0"
    loader = index_script(spec, tmp_path, ELASTICSEARCH_API_KEY=key)
    output, _ = loader.communicate(timeout=120)
    assert loader.returncode == 0, output
    assert {each.headers.get("authorization") for each in proxy.seen} == {f"ApiKey {key}"}
    assert not any(key in each.path or key.encode() in each.body for each in proxy.seen)
    assert key not in output + (tmp_path / "index/manifest.json").read_text()


def test_a_server_that_is_not_elasticsearch_and_none_at_all(corpus, tmp_path):
    spec = ElasticsearchSpec(url=f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in one_line(index_script(spec, tmp_path))
    handler = http.server.SimpleHTTPRequestHandler
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        spec = ElasticsearchSpec(url=f"http://127.0.0.1:{other.server_address[1]}")
        assert "not Elasticsearch" in one_line(index_script(spec, tmp_path))
        other.shutdown()
    assert not (tmp_path / "index").exists()


def test_passwords_and_certificates(corpus, tmp_path, monkeypatch, capsys):
    if why := absent():
        pytest.skip(why)
    password = "pw-" + secrets.token_hex(8)
    with running(password, tls=True) as server:
        spec = ElasticsearchSpec(url=server.url, user=server.user, ca_certificate=str(server.ca))
        right, wrong = {"ELASTICSEARCH_PASSWORD": password}, {"ELASTICSEARCH_PASSWORD": "pw-guessed"}
        lines = [one_line(index_script(spec, tmp_path, **wrong)), one_line(index_script(spec, tmp_path))]
        assert "does not accept user 'tlm' with the password in ELASTICSEARCH_PASSWORD" in lines[0]
        assert "requires credentials" in lines[1]
        stranger = spec.model_copy(update={"ca_certificate": None})
        lines.append(one_line(index_script(stranger, tmp_path, **right)))
        assert "its certificate is not trusted" in lines[2] and "ca_certificate" in lines[2]
        accepted = index_script(spec, tmp_path, **right)
        output, _ = accepted.communicate(timeout=120)
        assert accepted.returncode == 0, output
        assert held(server, spec.prefix) == (len(TEXTS), 0)
        write_task(tmp_path / "task", QUERIES)
        monkeypatch.setenv("ELASTICSEARCH_PASSWORD", password)
        search(tmp_path, "top", spec)
        connect(stranger.model_copy(update={"verify_certificate": False}))
        printed = capsys.readouterr()
        assert "its certificate is not verified" in printed.err
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    everything = "".join([*lines, output, printed.out, printed.err])
    for secret in (password, "pw-guessed"):
        assert secret not in everything
        assert not any(secret.encode() in each for each in written)
