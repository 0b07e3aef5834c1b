"""The command `tlm`."""

from __future__ import annotations

import argparse

from tlm import check_sources
from tlm.cost import command as cost
from tlm.own import command as own
from tlm.own import train_command as train
from tlm.process import run_script
from tlm.serving import command as serving


def main() -> None:
    """The command `tlm <subcommand>`."""
    run_script(_run)


def _run() -> None:
    parser = argparse.ArgumentParser(
        prog="tlm", description="Commands beside `snakemake`, which builds everything."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    own.add_parser(commands)
    train.add_parser(commands)
    cost.add_parser(commands)
    check_sources.add_parser(commands)
    serving.add_parser(commands)
    args = parser.parse_args()
    args.run(args)
