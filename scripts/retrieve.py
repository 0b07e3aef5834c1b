"""Retrieve the top-k passages of every training text of a task, at once or in shares of the index's blocks."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.retrieval import RetrievalSpec
    from tlm.retrieval.elastic.flags import add_flags, server_of
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
        "--shares", nargs="+", type=Path, default=[], help="directories of all shares, to merge"
    )
    add_flags(parser)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    server = server_of(args)
    spec = parse_json(RetrievalSpec, args.spec, "--spec")
    if args.share:
        share = parse_share(args.share)
        retrieve_share(args.index, args.task, args.output, spec, args.threads, share)
    else:
        retrieve(args.index, args.task, args.output, spec, args.threads, args.shares, server)


if __name__ == "__main__":
    run_script(main)
