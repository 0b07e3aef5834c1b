"""Rule `cell`: one cell of a table, from the evaluations of its row's runs."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.base import parse_json
    from tlm.config.experiments import CellSpec
    from tlm.results.cells import build_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="CellSpec as JSON, or @file")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="evaluations: folders or manifests"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="results/cells/<table>/<row>/<column>.json"
    )
    options = parser.parse_args()
    write_json(options.output, build_cell(parse_json(CellSpec, options.spec, "--spec"), options.runs))


if __name__ == "__main__":
    run_script(main)
