"""Index a corpus for BM25: on disk, at once or in shares, or on an Elasticsearch server."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.retrieval import IndexSpec
    from tlm.retrieval.elastic.flags import add_flags, server_of
    from tlm.retrieval.index import build_index, build_share, parse_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="retrieval.index as JSON, or @file")
    parser.add_argument("--corpus", required=True, type=Path, help="directory of the corpus artifact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--share", help="I/N: build share I (from 0) of N of the blocks, for --shares")
    parser.add_argument(
        "--shares", nargs="+", type=Path, default=[], help="directories of all shares, to join"
    )
    add_flags(parser)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    server = server_of(args)
    spec = parse_json(IndexSpec, args.spec, "--spec")
    if args.elasticsearch:
        # Its client is loaded only where it is wanted.
        from tlm.retrieval.elastic.index import build_elastic_index

        build_elastic_index(args.corpus, args.output, spec, server)
    elif args.share:
        build_share(args.corpus, args.output, spec, args.threads, parse_share(args.share))
    else:
        build_index(args.corpus, args.output, spec, args.threads, args.shares)


if __name__ == "__main__":
    run_script(main)
