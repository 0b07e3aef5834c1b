"""Everything that depends on how Snakemake works inside, which another version may change.

pyproject.toml names the version that was tried. This module calls Snakemake and reads what it prints, its records below
.snakemake/, its workflow object and its scheduler. If a newer Snakemake lacks the part that is patched, the project
warns once and goes on without the patch.
"""

from __future__ import annotations

import atexit
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tlm.errors import TlmError
from tlm.locks import exclusive, killed_holder

RECORDS = ".snakemake/metadata"
_UNFINISHED = ".snakemake/incomplete"
_LOCKS = ".snakemake/locks"
_BUILD_LOCK = ".snakemake/tlm.lock"
_PENDING = "update pending"
_JOB = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<body>(?:    .*\n)+)", re.M)
_NODE = re.compile(r'^\s*(\d+)\[label = "(\w+)"', re.M)
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*$", re.M)
_FILES = re.compile(r"^    (?P<role>input|output): (?P<files>.*)$", re.M)

# Calls of Snakemake, and the texts that they print.


@dataclass(frozen=True)
class PlannedJob:
    """One job of a dry run."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def dry_run(targets: Sequence[str], scale: str, folder: Path = Path()) -> list[PlannedJob]:
    """Every job behind `targets` at `scale`, including those whose outputs exist.

    Raises TlmError with Snakemake's reason if it cannot plan them.
    """
    options = ["--dry-run", "--forceall", "--nolock", "--cores", "1", "--config", f"scale={scale}"]
    # In a stage of DVC, only the stage's own call of Snakemake should refuse artifacts without a record.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    result = _call([*targets, *options], folder, environment)
    jobs = parse_dry_run(result.stdout + result.stderr)
    if result.returncode or not jobs:
        reason = error_line(result.stderr) or error_line(result.stdout) or "it printed nothing"
        raise TlmError(f"snakemake cannot plan {' '.join(targets)} at scale {scale}: {reason}")
    return jobs


def parse_dry_run(report: str) -> list[PlannedJob]:
    """The jobs that a dry run reports."""
    jobs = []
    for block in _JOB.finditer(report):
        files = {match["role"]: tuple(match["files"].split(", ")) for match in _FILES.finditer(block["body"])}
        jobs.append(PlannedJob(block["rule"], files.get("input", ()), files.get("output", ())))
    return jobs


def pending_outputs(targets: Sequence[str], config: Sequence[str], cores: str) -> list[tuple[str, str]]:
    """Rule and path of every output that `snakemake <targets> --config <config>` would write, in the plan's order.

    `--summary` plans without running and takes no lock, so it also works while a build is running. Raises TlmError with
    Snakemake's reason if it cannot plan: an unknown target, an invalid configuration.
    """
    options = ["--summary", "--cores", cores, *(["--config", *config] if config else [])]
    result = _call([*targets, *options])
    lines = result.stdout.splitlines()
    header = next((number for number, line in enumerate(lines) if line.startswith("output_file\t")), None)
    if result.returncode or header is None:
        raise TlmError(error_line(result.stderr) or f"snakemake ended with {result.returncode}")
    rows = csv.DictReader(lines[header:], delimiter="\t", quoting=csv.QUOTE_NONE)
    return [(row["rule"], row["output_file"]) for row in rows if row["plan"] == _PENDING]


def touch(targets: Sequence[str], scale: str, folder: Path = Path()) -> None:
    """Update the times of all files behind `targets` and record their parameters, code and checksums.

    Raises TlmError with the end of Snakemake's report if this fails.
    """
    options = ["--touch", "--forceall", "--cores", "1", "--quiet", "all", "--config", f"scale={scale}"]
    result = _call([*targets, *options], folder)
    if result.returncode:
        report = " ".join((result.stderr or result.stdout).split())
        raise TlmError(f"snakemake --touch failed: {report[-300:]}")


RuleGraph = tuple[list[str], list[tuple[str, str]]]
"""The names of rules, and which rule feeds which."""


def rule_graph(targets: Sequence[str], settings: str, folder: Path = Path()) -> RuleGraph:
    """The rules behind `targets`, with config.yaml's `settings` as JSON.

    Safe inside a running workflow: it takes no lock and runs no job. Raises TlmError with Snakemake's reason.
    """
    with tempfile.TemporaryDirectory() as temporary:
        config = Path(temporary) / "config.json"
        config.write_text(settings, encoding="utf-8")
        options = [
            "--rulegraph",
            "dot",
            "--nolock",
            "--forceall",
            "--cores",
            "1",
            "--configfile",
            str(config),
        ]
        result = _call([*options, "--", *targets], folder)
    if result.returncode:
        raise TlmError(f"snakemake --rulegraph {' '.join(targets)}: {error_line(result.stderr)}")
    return parse_rule_graph(result.stdout)


def parse_rule_graph(dot: str) -> RuleGraph:
    """Rules and edges of a graph in the DOT language, sorted: Snakemake numbers them differently each time."""
    names = dict(_NODE.findall(dot))
    if not names:
        raise TlmError(
            "snakemake --rulegraph printed no rule; this version of Snakemake writes another format than expected"
        )
    return sorted(set(names.values())), sorted(
        {(names[start], names[end]) for start, end in _EDGE.findall(dot)}
    )


def error_line(report: str) -> str:
    """The line of Snakemake's report that states the error: that of a TlmError if there is one."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    for mark in ("error: ", "TlmError: "):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix(mark)
    if missing := re.search(r"No rule to produce (\S+)", report):
        return f"no rule builds {missing[1]}; docs/targets.md lists the targets"
    for number, line in enumerate(lines):
        if re.match(r"\w+(Error|Exception): \S", line):
            return line
        if line.endswith("Exception:"):
            return " ".join(lines[number : number + 2])
    return lines[-1] if lines else ""


