"""One timer at a time for Snakemake's scheduler, which otherwise spends a core on looking at its queue.

Place in the flow: called by `workflow/rules/common.smk` before anything is scheduled. At each look at its queue,
Snakemake 9.27 arms a timer for the next look, one second later, for the sake of `--max-jobs-per-timespan`; a finished
job has it look, too. So every finished job starts a chain of looks that does not end before the queue is empty, and
each look asks the size of all inputs of all jobs that could run: from the hundredth job on, the looks alone can fill a
core. A second timer is of no use while one is running, as the limit is checked at every look.
"""

from __future__ import annotations

import threading
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler


def arm_one_timer(scheduler: type[Any] = JobScheduler) -> None:
    """Have `scheduler` arm a timer only while none is running."""
    scheduler._schedule_reevalutation = _schedule  # the name as Snakemake spells it


def _schedule(self: Any, delay: float) -> None:
    if getattr(self, "_armed", None) is None:
        self._armed = threading.Timer(delay, _wake, [self])
        self._armed.start()


def _wake(self: Any) -> None:
    self._armed = None  # before the look that arms the next
    self._open_jobs.release()
