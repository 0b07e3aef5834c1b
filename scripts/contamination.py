"""Rule `contamination`: the counts of all audits of a scale as CSV, as Markdown and as a page."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.experiments import ContaminationTable
    from tlm.results.contamination import assemble, entries_of
    from tlm.results.static import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--spec", help="ContaminationTable as JSON, or @file")
    which.add_argument(
        "--audits", type=Path, nargs="+", help="folders of any audits, in the order of the lines"
    )
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, help="path of the page (default: beside the CSV)")
    args = parser.parse_args()
    table = parse_json(ContaminationTable, args.spec, "--spec") if args.spec else entries_of(args.audits)
    rendered = assemble(table)
    page = args.html or args.csv.with_suffix(".html")
    write_table(rendered.csv, rendered.markdown, args.csv, args.markdown, page)


if __name__ == "__main__":
    run_script(main)
