"""Rule `evaluate`: metrics and predictions of one trained run on dev and test, and its cost in FLOPs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.evaluate import evaluate_run


def main(
    *,
    run: Annotated[Sequence[str], "SCALE TASK VARIANT SEED"],
    task: Annotated[Path, "folder of the task artifact"],
    stage1: Annotated[Path | None, "folder of stage 1; leave out for a Hub checkpoint"] = None,
    pretraining: Annotated[Path | None, "folder of the pretraining that stage 1 continued"] = None,
    stage2: Annotated[Path | None, "folder of stage 2; leave out to evaluate stage 1"] = None,
    data: Annotated[Path | None, "selection or corpus that stage 1 read; none: task data only"] = None,
    threads: int = 1,
    output: Annotated[Path, "folder of the evaluation artifact"],
) -> None:
    evaluate_run(
        RunName.of(run),
        task,
        output,
        stage1_dir=stage1,
        pretraining_dir=pretraining,
        stage2_dir=stage2,
        data_dir=data,
        threads=threads,
    )


if __name__ == "__main__":
    run_script(main)
