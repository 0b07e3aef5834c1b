"""Rule `settings`: Table A.1 or B.1 as CSV, as Markdown and as a page, from its cells and the paper's own numbers."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.hyperparameters import TABLES
    from tlm.config.reported import load_reported
    from tlm.results.hyperparameters import assemble, read_settings
    from tlm.results.static import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, choices=TABLES)
    parser.add_argument(
        "--cells", type=Path, nargs="+", required=True, help="its cells, in the order of the rows"
    )
    parser.add_argument("--reported", type=Path, default=Path("config/reported.yaml"))
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    options = parser.parse_args()
    settings = [setting for path in options.cells for setting in read_settings(path)]
    rendered = assemble(options.name, settings, load_reported(options.reported))
    write_table(rendered.csv, rendered.markdown, options.csv, options.markdown, options.html)


if __name__ == "__main__":
    run_script(main)
