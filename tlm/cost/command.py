"""`tlm cost`: estimates the cost of targets before they are run.

Place in the flow: the command line of this package.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from tlm.config.training import ModelSpec
from tlm.cost.estimate import estimate
from tlm.cost.facts import DataFacts
from tlm.cost.jobs import pending, read_project
from tlm.cost.machine import CPU, GPUS, HERE, STEP_SECONDS, UTILISATION, Rate, gpu
from tlm.cost.printed import EstimateContext, as_json, as_text
from tlm.cost.training_rules import RateOf
from tlm.errors import TlmError


def add_parser(commands: Any) -> None:
    """Add `cost` to the subcommands of `tlm`."""
    parser = commands.add_parser(
        "cost",
        help="estimate the cost of a target before it is run",
        description="Estimate runs, tokens, FLOPs, time and disk of the jobs that a target still needs.",
    )
    parser.add_argument("targets", nargs="*", help="targets, as for snakemake (default: everything)")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as for snakemake"
    )
    parser.add_argument(
        "--device",
        default=HERE,
        help=f"{HERE} (default): this machine's GPU if it has one, else its processor, measured; {CPU}: its "
        f"processor; or a GPU by its data sheet: {', '.join(GPUS)}",
    )
    parser.add_argument(
        "--utilisation", type=float, default=UTILISATION, help="share of a GPU's peak (default: %(default)s)"
    )
    parser.add_argument("--gflops", type=float, help="GFLOP/s of one training job (default: measured)")
    parser.add_argument(
        "--cores", type=int, default=_cores(), help="number of cores (default: all, here %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the estimate. Raises TlmError for an unknown target or device and for an invalid configuration."""
    if args.cores < 1 or (args.gflops is not None and args.gflops <= 0):
        raise TlmError("--cores and --gflops must be positive")
    known = None if args.gflops is None else Rate(0.0, args.gflops * 1e9)
    if args.device not in (HERE, CPU):
        known = gpu(args.device, args.utilisation)
    jobs = pending(args.targets, args.config, str(args.cores))
    project = read_project(args.config)
    facts = DataFacts(project)
    measured: dict[str, Rate] = {}
    here = measuring(facts, args.device, measured, project.scale.threads)
    found = estimate(jobs, facts, here if known is None else lambda *_: known)
    context = EstimateContext(
        targets=tuple(args.targets),
        scale=project.settings.scale,
        device=args.device,
        speed=_speed(args, measured),
        cores=args.cores,
        threads=project.scale.threads,
        gpu=any(rate.gpu for rate in (known, *measured.values()) if rate is not None),
    )
    print(json.dumps(as_json(found, context), indent=2) if args.json else as_text(found, context))


def measuring(facts: DataFacts, where: str, seen: dict[str, Rate], threads: int) -> RateOf:
    """A function that measures each size of model once, with `threads`, and collects the rates in `seen`."""

    def rate_of(model: ModelSpec, vocabulary: int, rows: int, length: int) -> Rate:
        name = f"{model.architecture} {model.layers} x {model.hidden_size}"
        if name not in seen:  # measured with its first batch: FLOPs a second hardly depend on the batch
            from tlm.cost.timing import measure_rate  # imports torch, which only a measurement needs

            seen[name] = measure_rate(
                model,
                vocabulary,
                where=where,
                rows=rows,
                length=length,
                precision=facts.project.settings.precision,
                threads=threads,
            )
        return seen[name]

    return rate_of


def _speed(args: argparse.Namespace, rates: dict[str, Rate]) -> str:
    if args.device in GPUS:
        peak = GPUS[args.device]
        return (
            f"{args.utilisation:.0%} of the data sheet's {peak:g} TFLOP/s (--utilisation) and "
            f"{STEP_SECONDS * 1000:g} ms a step: assumptions"
        )
    if args.gflops is not None:
        return f"{args.gflops:g} GFLOP/s a training job, as given"
    measured = (f"{name} {rate.flops_per_second / 1e9:.0f} GFLOP/s" for name, rate in rates.items())
    return f"measured now: {', '.join(measured)} a training job" if rates else "nothing to train"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
