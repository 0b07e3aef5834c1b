"""The command `tlm train`: build an own task, with more time, a comparison or more seeds.

Place in the flow: after `tlm new`. It changes single values of `config/own/<name>.yaml`, writes the forecast of the
jobs that are still needed, and starts Snakemake. The same file, built from the start, gives the same model.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tlm.errors import TlmError
from tlm.layout import TASK_REPORT
from tlm.own.command import seconds_of

_FOLDER = Path("config")


def add_parser(commands: Any) -> None:
    """Add `train` to the subcommands of `tlm`."""
    parser = commands.add_parser(
        "train",
        help="build the classifier of `tlm new`, or train it further",
        description="Builds the report and the model of config/own/<name>.yaml. The options first change values in "
        "this file. An interrupted build continues. Docs: docs/own-data.md.",
    )
    parser.add_argument("name", help="the name that you gave to `tlm new`")
    parser.add_argument(
        "--budget",
        metavar="+TIME",
        help="train the finished model further, for so much time: +30m, +2h. Stage 1 continues from its state before "
        "the decay of the learning rate and makes the decay again; stage 2 follows",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also train on the task's data alone and with random passages, to show the effect of retrieval",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="train each method with the seeds 1 to N")
    parser.add_argument(
        "--stop-at-budget",
        action="store_true",
        help="limit stage 1 to its time: if the machine is too slow, training ends early with fewer steps. Also for a "
        "build that was interrupted",
    )
    parser.add_argument("--cores", type=int, help="default: all")
    parser.add_argument("--plan", action="store_true", help="change the file and print the forecast only")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Change the file, print the forecast, build. Raises TlmError; the file then stays as it was."""
    from tlm.artifacts import write_json, write_text
    from tlm.config.forecast import read_forecast
    from tlm.own.train import plan_build, summary
    from tlm.plan.own_tasks import forecast_file, own_file
    from tlm.snakemake_adapter import build

    if any(given is not None and given <= 0 for given in (args.cores, args.seeds)):
        raise TlmError("--cores and --seeds must be positive")
    granted = None
    if args.budget is not None:
        if not args.budget.startswith("+"):
            raise TlmError(
                f"--budget {args.budget}: write the time to add, such as +30m or +2h; for a budget from the start: "
                f"`tlm new {args.name} --force --budget {args.budget}`"
            )
        granted = seconds_of(args.budget[1:])
    path = own_file(_FOLDER, args.name)
    if not path.is_file():
        raise TlmError(f"no {path}: declare the task first, with `tlm new {args.name}`")
    before, cores = path.read_text(encoding="utf-8"), args.cores or len(os.sched_getaffinity(0))
    target = TASK_REPORT.file("html").format(task=args.name)
    try:
        planned = plan_build(
            args.name,
            _FOLDER,
            target,
            cores,
            granted=granted,
            compare=args.compare,
            seeds=args.seeds,
            stop=args.stop_at_budget,
        )
    except BaseException:
        write_text(path, before)
        raise
    print(summary(args.name, planned, path))
    if not planned.forecast.jobs:
        return
    file = forecast_file(_FOLDER, args.name)
    earlier = read_forecast(file)
    if granted is not None or earlier is None or not earlier.covers(planned.forecast):
        write_json(file, planned.forecast.model_dump(mode="json"))
    if not args.plan:
        sys.stdout.flush()
        if status := build([target], cores):
            raise SystemExit(status)