def build(targets: Sequence[str], cores: int) -> int:
    """Build `targets` as `snakemake <targets> --cores N` does with N = `cores`, and return its exit status.

    Ctrl-C reaches Snakemake, which ends its jobs; this process waits for that.
    """
    process = subprocess.Popen([sys.executable, "-m", "snakemake", *targets, "--cores", str(cores)])
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, usual)


def merge_config(settings: dict[str, Any], config: Sequence[str]) -> None:
    """Merge `--config key=value …` into `settings`, with Snakemake's own reader of values."""
    from snakemake.cli import parse_config  # slow to import
    from snakemake.utils import update_config

    update_config(settings, parse_config(list(config)))


def _call(
    arguments: Sequence[str], folder: Path = Path(), environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake with this interpreter, so that no environment need be activated."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


# Records: what Snakemake keeps about how it made each output.


def record(output: str, folder: Path = Path(), records: str = RECORDS) -> Path:
    """Snakemake's record of `output`: the path in base 64, split into names of at most 254 characters."""
    name = urlsafe_b64encode(output.encode()).decode()
    longest = 254
    parts = [name[at : at + longest] for at in range(0, len(name), longest)]
    return folder.joinpath(records, *(f"@{part}" for part in parts[:-1]), parts[-1])


def has_record(output: str, folder: Path = Path()) -> bool:
    """Whether Snakemake has built `output` in `folder`, or is building it."""
    return any(record(output, folder, records).exists() for records in (RECORDS, _UNFINISHED))


def copy_records(source: Path, folder: Path) -> None:
    """Copy the records of the project `source` to `folder`, unless `folder` has records."""
    if (source / RECORDS).is_dir() and not (folder / RECORDS).exists():
        shutil.copytree(source / RECORDS, folder / RECORDS)


# The workflow object and the command line.


def runs_jobs(workflow: Any) -> bool:
    """Whether this call of Snakemake runs jobs: a dry run, `--summary` and `--report` do not."""
    return getattr(workflow, "executor_plugin", None) is not None and not workflow.dryrun


def makes_environments(workflow: Any) -> bool:
    """Whether jobs run in environments or containers that Snakemake makes (`--sdm`)."""
    return bool(getattr(workflow.deployment_settings, "deployment_method", None))


def makes_report() -> bool:
    """Whether this call of Snakemake makes a report of finished results (`--report`, not `--report-after-run`)."""
    options = [argument.split("=")[0] for argument in sys.argv[1:]]
    return "--report" in options and "--report-after-run" not in options


# The lock of the folder.


def release_killed_lock(workflow: Any, folder: Path = Path()) -> None:
    """Remove Snakemake's lock if the build that took it was killed on this machine, and print a note.

    A dry run removes nothing.
    """
    if getattr(getattr(workflow, "output_settings", None), "dryrun", False):
        return
    locks = folder / _LOCKS
    process = killed_holder(folder / _BUILD_LOCK)
    if process is not None and any(locks.glob("*")):
        shutil.rmtree(locks)
        (folder / _BUILD_LOCK).unlink(missing_ok=True)
        print(
            f"note: the last build here (process {process}) was killed; its lock is removed", file=sys.stderr
        )


def hold_build_lock(folder: Path = Path()) -> None:
    """Hold a lock of this folder until the process ends. Raises TlmError naming the process that holds it.

    Snakemake's own lock is not enough: in 9.27 a call that finds nothing to do removes the lock of a running build.
    """
    held = ExitStack()
    held.enter_context(exclusive(folder / _BUILD_LOCK, f"{folder.resolve()}: a build runs here"))
    atexit.register(held.close)


# Planning where nobody may write.


def plan_in_read_only_folder(workflow: Any) -> None:
    """Let a dry run work where nobody may write: Snakemake then keeps its own files in its temporary folder.

    Snakemake 9.27 creates .snakemake and writes to it even if it only plans. The records of finished jobs are read from
    there as always.
    """
    module = import_module("snakemake.workflow")
    original = getattr(module, "FilePersistence", None)
    own = Path(".snakemake").absolute()
    if original is None or os.access(own if own.exists() else own.parent, os.W_OK):
        return

    def persistence(**settings: Any) -> Any:
        if runs_jobs(workflow):
            return original(**settings)
        folder = Path(workflow.snakemake_tmp_dir) / "persistence"
        folder.mkdir()
        for records in (RECORDS, _UNFINISHED):
            if Path(records).is_dir():
                (folder / Path(records).name).symlink_to(Path(records).absolute())
        return original(**{**settings, "path": folder})

    module.FilePersistence = persistence  # type: ignore[attr-defined]


# The scheduler.


def arm_one_timer(scheduler: type[Any] | None = None) -> None:
    """Patch Snakemake's scheduler class so that at most one timer runs; warn where it cannot be patched.

    Each time the scheduler checks its queue, Snakemake 9.27 starts a timer for the next check one second later, which
    `--max-jobs-per-timespan` needs. A finished job triggers a check as well, so every finished job starts a chain of
    checks that lasts until the queue is empty. Each check computes the input sizes of all ready jobs: from about a
    hundred finished jobs on, the checks alone can fill a core. One running timer is enough, since each check reads
    the limit.
    """
    if scheduler is None:
        try:
            scheduler = import_module("snakemake.scheduling.job_scheduler").JobScheduler
        except (ImportError, AttributeError):
            scheduler = object
    if hasattr(scheduler, "_schedule_reevalutation"):  # the name as Snakemake spells it
        scheduler._schedule_reevalutation = _schedule
    else:
        print(
            "warning: this Snakemake schedules jobs in another way than 9.27, so its scheduler stays unpatched; "
            "builds of many jobs may start them more slowly",
            file=sys.stderr,
        )


def _schedule(self: Any, delay: float) -> None:
    if getattr(self, "_armed", None) is None:
        self._armed = threading.Timer(delay, _wake, [self])
        self._armed.start()


def _wake(self: Any) -> None:
    self._armed = None  # before the check that starts the next timer
    self._open_jobs.release()
