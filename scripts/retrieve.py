"""Retrieve the top-k passages of every training text of a task."""

import argparse
from pathlib import Path

from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.retrieval import RetrievalSpec
from tlm.retrieval.stage import retrieve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="a RetrievalSpec (k, index, query) as JSON, or @file")
    parser.add_argument("--index", required=True, type=Path, help="directory of the index artifact")
    parser.add_argument("--task", required=True, type=Path, help="directory of the task artifact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    spec = parse_json(RetrievalSpec, args.spec, "--spec")
    retrieve(args.index, args.task, args.output, spec, args.threads)


if __name__ == "__main__":
    run_script(main)
