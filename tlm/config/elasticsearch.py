"""How to reach an Elasticsearch server and how hard to press it (the retrieval backend `elasticsearch`).

Nothing here but `shards` changes what is retrieved. User names and passwords in addresses are refused, and
credentials have no key at all: they come from the environment (`tlm.retrieval.elastic.client`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from tlm.config.base import Strict, parse
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError

SETTINGS = "TLM_ELASTICSEARCH"
"""The environment variable in which the workflow hands an `ElasticsearchSpec` to its scripts, as JSON.

Not a parameter of any rule: another address is no reason to search again.
"""


class ElasticsearchSpec(Strict):
    """The address of a server, and the limits of loading and searching."""

    url: str = "http://127.0.0.1:9200"
    """Scheme, host and port. The environment variable ELASTICSEARCH_URL overrides it."""
    start: str | None = None
    """Command that runs a server at `url` in the foreground until SIGTERM; each job that needs it starts one."""
    ca_certificate: str | None = None
    """File with the certificate of the authority that signed the server's; the system's authorities otherwise."""
    verify_certificate: bool = True
    """false: certificates are not verified, and every start prints a warning."""
    user: str = "elastic"
    """The user of the password in ELASTICSEARCH_PASSWORD. ELASTICSEARCH_API_KEY needs no user."""
    prefix: str = Field("tlm", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    """Prefix of the names of the project's indexes."""
    shards: PositiveInt = 1
    """Shards of the index. With more than one, each search first gathers common statistics (dfs)."""
    replicas: int = Field(0, ge=0)
    """Copies of every shard after loading. There are none during loading."""
    merge: bool = True
    """Merge every shard into one segment after loading: it is never written to again."""
    bulk_bytes: PositiveInt = 8 << 20
    """Size of a loading request."""
    bulk_threads: PositiveInt = 2
    """Loading requests under way at once."""
    queries_per_request: PositiveInt = 32
    requests_in_flight: PositiveInt = 2
    """Search requests under way at once."""
    timeout: PositiveFloat = 120
    """Seconds that a request may take."""
    retries: int = Field(10, ge=0)
    """Retries of a request after status 429 (too much load), 502 to 504 (server error), or no answer."""
    backoff: PositiveFloat = 0.5
    """Seconds before the first retry; they double from one to the next, up to 30."""

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return checked_url(value)


def checked_url(text: str) -> str:
    """`text` if it is an address without credentials. Raises ValueError, which never repeats the text."""
    if "@" in text or "?" in text or "#" in text:
        raise ValueError(
            "an address holds no user, password or key; set ELASTICSEARCH_PASSWORD or ELASTICSEARCH_API_KEY"
        )
    try:
        parts = urlsplit(text)
        complete = parts.scheme in ("http", "https") and parts.hostname and parts.port
    except ValueError:
        complete = None
    if not complete:
        raise ValueError("give scheme, host and port, as in https://search.example.org:9200")
    return text.rstrip("/")


def check_supported(spec: IndexSpec) -> None:
    """Raises ValueError saying what to set where Elasticsearch cannot do what `spec` asks for."""
    if spec.norms != "lucene":
        raise ValueError(
            "Elasticsearch keeps lengths rounded to a byte; with backend elasticsearch set index.norms to lucene"
        )
    if spec.stemmer != "none":
        raise ValueError(
            "our stemmer is not Elasticsearch's; with backend elasticsearch set index.stemmer to none"
        )


def server_settings(text: str | None = None) -> ElasticsearchSpec:
    """The settings in the environment variable TLM_ELASTICSEARCH, overridden by the JSON `text`.

    Raises TlmError naming what is wrong.
    """
    values: dict[str, Any] = {}
    for where, given in ((SETTINGS, os.environ.get(SETTINGS)), ("--elasticsearch", text)):
        try:
            read = json.loads(given) if given else {}
        except ValueError as error:
            raise TlmError(f"{where}: not JSON ({error})") from None
        if not isinstance(read, Mapping):
            raise TlmError(f"{where}: a JSON object is needed")
        values |= read
    return parse(ElasticsearchSpec, values, "elasticsearch")
