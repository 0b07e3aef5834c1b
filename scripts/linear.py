"""Rule `linear`: a linear model on n-grams on one task, fitted and evaluated on dev and test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.linear import LinearSpec
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.linear import evaluate_linear


def main(
    *,
    run: Annotated[Sequence[str], "SCALE TASK VARIANT SEED"],
    task: Annotated[Path, "folder of the task artifact"],
    spec: LinearSpec,
    output: Annotated[Path, "folder of the evaluation artifact"],
) -> None:
    evaluate_linear(RunName.of(run), task, output, spec)


if __name__ == "__main__":
    run_script(main)
