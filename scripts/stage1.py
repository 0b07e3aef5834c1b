"""Stage 1: train from scratch on external and task data. Also under `accelerate launch`."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.forecast import forecast_seconds
    from tlm.config.training import RunSpec
    from tlm.training.execution import Execution
    from tlm.training.stage1 import run_stage1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="run specification as JSON, or @file")
    parser.add_argument("--task-tokens", type=Path, help="tokens of the task (none for rho1 = inf)")
    parser.add_argument("--external-tokens", type=Path, help="tokens of the selection (none for rho1 = 0)")
    parser.add_argument(
        "--held-out-tokens", type=Path, help="tokens of a task whose dev texts give the held-out loss"
    )
    parser.add_argument("--start", type=Path, help="a stage 1 artifact to continue from (PLM + MLM)")
    parser.add_argument(
        "--stable", type=Path, help="folder for the state before the decay; a longer run continues from it"
    )
    parser.add_argument("--forecast", type=Path, help="file of `tlm new` with the forecast of each job")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer artifact")
    Execution.add_arguments(parser)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    run_stage1(
        parse_json(RunSpec, args.spec, "--spec of the run"),
        args.task_tokens,
        args.external_tokens,
        args.tokenizer,
        args.output,
        held_out_tokens=args.held_out_tokens,
        start=args.start,
        stable=args.stable,
        expected_seconds=forecast_seconds(args.forecast, args.output),
        execution=Execution.of(args),
    )


if __name__ == "__main__":
    run_script(main)
