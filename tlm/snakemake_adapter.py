"""Everything that depends on Snakemake's internals, which another version may change.

Tried with the versions that pyproject.toml names. Where a newer Snakemake lacks an internal, the project warns once and
goes on without the patch.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from typing import Any


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
