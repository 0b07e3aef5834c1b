"""Stage 2: finetune on the task and keep the best dev checkpoint. Also under `accelerate launch`."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.training import RunSpec
    from tlm.training.execution import Execution
    from tlm.training.stage2 import run_stage2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="run specification as JSON, or @file")
    parser.add_argument("--stage1", type=Path, help="stage 1 artifact (none: start from model.pretrained)")
    parser.add_argument("--task-tokens", required=True, type=Path, help="tokens of the task")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer artifact")
    Execution.add_arguments(parser)
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    run_stage2(
        parse_json(RunSpec, args.spec, "--spec of the run"),
        args.stage1,
        args.task_tokens,
        args.tokenizer,
        args.output,
        execution=Execution.of(args),
    )


if __name__ == "__main__":
    run_script(main)
