"""Tokenize a task, a selection or a whole corpus."""

import argparse
import os
from pathlib import Path

from tlm.process import quick_imports, run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--task", type=Path, help="task artifact: one store per split, with labels")
    source.add_argument("--selection", type=Path, help="selection or corpus artifact: one store")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer artifact")
    parser.add_argument(
        "--length", required=True, type=int, help="largest number of tokens stored for a text"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)  # read when the tokenizer is loaded
    with quick_imports():
        from tlm.training.tokens import tokenize_selection, tokenize_task

    if args.task is not None:
        tokenize_task(args.task, args.tokenizer, args.output, args.length)
    else:
        tokenize_selection(args.selection, args.tokenizer, args.output, args.length)


if __name__ == "__main__":
    run_script(main)
