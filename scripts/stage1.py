"""Stage 1: train from scratch on external and task data. Also under `accelerate launch`."""

import argparse
from pathlib import Path

from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.training import RunSpec
from tlm.training.loop import Execution
from tlm.training.stage1 import run_stage1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="run specification as JSON, or @file")
    parser.add_argument("--task-tokens", type=Path, help="tokens of the task (none for rho1 = inf)")
    parser.add_argument("--external-tokens", type=Path, help="tokens of the selection (none for rho1 = 0)")
    parser.add_argument("--held-out-tokens", type=Path, help="a task's tokens whose dev texts are watched")
    parser.add_argument("--tokenizer", required=True, type=Path, help="tokenizer artifact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU even where there is a GPU")
    parser.add_argument("--compile", action="store_true", help="torch.compile (not bit-stable on CPU)")
    parser.add_argument("--tracker", action="append", default=[], help="tensorboard or wandb; repeatable")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    run_stage1(
        parse_json(RunSpec, args.spec, "--spec of the run"),
        args.task_tokens,
        args.external_tokens,
        args.tokenizer,
        args.output,
        args.threads,
        mlm_eval_tokens=args.held_out_tokens,
        execution=Execution(args.threads, args.cpu, args.compile, tuple(args.tracker)),
    )


if __name__ == "__main__":
    run_script(main)
