"""The command `tlm new` in this process, with a speed that is given instead of measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tlm.own import command


def new(*arguments: str, corpus: Sequence[str] = ("heap.jsonl",), name: str = "mine") -> None:
    """`tlm new` with `arguments` and the corpus."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(required=True))
    speed = ["--gflops", "50", "--cores", "2", "--budget", "20m"]
    args = parser.parse_args(["new", name, *speed, *arguments, "--corpus", *corpus])
    args.run(args)
