"""The command `tlm new`: check the user's data, write a configuration, print the findings and the next command.

Place in the flow: between `tlm.cli` and this package. Importing this module builds the arguments only.
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
from tlm.formats.arguments import delimiter

_FOLDER = Path("config")
ROW_FORMATS = (
    "csv",
    "tsv",
    "jsonl",
    "json",
    "parquet",
    "excel",
    "fasttext",
)  # a test compares with the registry
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def add_parser(commands: Any) -> None:
    """Add `new` to the subcommands of `tlm`."""
    parser = commands.add_parser(
        "new",
        help="check your files and write the configuration of a classifier",
        description="Checks your task and your corpus, writes config/own/<name>.yaml, and prints the findings, the "
        "expected training time and the next command. Docs: docs/own-data.md.",
    )
    parser.add_argument("name", help="small letters, digits, '-', '_', '.'")
    task = parser.add_argument_group(
        "the labelled texts (.csv, .tsv, .jsonl, .json, .parquet, .xlsx, fastText lines; also compressed or zipped)"
    )
    task.add_argument(
        "--task",
        nargs="+",
        required=True,
        metavar="FILE",
        help="split into train, dev and test; or OWNER/NAME of a data set on the Hugging Face Hub",
    )
    task.add_argument("--dev", nargs="+", metavar="FILE", help="default: a share of --task")
    task.add_argument("--test", nargs="+", metavar="FILE", help="default: a share of --task")
    task.add_argument(
        "--unlabelled",
        nargs="+",
        metavar="FILE",
        help="more texts of the same kind without labels: they retrieve passages, and stage 1 reads them",
    )
    task.add_argument(
        "--unlabelled-text", nargs="+", metavar="COLUMN", help="their column (default: that of --text)"
    )
    task.add_argument(
        "--text",
        nargs="+",
        default=["text"],
        metavar="COLUMN",
        help="default: text; a.b is the key b of objects in column a",
    )
    task.add_argument("--pair", metavar="COLUMN", help="column of the second text of a pair")
    task.add_argument("--label", default="label", metavar="COLUMN", help="default: label")
    task.add_argument("--regression", action="store_true", help="predict the label as a number")
    task.add_argument(
        "--multi-label",
        action="store_true",
        help="a row has any number of labels: --label holds lists (.jsonl, .parquet)",
    )
    task.add_argument(
        "--label-separator", metavar="TEXT", help="--label holds several labels as text, such as a|b: '|'"
    )
    task.add_argument(
        "--label-columns", type=_list, metavar="A,B,C", help="one column per label, which holds 0 or 1"
    )
    task.add_argument(
        "--metric",
        help="default: macro_f1; with --regression pearson_spearman; for several labels also micro_f1 and"
        " mean_average_precision",
    )
    task.add_argument("--document", metavar="COLUMN", help="keep rows with equal values in one split")
    task.add_argument(
        "--merge",
        nargs="+",
        default=[],
        metavar="OLD=NEW",
        help="rename labels; equal names merge; of several labels a row, OLD= leaves one out",
    )
    task.add_argument("--skip-empty", action="store_true", help="leave out rows without text or label")
    task.add_argument(
        "--columns", nargs="+", metavar="NAME", help="column names of a CSV or sheet without a header line"
    )
    task.add_argument("--kind", help=f"format, if the suffix does not show it: {', '.join(ROW_FORMATS)}")
    _add_reader_options(task, "--")
    corpus = parser.add_argument_group(
        "the unlabelled text (any mix of .txt, .md, .html and the formats above; also compressed or zipped)"
    )
    corpus.add_argument(
        "--corpus",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, folders, quoted globs; or the name of a declared corpus",
    )
    corpus.add_argument("--corpus-text", nargs="+", default=["text"], metavar="COLUMN", help="default: text")
    _add_reader_options(corpus, "--corpus-")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--budget",
        default="1h",
        metavar="TIME",
        help="time for the whole build: 45m, 1h (default), 1h30m, 2d. All that data, index and the simple rivals leave "
        "goes into one model, unless --compare or --seeds divides it",
    )
    training.add_argument(
        "--compare",
        action="store_true",
        help="also train on the task's data alone and with random passages, to show the effect of retrieval: three "
        "trainings per seed share the time instead of one",
    )
    training.add_argument(
        "--seeds", type=int, metavar="N", help="trainings of each method, with seeds 1 to N (default: 1)"
    )
    training.add_argument(
        "--stop-at-budget",
        action="store_true",
        help="limit stage 1 to its time: if the machine is too slow, training ends early with fewer steps",
    )
    training.add_argument("--cores", type=int, help="default: all")
    training.add_argument(
        "--tokenizer",
        help="wordpiece; characters (writing without spaces); a folder or a name on the Hub (default: a guess)",
    )
    training.add_argument("--language", help="ISO 639-1 code (default: a guess)")
    training.add_argument("--gflops", type=float, help="GFLOP/s of one training job (default: measured)")
    parser.add_argument("--description", default="", help="the meaning of the labels, in one line")
    parser.add_argument("--force", action="store_true", help="overwrite a configuration of this name")
    parser.set_defaults(run=run)


def _add_reader_options(group: Any, prefix: str) -> None:
    """The options of reading files, for the task and for the corpus."""
    group.add_argument(f"{prefix}encoding", default="utf-8", help="default: utf-8")
    group.add_argument(
        f"{prefix}delimiter",
        type=delimiter,
        metavar="CHARACTER",
        help="between the fields of a CSV or TSV; tab for a tab (default: recognised)",
    )
    group.add_argument(
        f"{prefix}no-quotes", action="store_true", help="quotation marks of a CSV or TSV are plain characters"
    )
    group.add_argument(f"{prefix}sheet", metavar="NAME", help="sheet of a workbook (default: the only one)")


def seconds_of(text: str) -> float:
    """`1h30m` in seconds. Raises TlmError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([mhd])", text.lower())
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([mhd])", "", text.lower()).strip():
        raise TlmError(f"--budget {text}: write a time such as 45m, 1h, 1h30m or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def run(args: argparse.Namespace) -> None:
    """Check the data, choose settings, write and print. Raises TlmError for faults before anything is written."""
    from tlm.artifacts import write_json, write_text
    from tlm.config.base import parse
    from tlm.config.own import OwnSpec
    from tlm.cost.jobs import read_project
    from tlm.own import summary
    from tlm.own.hub import with_hub_files
    from tlm.own.prepare import prepare
    from tlm.plan import tables
    from tlm.plan.own_tasks import forecast_file, own_file

    granted = seconds_of(args.budget)
    if any(given is not None and given <= 0 for given in (args.cores, args.gflops, args.seeds)):
        raise TlmError("--cores, --gflops and --seeds must be positive")
    path = own_file(_FOLDER, args.name)
    if not (_FOLDER / "config.yaml").is_file():
        raise TlmError(f"no {_FOLDER / 'config.yaml'} here: run this command in the project's folder")
    if path.exists() and not args.force:
        raise TlmError(f"{path} exists; give --force to overwrite it, or choose another name")
    with_hub_files(args)
    try:
        spec = parse(OwnSpec, declared(args), "tlm new")
        read_project([], _FOLDER, {args.name: spec})  # raises if the name is taken or a key is wrong
    except TlmError as error:
        raise TlmError(_in_options(str(error), path)) from None
    cores = args.cores or len(os.sched_getaffinity(0))
    characters = None if args.tokenizer is None else args.tokenizer == "characters"
    with tempfile.TemporaryDirectory(prefix="tlm-new-") as scratch:
        new = prepare(
            *(args.name, spec, granted, cores, args.gflops, _FOLDER, Path(scratch), characters),
            stop=args.stop_at_budget,
        )
        tables.check(read_project([], _FOLDER, {args.name: new.spec}))
        if new.vocabulary is not None:
            shutil.copytree(new.vocabulary, path.parent / new.vocabulary.name, dirs_exist_ok=True)
    write_text(path, new.text)
    write_json(forecast_file(_FOLDER, args.name), new.forecast.model_dump(mode="json"))
    print(summary.as_text(args.name, new, path))


_OPTIONS = {
    "task.files": "--task",
    "corpus.files": "--corpus",
    "corpus": "--corpus",
    "task.metric": "--metric",
    "task.unlabelled": "--unlabelled",
    "task.label_names": "--merge",
    "or give `files:`": "or name files",
}
"""A key of the configuration in an error message → the option that sets it."""


def _in_options(message: str, path: Path) -> str:
    """An error message about the configuration in the words of the command line."""
    for key, option in _OPTIONS.items():
        for place in ("tlm new", str(path)):
            message = message.replace(f"{place}: {key}:", f"{option}:")
        if key.startswith("or "):
            message = message.replace(key, option)
    return message


def declared(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments as the values of a configuration."""
    given = {split: files for split, files in (("dev", args.dev), ("test", args.test)) if files}
    task = {
        "files": {"train": _one(args.task), **{key: _one(each) for key, each in given.items()}}
        if given
        else _one(args.task),
        "text": _one(args.text),
        "text_pair": args.pair,
        "unlabelled": _one(args.unlabelled) if args.unlabelled else None,
        "unlabelled_text": _one(args.unlabelled_text) if args.unlabelled_text else None,
        "label": args.label,
        "label_separator": args.label_separator,
        "label_columns": args.label_columns,
        "problem": _problem(args),
        "metric": args.metric,
        "label_names": _merges(args.merge, empty=_problem(args) == "multi_label"),
        "skip_empty": args.skip_empty,
        "columns": args.columns,
        "kind": args.kind,
        "encodings": [args.encoding],
        "delimiter": args.delimiter,
        "quoting": not args.no_quotes,
        "sheet": args.sheet,
        "split": {"document": args.document},
    }
    known = (
        len(args.corpus) == 1
        and not Path(args.corpus[0]).exists()
        and re.fullmatch(r"[\w-]+", args.corpus[0])
    )
    files = {
        "files": args.corpus,
        "text": _one(args.corpus_text),
        "encodings": [args.corpus_encoding],
        "delimiter": args.corpus_delimiter,
        "quoting": not args.corpus_no_quotes,
        "sheet": args.corpus_sheet,
    }
    corpus: Any = args.corpus[0] if known else files
    return {
        "description": args.description,
        "language": args.language,
        "task": task,
        "corpus": corpus,
        "training": {**_tokenizer(args), **({"seeds": [*range(1, args.seeds + 1)]} if args.seeds else {})},
        "compare": args.compare,
    }


def _problem(args: argparse.Namespace) -> str:
    """The kind of task; an option for the form of several labels implies --multi-label."""
    many = args.multi_label or args.label_separator or args.label_columns
    if many and args.regression:
        raise TlmError("--regression and several labels a row exclude each other; leave one out")
    if args.label_separator and args.label_columns:
        raise TlmError("--label-separator and --label-columns exclude each other; leave one out")
    return "multi_label" if many else "regression" if args.regression else "classification"


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _tokenizer(args: argparse.Namespace) -> Mapping[str, Any]:
    if args.tokenizer in (None, "wordpiece", "characters"):
        return {}
    return {"tokenizer": {"pretrained": args.tokenizer}}


def _one(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _merges(pairs: list[str], *, empty: bool) -> dict[str, str]:
    """Old name → new name, which can be empty if a row has several labels."""
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if not all(pair.partition("=")[: 2 if empty else 3])]:
        raise TlmError(f"--merge {wrong[0]}: write OLD=NEW")
    return found
