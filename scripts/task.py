"""Build one task: parse, check, split, write Parquet."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.data import TaskSpec
    from tlm.tasks.build import build_task


def main(
    *,
    name: Annotated[str, "the task's name in config/tasks.yaml"],
    spec: TaskSpec,
    source: Annotated[Path, "folder of the source artifact"],
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    build_task(name, spec, source, output)


if __name__ == "__main__":
    run_script(main)
