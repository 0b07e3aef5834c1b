"""Convert a classifier that the paper's authors released into the native format; nothing is trained."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.training import RunSpec
    from tlm.training.released import convert_released


def main(
    *,
    spec: RunSpec,
    task: Annotated[Path, "task artifact"],
    rows: Annotated[Path, "source artifact with the authors' rows of the task"],
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    convert_released(spec, task, rows, output)


if __name__ == "__main__":
    run_script(main)
