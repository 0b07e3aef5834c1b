"""Command-line options that describe the server, shared by the scripts of `index` and `retrieve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.config.elasticsearch import ElasticsearchSpec, server_settings
from tlm.retrieval.elastic.state import await_server

Elasticsearch = Annotated[str | None, "settings retrieval.elasticsearch as JSON, if the index is on a server"]
WaitFor = Annotated[Sequence[Path], "state file of the local server to wait for"]


def connection(settings: str | None, wait_for: Sequence[Path]) -> ElasticsearchSpec:
    """Wait for the local server if there is one, and return the settings of the connection.

    Raises TlmError if the settings are invalid or the local server does not start.
    """
    for state in wait_for:
        await_server(state)
    return server_settings(settings)
