"""How a script and the command `tlm` start and end.

A user's mistake ends in one line and exit code 2, an interrupt in exit code 130, a bug in its traceback.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tlm.errors import TlmError


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


def run_script(main: Callable[[], None]) -> None:
    """Run `main`; print a TlmError as `error: <one line>` on stderr and exit with code 2."""
    try:
        main()
    except TlmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr, flush=True)
        raise SystemExit(130) from None
