"""Retrieve the top-k passages of every training text of a task, at once or in shares of the index's blocks."""

import argparse
from pathlib import Path

from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.elasticsearch import server_settings
from tlm.config.retrieval import RetrievalSpec
from tlm.retrieval.elastic.state import await_server
from tlm.retrieval.index import parse_share
from tlm.retrieval.stage import retrieve, retrieve_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="a RetrievalSpec (k, index, query) as JSON, or @file")
    parser.add_argument("--index", required=True, type=Path, help="directory of the index artifact")
    parser.add_argument("--task", required=True, type=Path, help="directory of the task artifact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--share", help="I/N: search share I (from 0) of N of the blocks, for --shares")
    parser.add_argument(
        "--shares", nargs="+", type=Path, default=[], help="directories of all shares: gather"
    )
    parser.add_argument(
        "--elasticsearch", help="retrieval.elasticsearch as JSON, for an index that is on a server"
    )
    parser.add_argument(
        "--wait-for",
        nargs="*",
        type=Path,
        default=[],
        help="file of the local server that is started for this",
    )
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    for state in args.wait_for:
        await_server(state)
    spec = parse_json(RetrievalSpec, args.spec, "--spec")
    if args.share:
        share = parse_share(args.share)
        retrieve_share(args.index, args.task, args.output, spec, args.threads, share)
    else:
        server = server_settings(args.elasticsearch)
        retrieve(args.index, args.task, args.output, spec, args.threads, args.shares, server)


if __name__ == "__main__":
    run_script(main)
