"""Rule `differences`: differences between the rows of a table, with intervals, as CSV, as Markdown and as a page."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.differences import Differences
    from tlm.results.differences import all_differences, render
    from tlm.results.predictions import open_runs
    from tlm.results.static import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="Differences as JSON, or @file")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="evaluations")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args()
    spec = parse_json(Differences, args.spec, "--spec")
    rendered = render(spec, all_differences(spec, open_runs(args.runs)))
    write_table(rendered.csv, rendered.markdown, args.csv, args.markdown, args.html)


if __name__ == "__main__":
    run_script(main)
