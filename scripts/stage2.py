"""Stage 2: finetune on the task and keep the best dev checkpoint. Also under `accelerate launch`."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.training import RunSpec
    from tlm.training.execution import Cpu, Execution, Trackers
    from tlm.training.stage2 import run_stage2


def main(
    *,
    spec: RunSpec,
    stage1: Annotated[Path | None, "stage 1 artifact (none: start from model.pretrained)"] = None,
    task_tokens: Annotated[Path, "tokens of the task"],
    tokenizer: Annotated[Path, "tokenizer artifact"],
    threads: int = 1,
    cpu: Cpu = False,
    tracker: Trackers = (),
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    run_stage2(spec, stage1, task_tokens, tokenizer, output, execution=Execution(threads, cpu, tracker))


if __name__ == "__main__":
    run_script(main)
