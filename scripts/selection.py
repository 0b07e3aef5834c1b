"""Select passages of a corpus as external data: by retrieval, by importance, at random, or all of it."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.retrieval import Selector
    from tlm.retrieval.selection import select


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="a selector as JSON, or @file")
    parser.add_argument("--corpus", required=True, type=Path, help="directory of the corpus artifact")
    parser.add_argument("--retrieval", type=Path, help="directory of the retrieval artifact (bm25)")
    parser.add_argument(
        "--like", type=Path, help="directory of the selection whose size is taken (random, dsir)"
    )
    parser.add_argument("--task", type=Path, help="directory of the task artifact (dsir)")
    parser.add_argument(
        "--without", type=Path, nargs="+", default=[], help="audits of the corpus whose passages are left out"
    )
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    selector = parse_json(Selector, args.spec, "--spec").root
    inputs = {"retrieval_dir": args.retrieval, "like": args.like, "task_dir": args.task}
    select(selector, args.corpus, args.output, **inputs, without=args.without)


if __name__ == "__main__":
    run_script(main)
