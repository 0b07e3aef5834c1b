"""The connection to a server: connect, retry requests that failed temporarily, and report each error in one line.

Place in the flow: the loader and the searcher of this package send every request through `patiently`. Credentials are
read from the environment here and go only into the client: never into a message, a log or a manifest.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    ConnectionError,
    ConnectionTimeout,
    Elasticsearch,
    SerializationError,
    TransportError,
    UnsupportedProductError,
)
from elasticsearch.exceptions import SSLError

from tlm.config.elasticsearch import ElasticsearchSpec, checked_url
from tlm.errors import TlmError

TRANSIENT = frozenset({429, 502, 503, 504})  # HTTP statuses worth another try
LONGEST_WAIT = 30.0  # most seconds between two tries
OLDEST, NEWEST = 8, 9  # major versions of the server that client 8 talks to

_NEVER = threading.Event()

T = TypeVar("T")


def connect(spec: ElasticsearchSpec) -> Elasticsearch:
    """Connect to the server that `spec` and the environment name, and check that it answers and its version.

    Raises TlmError with the setting to change if no server listens there, it is not Elasticsearch or of an unsupported
    version, or the password or the certificate is refused.
    """
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # `patiently` reports failed tries
    url = _address(spec)
    spec = spec.model_copy(update={"url": url})
    options: dict[str, Any] = {"connections_per_node": spec.bulk_threads + spec.requests_in_flight}
    if url.startswith("https"):
        options |= _certificates(spec)
    client = Elasticsearch(
        url,
        request_timeout=spec.timeout,
        max_retries=0,
        retry_on_status=(),
        **options,
        **_credentials(spec),
    )
    try:
        patiently("the first request", spec, lambda: client.cluster.health(timeout="10s"), new=True)
        version = server_version(client, spec)
    except UnsupportedProductError:
        raise TlmError(f"{url}: answers, but is not Elasticsearch; {_WHERE}") from None
    if not OLDEST <= int(version.split(".")[0]) <= NEWEST:
        raise TlmError(f"{url}: Elasticsearch {version}; versions {OLDEST} and {NEWEST} are supported")
    return client


def server_version(client: Elasticsearch, spec: ElasticsearchSpec) -> str:
    """The version of the server; if its nodes differ, the oldest version."""
    found = patiently(
        "asking for the version",
        spec,
        lambda: client.nodes.info(node_id="_all", metric="_none", filter_path="nodes.*.version"),
        new=True,
    )
    versions = [node["version"] for node in found["nodes"].values()]
    return min(versions, key=lambda version: [int(part) for part in version.split("-")[0].split(".")])


def patiently(
    action: str,
    spec: ElasticsearchSpec,
    call: Callable[[], T],
    *,
    new: bool = False,
    stop: threading.Event = _NEVER,
) -> T:
    """Return the result of `call`; retry temporary errors with growing pauses, until `stop` is set.

    Temporary errors are a refused, lost or late connection and the statuses 429 and 502 to 504. All others raise a
    TlmError at once, which names the `action`. For a `new` connection a refused connection raises at once too.
    """
    for attempt in count(1):
        try:
            return call()
        except UnsupportedProductError:
            raise
        except SSLError as error:
            raise TlmError(f"{spec.url}: {_certificate_refused(str(error.message))}") from None
        except (ConnectionError, ConnectionTimeout, SerializationError) as error:
            if new and isinstance(error, ConnectionError):
                raise TlmError(f"{spec.url}: cannot be reached ({reason(error)}); {_WHERE}") from None
            trouble = reason(error)
        except ApiError as error:
            if is_blocked(_error(error.body)) or error.status_code not in TRANSIENT:
                raise TlmError(_final(action, spec, error)) from None
            trouble = reason(error)
        pause(action, spec, attempt, trouble, stop)
    raise AssertionError


def pause(
    action: str, spec: ElasticsearchSpec, attempt: int, trouble: str, stop: threading.Event = _NEVER
) -> None:
    """Wait after failed try number `attempt`, longer after each try. Raises TlmError after the last try.

    Raises TlmError too when `stop` is set: if one of several threads failed or the run is interrupted, the other
    threads must not keep trying.
    """
    if attempt > spec.retries:
        raise TlmError(
            f"{action}: gave up after {attempt} tries ({trouble}); when the server answers again, run the same command"
            " again; it continues where it stopped"
        )
    if attempt >= 3:  # the first two failures are normal on a busy server
        print(f"{action}: try {attempt} failed ({trouble}); trying again", file=sys.stderr, flush=True)
    # Half of the pause is random, so that threads refused at the same time do not retry at the same time.
    if stop.wait(min(spec.backoff * 2 ** (attempt - 1), LONGEST_WAIT) * random.uniform(0.5, 1)):
        raise TlmError(f"{action}: stopped")


def reason(error: TransportError | ApiError | Mapping[str, Any]) -> str:
    """The cause of the error in one short line: the innermost cause that the server names."""
    if isinstance(error, ApiError):
        held = _error(error.body)
        return f"{error.status_code} {reason(held)}" if held else f"{error.status_code}"
    if isinstance(error, TransportError):
        text = str(error.message) or type(error).__name__
    else:
        inner: Mapping[str, Any] = error
        for key in ("root_cause", "failed_shards"):
            if not inner.get("reason") and inner.get(key):
                inner = inner[key][0].get("reason", inner[key][0])
        deeper = inner.get("caused_by")
        text = f"{inner.get('type', 'error')}: {inner.get('reason')}"
        text += f" ({deeper.get('reason')})" if isinstance(deeper, Mapping) else ""
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "…"


def is_blocked(error: Mapping[str, Any]) -> bool:
    """Whether the server refuses to write until somebody intervenes, as it does above the disk watermark.

    The same error type with SERVICE_UNAVAILABLE in its reason means that the cluster is still starting.
    """
    return error.get("type") == "cluster_block_exception" and "SERVICE_UNAVAILABLE" not in str(
        error.get("reason")
    )


def blocked(action: str, error: Mapping[str, Any]) -> str:
    """The error message for `is_blocked`."""
    return (
        f"{action}: the server has blocked writing ({reason(error)}); if its disk is full, make room there, then"
        " run the same command again; it continues where it stopped"
    )


_WHERE = "is it running? the address is retrieval.elasticsearch.url, or ELASTICSEARCH_URL in the environment"


def _address(spec: ElasticsearchSpec) -> str:
    url = os.environ.get("ELASTICSEARCH_URL")
    if not url:
        return spec.url
    try:
        return checked_url(url)
    except ValueError as error:
        raise TlmError(f"ELASTICSEARCH_URL: {error}") from None


def _certificates(spec: ElasticsearchSpec) -> dict[str, Any]:
    if not spec.verify_certificate:
        print(
            f"warning: {spec.url}: its certificate is not verified (verify_certificate is false);"
            " anybody on the network path can read and change the data",
            file=sys.stderr,
            flush=True,
        )
        return {"verify_certs": False, "ssl_show_warn": False}
    if spec.ca_certificate is None:
        return {}
    if not Path(spec.ca_certificate).is_file():
        raise TlmError(f"retrieval.elasticsearch.ca_certificate: no such file: {spec.ca_certificate}")
    return {"ca_certs": spec.ca_certificate}


def _credentials(spec: ElasticsearchSpec) -> dict[str, Any]:
    key = os.environ.get("ELASTICSEARCH_API_KEY")
    password = os.environ.get("ELASTICSEARCH_PASSWORD")
    if key and password:
        raise TlmError("both ELASTICSEARCH_API_KEY and ELASTICSEARCH_PASSWORD are set; unset one of them")
    if key:
        return {"api_key": key}
    return {"basic_auth": (spec.user, password)} if password else {}


def _certificate_refused(text: str) -> str:
    if "verify failed" in text.lower():
        detail = text.partition("verify failed: ")[2].partition(" (")[0] or "verification failed"
        return (
            f"its certificate is not trusted ({detail}); set retrieval.elasticsearch.ca_certificate to the file"
            " with the certificate of its authority"
        )
    return "no TLS connection is possible; does it speak http instead of https?"


def _final(action: str, spec: ElasticsearchSpec, error: ApiError) -> str:
    """The message for an error that another try cannot fix."""
    held = _error(error.body)
    ours = error.meta.headers.get("x-elastic-product") == "Elasticsearch"
    if is_blocked(held):
        return blocked(action, held)
    if isinstance(error, AuthenticationException):
        key = os.environ.get("ELASTICSEARCH_API_KEY")
        if not key and not os.environ.get("ELASTICSEARCH_PASSWORD"):
            return f"{spec.url}: requires credentials; set ELASTICSEARCH_API_KEY or ELASTICSEARCH_PASSWORD"
        refused = "the key in ELASTICSEARCH_API_KEY"
        if not key:
            refused = f"user {spec.user!r} with the password in ELASTICSEARCH_PASSWORD"
        return f"{spec.url}: does not accept {refused}"
    if isinstance(error, AuthorizationException):
        return f"{action}: not allowed ({reason(error)}); grant that privilege to the user or key"
    if not ours:
        return f"{spec.url}: answers, but is not Elasticsearch (status {error.status_code}); {_WHERE}"
    if error.status_code == 406 or held.get("type") == "media_type_header_exception":
        return f"{spec.url}: not version {OLDEST} or {NEWEST} of Elasticsearch ({reason(error)})"
    if error.status_code == 413:
        return (
            f"{action}: a request is too large for the server; set retrieval.elasticsearch.bulk_bytes lower"
        )
    return f"{action}: Elasticsearch answers {reason(error)}"


def _error(body: Any) -> Mapping[str, Any]:
    """The `error` object of a response body; empty if it has none."""
    held = body.get("error") if isinstance(body, Mapping) else None
    return held if isinstance(held, Mapping) else {}
