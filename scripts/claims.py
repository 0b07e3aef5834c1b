"""Rule `claims`: the ledger of the paper's claims as CSV, as Markdown and as a page."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.claims import Ledger
    from tlm.config.reported import load_reported
    from tlm.results.claims import HEADER, ledger_lines, open_sources, records
    from tlm.results.claims_page import as_markdown
    from tlm.results.rendering import csv_text
    from tlm.results.static import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="Ledger as JSON, or @file")
    parser.add_argument(
        "--made-from", type=Path, nargs="*", default=[], help="evaluations, attention artifacts"
    )
    parser.add_argument("--tasks", type=Path, nargs="*", default=[], help="tasks, for their sizes")
    parser.add_argument("--corpora", type=Path, nargs="*", default=[], help="corpora, for their sizes")
    parser.add_argument("--reported", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args()
    ledger = parse_json(Ledger, args.spec, "--spec")
    lines = ledger_lines(
        ledger, open_sources(args.made_from, args.tasks, args.corpora, load_reported(args.reported))
    )
    write_table(
        csv_text(HEADER, records(ledger, lines)),
        as_markdown(ledger, lines),
        args.csv,
        args.markdown,
        args.html,
    )


if __name__ == "__main__":
    run_script(main)
