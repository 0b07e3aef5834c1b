"""Rule `cell`: one cell of a table, from the evaluations of its row's runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.experiments import CellSpec
    from tlm.results.cells import build_cell


def main(
    *,
    spec: CellSpec,
    runs: Annotated[Sequence[Path], "evaluations: folders or manifests"],
    output: Annotated[Path, "results/cells/<table>/<row>/<column>.json"],
) -> None:
    write_json(output, build_cell(spec, runs))


if __name__ == "__main__":
    run_script(main)
