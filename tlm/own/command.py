"""`tlm new`: check data of one's own, write its configuration, say what was found and what to run next.

Place in the flow: the command line's side of this package; its arguments are light to import, the rest is not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlm.errors import TlmError

_FOLDER = Path("config")
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def add_parser(commands: Any) -> None:
    """Add `new` to the subcommands of `tlm`."""
    parser = commands.add_parser(
        "new",
        help="a classifier from files of your own: check them and write a configuration",
        description="Checks a task and a corpus of your own, writes config/own/<name>.yaml, and prints what it found, "
        "what training will take, and the next command. Docs: docs/own-data.md.",
    )
    parser.add_argument("name", help="small letters, digits, '-', '_', '.'")
    task = parser.add_argument_group("the labelled texts (.csv, .tsv, .jsonl, .parquet, also compressed)")
    task.add_argument(
        "--task", nargs="+", required=True, metavar="FILE", help="split in three unless --dev, --test"
    )
    task.add_argument("--dev", nargs="+", metavar="FILE")
    task.add_argument("--test", nargs="+", metavar="FILE")
    task.add_argument("--text", nargs="+", default=["text"], metavar="COLUMN", help="default: text")
    task.add_argument("--pair", metavar="COLUMN", help="second text of a pair")
    task.add_argument("--label", default="label", metavar="COLUMN", help="default: label")
    task.add_argument("--regression", action="store_true", help="the label is a number to predict")
    task.add_argument("--metric", help="by default macro_f1, or pearson_spearman")
    task.add_argument("--document", metavar="COLUMN", help="rows with equal values stay in one split")
    task.add_argument("--merge", nargs="+", default=[], metavar="OLD=NEW", help="call a label otherwise")
    task.add_argument("--skip-empty", action="store_true", help="leave out rows without text or label")
    task.add_argument("--columns", nargs="+", metavar="NAME", help="of a CSV without a header line")
    task.add_argument("--encoding", default="utf-8", help="default: utf-8")
    corpus = parser.add_argument_group(
        "the unlabelled text (.txt, .jsonl, .csv, .parquet, any mix, also compressed)"
    )
    corpus.add_argument(
        "--corpus",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, folders, quoted globs; or a corpus's name",
    )
    corpus.add_argument("--corpus-text", nargs="+", default=["text"], metavar="COLUMN", help="default: text")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--budget", default="1h", metavar="TIME", help="for everything: 45m, 1h (default), 1h30m, 2d"
    )
    training.add_argument("--cores", type=int, help="default: all")
    training.add_argument(
        "--tokenizer",
        help="wordpiece; characters, for writing without spaces; or a name of the Hub or a folder (default: a guess)",
    )
    training.add_argument("--language", help="ISO 639-1, if the guess is wrong")
    training.add_argument("--gflops", type=float, help="GFLOP/s of one training job, instead of measuring it")
    parser.add_argument("--description", default="", help="what the labels say, in one line")
    parser.add_argument("--force", action="store_true", help="write over a configuration of that name")
    parser.set_defaults(run=run)


def seconds_of(text: str) -> float:
    """`1h30m` in seconds. Raises TlmError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([mhd])", text.lower())
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([mhd])", "", text.lower()).strip():
        raise TlmError(f"--budget {text}: say 45m, 1h, 1h30m or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def run(args: argparse.Namespace) -> None:
    """Check, choose, write and tell. Raises TlmError for data faults, before anything is written."""
    from tlm.artifacts import write_text
    from tlm.config.base import parse
    from tlm.config.own import OwnSpec
    from tlm.cost.jobs import read_project
    from tlm.own import summary
    from tlm.own.prepare import prepare
    from tlm.plan import tables
    from tlm.plan.own_tasks import own_file

    granted = seconds_of(args.budget)
    if (args.cores is not None and args.cores < 1) or (args.gflops is not None and args.gflops <= 0):
        raise TlmError("--cores and --gflops must be positive")
    path = own_file(_FOLDER, args.name)
    if not (_FOLDER / "config.yaml").is_file():
        raise TlmError(f"no {_FOLDER / 'config.yaml'} here: run this in the project's folder")
    if path.exists() and not args.force:
        raise TlmError(f"{path} exists; give --force to write over it, or choose another name")
    spec = parse(OwnSpec, declared(args), "tlm new")
    read_project([], _FOLDER, {args.name: spec})  # the name is free, and every key is right
    cores = args.cores or len(os.sched_getaffinity(0))
    characters = None if args.tokenizer is None else args.tokenizer == "characters"
    with tempfile.TemporaryDirectory(prefix="tlm-new-") as scratch:
        new = prepare(args.name, spec, granted, cores, args.gflops, _FOLDER, Path(scratch), characters)
        tables.check(read_project([], _FOLDER, {args.name: new.spec}))
        if new.vocabulary is not None:
            shutil.copytree(new.vocabulary, path.parent / new.vocabulary.name, dirs_exist_ok=True)
    write_text(path, new.text)
    print(summary.as_text(args.name, new, path))


def declared(args: argparse.Namespace) -> dict[str, Any]:
    """What the arguments say, as a configuration."""
    given = {split: files for split, files in (("dev", args.dev), ("test", args.test)) if files}
    task = {
        "files": {"train": _one(args.task), **{key: _one(each) for key, each in given.items()}}
        if given
        else _one(args.task),
        "text": _one(args.text),
        "text_pair": args.pair,
        "label": args.label,
        "problem": "regression" if args.regression else "classification",
        "metric": args.metric,
        "label_names": _merges(args.merge),
        "skip_empty": args.skip_empty,
        "columns": args.columns,
        "encodings": [args.encoding],
        "split": {"document": args.document},
    }
    known = (
        len(args.corpus) == 1
        and not Path(args.corpus[0]).exists()
        and re.fullmatch(r"[\w-]+", args.corpus[0])
    )
    corpus: Any = args.corpus[0] if known else {"files": args.corpus, "text": _one(args.corpus_text)}
    return {
        "description": args.description,
        "language": args.language,
        "task": task,
        "corpus": corpus,
        "training": _tokenizer(args),
    }


def _tokenizer(args: argparse.Namespace) -> Mapping[str, Any]:
    if args.tokenizer in (None, "wordpiece", "characters"):
        return {}
    return {"tokenizer": {"pretrained": args.tokenizer}}


def _one(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _merges(pairs: list[str]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if not all(pair.partition("="))]:
        raise TlmError(f"--merge {wrong[0]}: say OLD=NEW")
    return found
