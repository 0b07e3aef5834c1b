"""Rule `table`: a table as CSV, as Markdown and as a page, from its cells and the paper's own numbers."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.experiments import Table
    from tlm.config.reported import load_reported
    from tlm.results.cells import read_cell
    from tlm.results.static import write_table
    from tlm.results.tables import assemble_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="Table as JSON, or @file")
    parser.add_argument("--cells", type=Path, nargs="*", default=[], help="its cells, in any order")
    parser.add_argument("--reported", type=Path, default=Path("config/reported.yaml"))
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    options = parser.parse_args()
    rendered = assemble_table(
        parse_json(Table, options.spec, "--spec"),
        [read_cell(path) for path in options.cells],
        load_reported(options.reported),
    )
    write_table(rendered.csv, rendered.markdown, options.csv, options.markdown, options.html)


if __name__ == "__main__":
    run_script(main)
