"""Rule `example_table`: Table 9 as CSV and as a page, from its cells."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_text
    from tlm.config.base import parse_json
    from tlm.config.experiments import ExamplesSpec
    from tlm.results.cells import read_cell
    from tlm.results.examples import as_csv, as_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="ExamplesSpec as JSON, or @file")
    parser.add_argument(
        "--cells", type=Path, nargs="+", required=True, help="its cells, in the order of tasks"
    )
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    options = parser.parse_args()
    spec = parse_json(ExamplesSpec, options.spec, "--spec")
    cells = [read_cell(path) for path in options.cells]
    write_text(options.html, as_page(spec, cells))
    write_text(options.csv, as_csv(cells))


if __name__ == "__main__":
    run_script(main)
