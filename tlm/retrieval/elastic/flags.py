"""Command-line options that describe the server, shared by the scripts of `index` and `retrieve`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tlm.config.elasticsearch import ElasticsearchSpec, server_settings
from tlm.retrieval.elastic.state import await_server


def add_flags(parser: ArgumentParser) -> None:
    """Add `--elasticsearch` and `--wait-for`, which `server_of` reads."""
    parser.add_argument(
        "--elasticsearch", help="settings retrieval.elasticsearch as JSON, if the index is on a server"
    )
    parser.add_argument(
        "--wait-for", nargs="*", type=Path, default=[], help="state file of the local server to wait for"
    )


def server_of(arguments: Namespace) -> ElasticsearchSpec:
    """Wait for the local server if there is one, and return the settings of the connection.

    Raises TlmError if the settings are invalid or the local server does not start.
    """
    for state in arguments.wait_for:
        await_server(state)
    return server_settings(arguments.elasticsearch)
