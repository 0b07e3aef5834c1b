"""Snakemake for the tests, imported once: a server process forks for each call.

Two thirds of the processor time of a short dry run are Snakemake's imports and its parser of arguments. The forked
process gets its own arguments, folder, environment and output files, and imports `tlm` from its own folder. Tests of
how Snakemake is started, and of interrupts, start it themselves.
"""

import functools
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = """
import json, os, resource, sys, traceback
import snakemake.cli
snakemake.cli.get_argument_parser()
path = list(sys.path[1:])

def run(call):
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.path[:] = [call["folder"], *call["environment"].get("PYTHONPATH", "").split(os.pathsep), *path]
    sys.argv = ["snakemake", *call["arguments"]]
    for number, name in ((0, os.devnull), (1, call["stdout"]), (2, call["stderr"])):
        os.dup2(os.open(name, os.O_RDWR), number)
    try:
        snakemake.cli.main()
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1

answers = os.fdopen(os.dup(1), "w")
while line := sys.stdin.readline():
    if not (child := os.fork()):
        code = run(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    answers.write(f"{code} {sum(each.ru_utime + each.ru_stime for each in used)}\\n")
    answers.flush()
"""


_used: dict[int, float] = {}


def cpu_seconds() -> float:
    """Processor time of the server and of all that it has run."""
    return sum(_used.values())


@functools.cache
def _server() -> subprocess.Popen[str]:
    # It ends with its input, however this process ends. PYTHONPATH would let it import a `tlm`.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", SERVER]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    )


def call(
    arguments: list[str], folder: Path, environment: dict[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with these arguments in `folder`. Raises TimeoutExpired after `seconds`."""
    server = _server()
    with tempfile.TemporaryDirectory(prefix="tlm-snakemake-") as name:
        files = {stream: Path(name) / stream for stream in ("stdout", "stderr")}
        for path in files.values():
            path.touch()
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        print(json.dumps({**request, **{key: str(path) for key, path in files.items()}}), file=server.stdin)
        if not select.select([server.stdout], [], [], seconds)[0]:
            server.kill()
            _server.cache_clear()
            raise subprocess.TimeoutExpired(["snakemake", *arguments], seconds)
        code, seconds_used = server.stdout.readline().split()
        _used[server.pid] = float(seconds_used)
        return subprocess.CompletedProcess(
            arguments, int(code), *(files[stream].read_text() for stream in ("stdout", "stderr"))
        )
