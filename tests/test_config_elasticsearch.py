"""Settings of the backend: what is possible, and that no credentials get in."""

import pytest

from tlm.config.base import parse
from tlm.config.elasticsearch import SETTINGS, ElasticsearchSpec, server_settings
from tlm.config.settings import RetrievalSettings
from tlm.errors import TlmError


def settings(**values):
    return parse(RetrievalSettings, {"backend": "elasticsearch", **values}, "config.yaml")


def test_settings_that_elasticsearch_lacks_raise_with_a_remedy():
    assert settings(index={"norms": "lucene", "stop_words": "english"}).elasticsearch.shards == 1
    with pytest.raises(TlmError, match=r"set index\.norms to lucene"):
        settings()
    with pytest.raises(TlmError, match=r"set index\.stemmer to none"):
        settings(index={"norms": "lucene", "stemmer": "english"})
    with pytest.raises(TlmError, match=r"set shares to 1"):
        settings(index={"norms": "lucene"}, shares=2)
    assert parse(RetrievalSettings, {"shares": 2}, "config.yaml").backend == "embedded"


@pytest.mark.parametrize(
    "url",
    [
        "http://elastic:hidden@127.0.0.1:9200",
        "https://hidden@search.example.org:9200",
        "http://elastic:hid/den@127.0.0.1:9200",
        "https://search.example.org:9200/?api_key=hidden",
        "http://hidden:9x/",
        "search.example.org:9200",
        "https://search.example.org",
        "ftp://search.example.org:9200",
    ],
)
def test_incomplete_addresses_and_addresses_with_credentials_raise_without_quoting_them(url):
    with pytest.raises(TlmError) as caught:
        settings(index={"norms": "lucene"}, elasticsearch={"url": url})
    assert "retrieval" not in str(caught.value) or "\n" not in str(caught.value)
    assert "hid" not in str(caught.value)
    assert caught.value.__suppress_context__  # nor in the traceback of a caller that does not catch it


def test_there_is_no_key_for_a_password():
    for name in ("password", "api_key", "basic_auth"):
        with pytest.raises(TlmError, match=r"unknown key"):
            settings(index={"norms": "lucene"}, elasticsearch={name: "x"})


def test_scripts_get_the_settings_of_the_environment_with_their_own_over_them(monkeypatch):
    monkeypatch.delenv(SETTINGS, raising=False)
    assert server_settings() == ElasticsearchSpec()
    monkeypatch.setenv(SETTINGS, '{"url": "http://127.0.0.1:9201", "shards": 2}')
    assert server_settings('{"shards": 3}') == ElasticsearchSpec(url="http://127.0.0.1:9201", shards=3)
    with pytest.raises(TlmError, match=r"unknown key \(did you mean 'shards'"):
        server_settings('{"shard": 3}')
    with pytest.raises(TlmError, match=r"--elasticsearch: not JSON"):
        server_settings("shards: 3")
