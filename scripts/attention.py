"""Rule `attention`: the attention heads of one trained model, measured on dev texts and on example sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.figures import HeadsSpec
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.attention_weights import read_heads


def main(
    *,
    run: Annotated[Sequence[str], "SCALE TASK VARIANT SEED"],
    spec: HeadsSpec,
    task: Annotated[Path, "folder of the task artifact"],
    stage1: Annotated[Path | None, "folder of stage 1, for a run without stage 2"] = None,
    stage2: Annotated[Path | None, "folder of stage 2"] = None,
    threads: int = 1,
    output: Annotated[Path, "folder of the attention artifact"],
) -> None:
    read_heads(RunName.of(run), task, output, spec, stage1_dir=stage1, stage2_dir=stage2, threads=threads)


if __name__ == "__main__":
    run_script(main)
