"""How a script and the command `tlm` start and end.

A user's mistake ends in one line and exit code 2, an interrupt in exit code 130, a bug in its traceback.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from tlm.errors import TlmError
from tlm.process_end import disk_error, end_with_build, interrupt_on_sigterm

# OpenMP's threads wait for each other in a busy loop of so many rounds, then sleep; libgomp reads this when torch is
# imported. With its default of 300,000, a training of two threads beside other work was ten times slower
# than with one thread; with 1,000 it is as fast.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Let Python's garbage collector rest while modules are imported.

    torch and transformers create a million objects that live as long as the process. Without this, the collector
    scans them many times during the imports and twice at exit: a third of a short job's time.
    """
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "tlm").split(".")[0] == "tlm":
            raise
        print(
            f"error: {sys.executable} lacks the package {error.name!r}; run the project with the Python that has its "
            "packages (`make setup` makes one in .venv), or install them there with `pip install -e .`",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    finally:
        gc.freeze()  # later collections skip what the imports created
        gc.set_threshold(*usual)
        atexit.register(gc.freeze)


def run_script(main: Callable[..., None]) -> None:
    """Run `main` with the options of the command line (`read_options`).

    A TlmError, a full and a read-only disk are printed as `error: <one line>` on stderr and end in exit code 2.
    """
    try:
        interrupt_on_sigterm()
        end_with_build()
        positional, options = read_options(main)
        main(*positional, **options)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
    except Exception as error:
        line = str(error) if isinstance(error, TlmError) else disk_error(error)
        if line is None:
            raise
        print(f"error: {' '.join(line.split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


def read_options(main: Callable[..., None]) -> tuple[list[Any], dict[str, Any]]:
    """Parse the command line: each parameter of `main` is the option of its name; positional-only ones are arguments.

    A parameter without default is required. `Annotated[type, "help"]` adds a help text. A bool is a flag, a Sequence
    takes several values, and a type with `from_option` is read by that function. A function without parameters parses
    the command line itself. The docstring of the module describes the script.
    """
    parameters = signature(main).parameters
    if not parameters:
        return [], {}
    parser = ArgumentParser(description=main.__globals__["__doc__"])
    for name, parameter in parameters.items():
        positional = parameter.kind is Parameter.POSITIONAL_ONLY
        parser.add_argument(name if positional else f"--{name.replace('_', '-')}", **_argument(parameter))
    found = vars(parser.parse_args())
    first = [name for name, parameter in parameters.items() if parameter.kind is Parameter.POSITIONAL_ONLY]
    return [found.pop(name) for name in first], found


def _argument(parameter: Parameter) -> dict[str, Any]:
    """The keywords of `add_argument` for one parameter."""
    kind, default = parameter.annotation, parameter.default
    argument: dict[str, Any] = {}
    if get_origin(kind) is Annotated:
        kind, argument["help"] = get_args(kind)
    if get_origin(kind) is UnionType:  # `Path | None`
        kind = get_args(kind)[0]
    if kind is bool:
        return {**argument, "action": "store_true"}
    many = get_origin(kind) is Sequence
    if many:
        (kind,) = get_args(kind)
        argument |= {"action": "extend", "nargs": "+" if default is Parameter.empty else "*"}
    if get_origin(kind) is Literal:
        argument["choices"] = get_args(kind)
    elif hasattr(kind, "from_option"):
        argument = {"help": f"{kind.__name__} as JSON, or @file", **argument, "type": kind.from_option}
    else:
        argument["type"] = kind
    if parameter.kind is not Parameter.POSITIONAL_ONLY:
        argument["required"] = default is Parameter.empty
    if default is not Parameter.empty:
        argument["default"] = list(default) if many else default
    return argument
