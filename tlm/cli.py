"""The command `tlm`, and how it and the scripts end: a user's mistake is one line and exit code 2, an interrupt 130,
a bug its traceback.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections.abc import Callable

from tlm.errors import TlmError

# What scripts load after this module, torch and transformers above all, is a million objects that stay. Python's
# collector would walk them again and again while they load, and twice more at the end: a third of a short job's
# time. It looks rarely until `run_script`, passes them by from there on, and has no work at the end.
_USUAL = gc.get_threshold()
gc.set_threshold(100_000, 50, 50)
atexit.register(gc.freeze)


def run_script(main: Callable[[], None]) -> None:
    """Run `main`; print a TlmError as `error: <one line>` on stderr and exit with code 2."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
    try:
        main()
    except TlmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def main() -> None:
    """The command `tlm <subcommand>`."""

    def run() -> None:
        # Scripts import this module too, and need none of the subcommands.
        from tlm.cost import command as cost
        from tlm.own import command as own
        from tlm.serving import command as serving

        parser = argparse.ArgumentParser(
            prog="tlm", description="Beside `snakemake`, which builds everything."
        )
        commands = parser.add_subparsers(required=True, metavar="command")
        own.add_parser(commands)
        cost.add_parser(commands)
        serving.add_parser(commands)
        args = parser.parse_args()
        args.run(args)

    run_script(run)
