"""Stage 1: train from scratch on external and task data. Also under `accelerate launch`."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.forecast import forecast_seconds
    from tlm.config.training import RunSpec
    from tlm.training.execution import Cpu, Execution, Trackers
    from tlm.training.stage1 import run_stage1


def main(
    *,
    spec: RunSpec,
    task_tokens: Annotated[Path | None, "tokens of the task (none for rho1 = inf)"] = None,
    external_tokens: Annotated[Path | None, "tokens of the selection (none for rho1 = 0)"] = None,
    held_out_tokens: Annotated[Path | None, "tokens of a task whose dev texts give the held-out loss"] = None,
    start: Annotated[Path | None, "a stage 1 artifact to continue from (PLM + MLM)"] = None,
    stable: Annotated[
        Path | None, "folder for the state before the decay; a longer run continues from it"
    ] = None,
    forecast: Annotated[Path | None, "file of `tlm new` with the forecast of each job"] = None,
    tokenizer: Annotated[Path, "tokenizer artifact"],
    threads: int = 1,
    cpu: Cpu = False,
    tracker: Trackers = (),
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    run_stage1(
        spec,
        task_tokens,
        external_tokens,
        tokenizer,
        output,
        held_out_tokens=held_out_tokens,
        start=start,
        stable=stable,
        expected_seconds=forecast_seconds(forecast, output),
        execution=Execution(threads, cpu, tracker),
    )


if __name__ == "__main__":
    run_script(main)
