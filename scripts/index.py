"""Index a corpus for BM25."""

import argparse
from pathlib import Path

from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.retrieval import IndexSpec
from tlm.retrieval.index import build_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="retrieval.index as JSON, or @file")
    parser.add_argument("--corpus", required=True, type=Path, help="directory of the corpus artifact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    build_index(args.corpus, args.output, parse_json(IndexSpec, args.spec, "--spec"), args.threads)


if __name__ == "__main__":
    run_script(main)
