"""Rule `differences`: the differences between the rows of a table, with intervals, as CSV and Markdown."""

import argparse
from pathlib import Path

from tlm.artifacts import write_text
from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.compared import Differences
from tlm.results.differences import all_differences, render
from tlm.results.predictions import open_runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="Differences as JSON, or @file")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="evaluations")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    args = parser.parse_args()
    spec = parse_json(Differences, args.spec, "--spec")
    rendered = render(spec, all_differences(spec, open_runs(args.runs)))
    write_text(args.markdown, rendered.markdown)
    write_text(args.csv, rendered.csv)


if __name__ == "__main__":
    run_script(main)
