"""compose.yaml says what the page says: loopback, a password from the environment alone, a version that we talk to."""

import re
import subprocess

import yaml
from conftest import ROOT

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.retrieval.elastic.client import NEWEST, OLDEST

TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICE = yaml.safe_load(TEXT)["services"]["elasticsearch"]


def defaults(text: str) -> str:
    """The text with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_it_is_an_official_image_of_a_version_that_the_client_talks_to():
    name, _, version = defaults(SERVICE["image"]).partition(":")
    assert name == "docker.elastic.co/elasticsearch/elasticsearch"
    assert OLDEST <= int(version.split(".")[0]) <= NEWEST


def test_it_listens_on_loopback_where_the_configuration_looks():
    (port,) = SERVICE["ports"]
    assert defaults(port) == "127.0.0.1:9200:9200"
    assert ElasticsearchSpec().url == "http://127.0.0.1:9200" and ElasticsearchSpec().user == "elastic"


def test_the_password_has_no_default_and_is_on_no_command_line():
    environment = SERVICE["environment"]
    assert environment["ELASTIC_PASSWORD"].startswith("${ELASTICSEARCH_PASSWORD:?")
    assert environment["xpack.security.enabled"] == "true"
    kind, check = SERVICE["healthcheck"]["test"]
    assert kind == "CMD-SHELL" and "--config -" in check and not re.search(r"curl[^|]*PASSWORD", check)
    # As the container's shell reads it.
    assert subprocess.run(["sh", "-n", "-c", check.replace("$$", "$")]).returncode == 0


def test_the_heap_is_fixed_and_the_indexes_outlive_the_container():
    low, high = defaults(SERVICE["environment"]["ES_JAVA_OPTS"]).split()
    assert low.removeprefix("-Xms") == high.removeprefix("-Xmx")
    (volume,) = SERVICE["volumes"]
    assert volume.split(":")[0] in yaml.safe_load(TEXT)["volumes"]
