"""`tlm predict`, `tlm onnx` and `tlm push`: what a finished model is used for.

Place in the flow: the command line's side of this package; its arguments are light to import, the rest is not.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tlm.errors import TlmError

_EXAMPLE = "models/mytask"


def add_parser(commands: Any) -> None:
    """Add this package's subcommands to those of `tlm`."""
    _add_predict(commands)
    _add_onnx(commands)
    _add_push(commands)


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="what a model says of a file, or of lines in a pipe",
        description="Predictions for a file of any size (--input, --output), or for every line of standard input.",
        epilog=f"tlm predict {_EXAMPLE} --input new.csv --output scored.parquet;"
        f" echo 'some text' | tlm predict {_EXAMPLE}",
    )
    parser.add_argument("model", type=Path, help=f"folder of a model, such as {_EXAMPLE}")
    files = parser.add_argument_group("a file")
    files.add_argument(
        "--input",
        type=Path,
        help=".csv, .tsv, .jsonl, .parquet, or .txt (a text a line); also .gz, .bz2, .xz, .zst",
    )
    files.add_argument("--output", type=Path, help=".csv, .tsv, .jsonl or .parquet: all columns, and ours")
    files.add_argument(
        "--text", nargs="+", default=[], metavar="COLUMN", help="of the text; by default the task's"
    )
    files.add_argument("--pair", metavar="COLUMN", help="of the second text of a pair; by default the task's")
    files.add_argument(
        "--columns", type=_list, default=[], help="names, for a file without a header: id,body"
    )
    files.add_argument("--encoding", help="of the file; by default the task's (UTF-8 if it named none)")
    files.add_argument("--chunk-rows", type=_positive, default=8192, help="rows in memory (%(default)s)")
    lines = parser.add_argument_group("standard input")
    lines.add_argument(
        "--format", choices=("tsv", "jsonl"), default="tsv", help="of the lines that come out (%(default)s)"
    )
    answers = parser.add_argument_group("predictions")
    answers.add_argument("--prefix", default="", help="before the names of the new columns")
    answers.add_argument("--probabilities", action="store_true", help="of all classes, not of the best alone")
    answers.add_argument(
        "--allow-empty", action="store_true", help="a row without text gets no prediction and ends nothing"
    )
    speed = parser.add_argument_group("speed")
    speed.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if any")
    speed.add_argument(
        "--precision",
        choices=("fp32", "bf16", "auto"),
        default="fp32",
        help="fp32 (default): as evaluated; auto: bf16 where it is fast, numbers differ in the third digit",
    )
    speed.add_argument("--batch-size", type=_positive, help="texts at once (default: as fit 8,192 tokens)")
    speed.add_argument("--threads", type=_positive, help="default: all cores")
    parser.set_defaults(run=predict)


def _add_onnx(commands: Any) -> None:
    parser = commands.add_parser(
        "onnx",
        help="a model as an ONNX file",
        description="Writes onnx/model.onnx into the model's folder, after comparing it with PyTorch."
        " Needs the extra `onnx`.",
    )
    parser.add_argument("model", type=Path, help=f"folder of a model, such as {_EXAMPLE}")
    parser.set_defaults(run=onnx)


def _add_push(commands: Any) -> None:
    parser = commands.add_parser(
        "push",
        help="a model to the Hugging Face Hub",
        description="Uploads a model's folder to the Hub, private unless you say otherwise. The token is that of"
        " `hf auth login` or of the variable HF_TOKEN.",
    )
    parser.add_argument("model", type=Path, help=f"folder of a model, such as {_EXAMPLE}")
    parser.add_argument("repository", help="user/name or organization/name")
    parser.add_argument("--public", action="store_true", help="everybody may read it (default: private)")
    parser.add_argument("--message", default="Upload a TLM model", help="of the commit")
    parser.add_argument("--dry-run", action="store_true", help="say what would be uploaded; asks no server")
    parser.set_defaults(run=push)


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def predict(args: argparse.Namespace) -> None:
    """Predict a file, or standard input. Raises TlmError for every fault of model, file or flags."""
    if (args.input is None) != (args.output is None):
        raise TlmError(
            "--input and --output belong together; without both, lines are read from standard input"
        )
    if args.threads is not None:
        os.environ.setdefault("RAYON_NUM_THREADS", str(args.threads))  # the tokenizer's own, read once
    from tlm.serving.classifier import Classifier  # imports torch
    from tlm.serving.predict import PredictOptions, predict_file, predict_lines

    options = PredictOptions(
        text=tuple(args.text),
        pair=args.pair,
        names=tuple(args.columns),
        encoding=args.encoding,
        prefix=args.prefix,
        probabilities=args.probabilities,
        allow_empty=args.allow_empty,
        rows=args.chunk_rows,
    )
    if args.input is not None:
        from tlm.formats.files import Input
        from tlm.formats.registry import format_of, writable_format

        (
            format_of(Input(args.input)),
            writable_format(args.output),
        )  # an error here comes before the model is loaded
    classifier = Classifier.load(
        args.model,
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        batch=args.batch_size,
    )
    if args.input is not None:
        summary = predict_file(classifier, args.input, args.output, options)
        print(f"{args.output}: {_in_words(summary)}", file=sys.stderr)
        return
    if sys.stdin.isatty():
        print("a text a line; Ctrl-D ends", file=sys.stderr)
    try:
        predict_lines(classifier, sys.stdin.buffer, sys.stdout, options, args.format)
    except BrokenPipeError:  # who reads us has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(summary: Any) -> str:
    """`1,200 rows; garden 60.0%, kitchen 40.0%`."""
    parts = [f"{summary.rows:,} rows"]
    if summary.empty:
        parts.append(f"{summary.empty:,} without a text have no prediction")
    total = sum(summary.classes.values())
    shares = [f"{label} {count / total:.1%}" for label, count in summary.classes.most_common(10)]
    if shares:
        parts.append(", ".join(shares) + (" …" if len(summary.classes) > 10 else ""))
    return "; ".join(parts)


def onnx(args: argparse.Namespace) -> None:
    """Export a model. Raises TlmError as `export_onnx` does."""
    from tlm.serving.folder import ONNX
    from tlm.serving.onnx_file import export_onnx

    difference = export_onnx(args.model, args.model / ONNX)
    print(f"{args.model / ONNX}: written; its logits differ from PyTorch's by {difference:.0e} at most")


def push(args: argparse.Namespace) -> None:
    """Upload a model. Raises TlmError as `tlm.serving.hub` does."""
    from tlm.serving.hub import plan, upload

    planned = plan(args.model, args.repository, public=args.public)
    print(planned.told())
    if not args.dry_run:
        print(upload(planned, message=args.message))
