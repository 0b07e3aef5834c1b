"""Train a WordPiece tokenizer on a corpus, or fetch a pretrained one."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.training import TokenizerSpec
    from tlm.training.tokenizer import build_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="corpus artifact to learn from (none: pretrained)")
    parser.add_argument("--spec", required=True, help="tokenizer specification as JSON, or @file")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    build_tokenizer(args.corpus, args.output, parse_json(TokenizerSpec, args.spec, "--spec of the tokenizer"))


if __name__ == "__main__":
    run_script(main)
