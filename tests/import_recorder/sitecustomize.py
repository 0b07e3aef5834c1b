"""Runs at the start of every Python process of a test's build: records the modules of `tlm` that a script imports."""

import atexit
import os
import sys
from pathlib import Path


def record() -> None:
    script = Path(sys.argv[0]).resolve()
    if script.parent.name != "scripts":
        return
    files = [
        getattr(module, "__file__", None)
        for name, module in sys.modules.items()
        if name.split(".")[0] == "tlm"
    ]
    names = sorted(os.path.relpath(file, script.parent.parent) for file in files if file)
    partial = Path(os.environ["TLM_RECORDED_IMPORTS"]) / f"{os.getpid()}.partial"
    partial.write_text("\n".join([f"scripts/{script.name}", *names]))
    partial.rename(partial.with_suffix(".imports"))


if "TLM_RECORDED_IMPORTS" in os.environ:
    atexit.register(record)
