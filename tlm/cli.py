"""How scripts end: a user's mistake is one line and exit code 2, an interrupt 130, a bug its traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tlm.errors import TlmError


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
