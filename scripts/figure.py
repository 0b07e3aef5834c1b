"""Rule `figure`: one figure as PDF and PNG, and the numbers in it as CSV."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.figures import Drawing
    from tlm.config.reported import load_reported
    from tlm.results.figures.draw import draw
    from tlm.results.figures.style import save, styled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="Drawing as JSON, or @file")
    parser.add_argument(
        "--made-from", type=Path, nargs="*", required=True, help="files that the figure is drawn from"
    )
    parser.add_argument("--reported", type=Path, default=Path("config/reported.yaml"))
    parser.add_argument("--pdf", type=Path, required=True)
    parser.add_argument("--png", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    drawing = parse_json(Drawing, options.spec, "--spec")
    with styled():
        drawn = draw(drawing, options.made_from, load_reported(options.reported))
        save(drawn, options.pdf, options.png, options.csv)


if __name__ == "__main__":
    run_script(main)
