"""Connecting: every way in which it can fail is one line, and no credentials are in it.

Most servers here are a few lines of Python that answer as another program, or another version, would.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from elasticsearch_server import free_port

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.errors import TlmError
from tlm.retrieval.elastic.client import connect, patiently, server_version

FAST = {"retries": 2, "backoff": 0.01, "timeout": 2}
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("URL", "API_KEY", "PASSWORD"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)


@pytest.fixture
def answering():
    """Start a server that gives every request what `answer(path)` says: status, headers, JSON."""
    servers = []
    headers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                headers.append(dict(self.headers))
                status, extra, body = answer(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **extra}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    start.headers = headers
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def as_version(version):
    def answer(path):
        if path.startswith("/_nodes"):
            return 200, PRODUCT, {"nodes": {"a": {"version": "9.4.0"}, "b": {"version": version}}}
        return 200, PRODUCT, {"status": "green"}

    return answer


def refused(url, **more):
    with pytest.raises(TlmError) as caught:
        connect(ElasticsearchSpec(url=url, **FAST, **more))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_connecting_to_a_real_server(elastic):
    assert server_version(connect(elastic), elastic).startswith("8.")


def test_versions_other_than_8_and_9_raise(answering):
    spec = ElasticsearchSpec(url=answering(as_version("8.10.0")))
    assert server_version(connect(spec), spec) == "8.10.0"  # the older of two nodes
    assert "Elasticsearch 7.17.3; versions 8 and 9" in refused(answering(as_version("7.17.3")))
    assert "Elasticsearch 10.0.0-rc1" in refused(
        answering(lambda path: (200, PRODUCT, {"nodes": {"a": {"version": "10.0.0-rc1"}}}))
    )
    held = {"error": {"type": "media_type_header_exception", "reason": "Accept version must be 7"}}
    assert "not version 8 or 9" in refused(answering(lambda path: (400, PRODUCT, held)))


def test_a_refused_connection_raises():
    message = refused(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in message and "ELASTICSEARCH_URL" in message


@pytest.mark.parametrize("status", [200, 404, 406, 500])
def test_a_server_that_is_not_elasticsearch_raises(answering, status):
    assert "is not Elasticsearch" in refused(answering(lambda path: (status, {}, {"hello": "world"})))


def test_a_busy_server_is_retried(answering):
    answers = [503, 429]

    def answer(path):
        return (answers.pop(), PRODUCT, {"error": "busy"}) if answers else as_version("8.19.0")(path)

    connect(ElasticsearchSpec(url=answering(answer), **FAST))
    assert not answers
    message = refused(
        answering(lambda path: (503, PRODUCT, {"error": {"type": "busy", "reason": "all day"}}))
    )
    assert "gave up after 3 tries (503 busy: all day)" in message


def test_http_instead_of_https_raises(elasticsearch_server):
    message = refused(elasticsearch_server.url.replace("http:", "https:"))
    assert "does it speak http instead" in message


def test_credentials_come_from_the_environment_and_reach_no_message(answering, monkeypatch, capsys, caplog):
    denied = lambda path: (401, PRODUCT, {"error": {"type": "security_exception", "reason": "who?"}})  # noqa: E731
    url = answering(denied)
    assert "set ELASTICSEARCH_API_KEY or ELASTICSEARCH_PASSWORD" in refused(url)
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "geheim")
    messages = [refused(url, user="someone")]
    assert "user 'someone' with the password" in messages[-1]
    assert answering.headers[-1]["authorization"] == "Basic c29tZW9uZTpnZWhlaW0="
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "geheimnis")
    messages.append(refused(url))
    assert "both ELASTICSEARCH_API_KEY and ELASTICSEARCH_PASSWORD" in messages[-1]
    monkeypatch.delenv("ELASTICSEARCH_PASSWORD")
    messages.append(refused(url))
    assert "the key in ELASTICSEARCH_API_KEY" in messages[-1]
    assert answering.headers[-1]["authorization"] == "ApiKey geheimnis"
    printed = "".join(capsys.readouterr()) + caplog.text + "".join(messages)
    assert "geheim" not in printed and "Z2VoZWlt" not in printed


def test_the_address_in_the_environment_overrides_the_configuration(answering, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_URL", answering(as_version("8.19.0")))
    connect(ElasticsearchSpec(url="http://127.0.0.1:1"))
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://elastic:geheim@127.0.0.1:1")
    message = refused("http://127.0.0.1:1")
    assert message.startswith("ELASTICSEARCH_URL: an address holds no user") and "geheim" not in message


def test_certificates(tmp_path, capsys):
    url = f"https://127.0.0.1:{free_port()}"
    assert "no such file" in refused(url, ca_certificate=str(tmp_path / "ca.pem"))
    refused(url)
    assert "not verified" not in capsys.readouterr().err
    refused(url, verify_certificate=False)
    assert "its certificate is not verified" in capsys.readouterr().err


def test_invalid_requests_are_not_retried(elastic):
    client = connect(elastic)
    calls = []

    def call():
        calls.append(1)
        return client.search(index="test", query={"none": {}})

    with pytest.raises(TlmError, match=r"asking: Elasticsearch answers 400 parsing_exception: unknown query"):
        patiently("asking", elastic, call)
    assert len(calls) == 1
