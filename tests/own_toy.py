"""The command `tlm new` in this process, with a speed that is given instead of measured, and a project to run it in."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import toy
from conftest import ROOT

from tlm.own import command


def write_project(folder: Path) -> Path:
    """The shipped configuration, with a task and a corpus of a user's own beside it."""
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns("own"))
    toy.write_task(folder / "rows.csv", 200)
    toy.write_corpus(folder / "heap.jsonl", 300)
    return folder


def new(*arguments: str, corpus: Sequence[str] = ("heap.jsonl",), name: str = "mine") -> None:
    """`tlm new` with `arguments` and the corpus."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(required=True))
    speed = ["--gflops", "50", "--cores", "2", "--budget", "20m"]
    args = parser.parse_args(["new", name, *speed, *arguments, "--corpus", *corpus])
    args.run(args)
