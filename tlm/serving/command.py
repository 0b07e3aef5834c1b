"""The commands `tlm predict`, `tlm onnx` and `tlm push`, which use a finished model.

Place in the flow: between `tlm.cli` and this package. Importing this module builds
the arguments only; torch loads inside the commands.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.errors import TlmError
from tlm.formats.arguments import delimiter

if TYPE_CHECKING:
    from tlm.serving.linear_classifier import TextClassifier

_EXAMPLE = "mytask"
PREDICTORS = ("linear", "encoder", "blend")
"""Those of `tlm.evaluation.blend`, which is slow to import."""
_MODEL = "name of a model in models/, such as mytask, or the folder of any model"


def add_parser(commands: Any) -> None:
    """Add this package's subcommands to those of `tlm`."""
    _add_predict(commands)
    _add_onnx(commands)
    _add_push(commands)


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser(
        "predict",
        help="predict a file, or lines in a pipe, with a finished model",
        description="Predicts every row of a file of any size (--input, --output), or every line of standard input.",
        epilog=f"tlm predict {_EXAMPLE} --input new.csv --output scored.parquet;"
        f" echo 'some text' | tlm predict {_EXAMPLE}",
    )
    parser.add_argument("model", type=Path, help=_MODEL)
    files = parser.add_argument_group("a file")
    files.add_argument(
        "--input",
        type=Path,
        help=".csv, .tsv, .jsonl, .json, .parquet, .xlsx, or .txt with one text per line; also compressed or in a "
        ".zip; /dev/stdin with --kind",
    )
    files.add_argument(
        "--output",
        type=Path,
        help="all columns of --input and the predictions, as .csv, .tsv, .jsonl or .parquet",
    )
    files.add_argument(
        "--text",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of the text (default: the task's)",
    )
    files.add_argument(
        "--pair", metavar="COLUMN", help="column of the second text of a pair (default: the task's)"
    )
    files.add_argument(
        "--columns", type=_list, default=[], help="column names of a file without a header line: id,body"
    )
    files.add_argument(
        "--kind",
        help="format of --input, if its suffix does not show it: csv, tsv, jsonl, json, parquet, excel, text",
    )
    files.add_argument("--encoding", help="encoding of --input (default: that of the task, else UTF-8)")
    files.add_argument(
        "--delimiter",
        type=delimiter,
        metavar="CHARACTER",
        help="between the fields of a CSV or TSV; tab for a tab (default: recognised)",
    )
    files.add_argument(
        "--no-quotes",
        action="store_true",
        help="quotation marks of a CSV or TSV are plain characters (default: as in the task)",
    )
    files.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the only one)")
    files.add_argument("--chunk-rows", type=_positive, default=8192, help="rows in memory (%(default)s)")
    lines = parser.add_argument_group("standard input")
    lines.add_argument(
        "--format", choices=("tsv", "jsonl"), default="tsv", help="format of the output lines (%(default)s)"
    )
    answers = parser.add_argument_group("predictions")
    answers.add_argument("--prefix", default="", help="prefix of the new columns' names")
    answers.add_argument(
        "--with",
        dest="predictor",
        choices=PREDICTORS,
        help="the predictor of the model's folder (default: the best on dev, which its tlm.json names)",
    )
    answers.add_argument("--probabilities", action="store_true", help="add one column per class")
    answers.add_argument(
        "--label-separator",
        metavar="TEXT",
        help="between several labels of a row in .csv and .tsv (default: that of the task, else '|')",
    )
    answers.add_argument(
        "--allow-empty",
        action="store_true",
        help="accept rows without text, and leave their predictions empty",
    )
    speed = parser.add_argument_group("speed")
    speed.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one"
    )
    speed.add_argument(
        "--precision",
        choices=("fp32", "bf16", "auto"),
        default="fp32",
        help="fp32 (default): as evaluated; auto: bf16 where it is fast, which changes the third digit",
    )
    speed.add_argument(
        "--batch-size", type=_positive, help="texts per batch (default: as many as fit 8,192 tokens)"
    )
    speed.add_argument("--threads", type=_positive, help="default: all cores")
    parser.set_defaults(run=predict)


def _add_onnx(commands: Any) -> None:
    parser = commands.add_parser(
        "onnx",
        help="export a model as an ONNX file",
        description="Writes onnx/model.onnx into the model's folder, after comparing it with PyTorch."
        " Needs the extra `onnx`.",
    )
    parser.add_argument("model", type=Path, help=_MODEL)
    parser.set_defaults(run=onnx)


