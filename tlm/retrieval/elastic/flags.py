"""The flags by which scripts are told of a server: the ones of `index` and `retrieve` alike."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from tlm.config.elasticsearch import ElasticsearchSpec, server_settings
from tlm.retrieval.elastic.state import await_server


def add_flags(parser: ArgumentParser) -> None:
    """`--elasticsearch` and `--wait-for`; `server_of` reads them back."""
    parser.add_argument(
        "--elasticsearch", help="retrieval.elasticsearch as JSON, where the index is on a server"
    )
    parser.add_argument(
        "--wait-for", nargs="*", type=Path, default=[], help="file of the local server started for this"
    )


def server_of(arguments: Namespace) -> ElasticsearchSpec:
    """How the server is reached, once the local one that is started for this job answers.

    Raises TlmError if the settings are wrong or that server does not start.
    """
    for state in arguments.wait_for:
        await_server(state)
    return server_settings(arguments.elasticsearch)
