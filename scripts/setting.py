"""Rule `setting`: one cell of Table A.1 or B.1, the hyper-parameters of a scale."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.base import parse_json
    from tlm.config.hyperparameters import ScaleSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="ScaleSettings as JSON, or @file")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    write_json(options.output, parse_json(ScaleSettings, options.spec, "--spec").as_cell())


if __name__ == "__main__":
    run_script(main)