def _add_push(commands: Any) -> None:
    parser = commands.add_parser(
        "push",
        help="upload a model to the Hugging Face Hub",
        description="Uploads a model's folder to the Hub, as a private repository unless --public. Needs the token of"
        " `hf auth login` or the variable HF_TOKEN.",
    )
    parser.add_argument("model", type=Path, help=_MODEL)
    parser.add_argument("repository", help="user/name or organization/name")
    parser.add_argument(
        "--public", action="store_true", help="everybody can read the repository (default: private)"
    )
    parser.add_argument("--message", default="Upload a TLM model", help="commit message")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be uploaded, without a connection"
    )
    parser.set_defaults(run=push)


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def predict(args: argparse.Namespace) -> None:
    """Predict a file, or standard input. Raises TlmError for a faulty model, file or option."""
    if (args.input is None) != (args.output is None):
        raise TlmError(
            "--input and --output belong together; give both, or neither to read lines from standard input"
        )
    if args.threads is not None:
        os.environ.setdefault("RAYON_NUM_THREADS", str(args.threads))  # the tokenizer's own, read once
    from tlm.serving.folder import find_model
    from tlm.serving.predict import PredictOptions, predict_file
    from tlm.serving.predict_lines import predict_lines

    options = PredictOptions(
        text=tuple(args.text),
        pair=args.pair,
        names=tuple(args.columns),
        encoding=args.encoding,
        kind=args.kind,
        delimiter=args.delimiter,
        quoting=False if args.no_quotes else None,
        sheet=args.sheet,
        label_separator=args.label_separator,
        prefix=args.prefix,
        probabilities=args.probabilities,
        allow_empty=args.allow_empty,
        rows=args.chunk_rows,
    )
    if args.input is not None:
        _check_files(args)  # an error here comes before the model is loaded
    classifier = _classifier(find_model(args.model), args)
    if args.input is not None:
        summary = predict_file(classifier, args.input, args.output, options)
        print(f"{args.output}: {_in_words(summary)}", file=sys.stderr)
        return
    if sys.stdin.isatty():
        print("enter one text per line; Ctrl-D ends", file=sys.stderr)
    try:
        predict_lines(classifier, sys.stdin.buffer, sys.stdout, options, args.format)
    except BrokenPipeError:  # the reader of the pipe has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_files(args: argparse.Namespace) -> None:
    """Raise TlmError for an input that does not exist, and for a format that cannot be read or written."""
    from tlm.config.sources import why_no_file
    from tlm.formats.delimited import print_recognised
    from tlm.formats.files import Input, members
    from tlm.formats.registry import format_of, writer_of
    from tlm.formats.tables import OPTIONS, TableOptions

    writer_of(args.output)
    if str(args.input) == "-" or (args.input.exists() and not args.input.is_file()):
        name = "/dev/stdin" if str(args.input) == "-" else str(args.input)
        format_of(Input(Path(name), shown=name), args.kind, option=OPTIONS["kind"])
        return
    if not args.input.is_file():
        raise TlmError(f"--input {args.input}: {why_no_file(str(args.input))}")
    for source in members(args.input):
        format_of(source, args.kind, option=OPTIONS["kind"])
        if not args.columns:
            encodings = (args.encoding,) if args.encoding else ("utf-8", "latin-1")
            print_recognised(
                source, TableOptions(kind=args.kind, delimiter=args.delimiter, encodings=encodings)
            )


def _classifier(folder: Path, args: argparse.Namespace) -> TextClassifier:
    """The predictor that --with or `tlm.json` names; a linear model alone loads no torch."""
    from tlm.serving.linear_classifier import BlendedClassifier, LinearClassifier
    from tlm.serving.predictors import chosen_predictor

    use, found = chosen_predictor(folder, args.predictor)
    linear = LinearClassifier.load(folder, found) if found is not None and use != "encoder" else None
    if linear is not None and use == "linear":
        return linear
    from tlm.serving.classifier import Classifier  # imports torch

    encoder = Classifier.load(
        folder,
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        batch=args.batch_size,
    )
    if linear is None or found is None:
        return encoder
    return BlendedClassifier(encoder, linear, found.blend)


def _in_words(summary: Any) -> str:
    """`1,200 rows; garden 60.0%, kitchen 40.0%`."""
    parts = [f"{summary.rows:,} rows"]
    if summary.empty:
        parts.append(f"{summary.empty:,} without a text have no prediction")
    total = summary.rows - summary.empty  # with several labels a row, the shares may sum to more than 100 %
    shares = [f"{label} {count / total:.1%}" for label, count in summary.classes.most_common(10)]
    if shares:
        parts.append(", ".join(shares) + (" …" if len(summary.classes) > 10 else ""))
    if summary.without_label:
        parts.append(f"no label {summary.without_label / total:.1%}")
    return "; ".join(parts)


def onnx(args: argparse.Namespace) -> None:
    """Export a model. Raises TlmError as `export_onnx` does."""
    from tlm.serving.folder import ONNX, THRESHOLDS, find_model, read_folder
    from tlm.serving.onnx_file import export_onnx

    folder = find_model(args.model)
    difference = export_onnx(folder, folder / ONNX)
    print(f"{folder / ONNX}: written; its logits differ from PyTorch's by {difference:.0e} at most")
    if (folder / "tlm.json").is_file():
        print("It is the encoder alone: the linear model and the blend of tlm.json need `tlm predict`.")
    if read_folder(folder).problem.many:
        print(
            f"A label's probability is the sigmoid of its logit; `{THRESHOLDS}` of config.json decide who has it."
        )


def push(args: argparse.Namespace) -> None:
    """Upload a model. Raises TlmError as `tlm.serving.hub` does."""
    from tlm.serving.folder import find_model
    from tlm.serving.hub import plan, upload

    planned = plan(find_model(args.model), args.repository, public=args.public)
    print(planned.as_text())
    if not args.dry_run:
        print(upload(planned, message=args.message))
