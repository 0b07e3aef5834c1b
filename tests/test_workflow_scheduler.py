"""Snakemake's scheduler looks at its queue once a second, however many jobs have finished."""

import inspect
import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from tlm.snakemake_adapter import arm_one_timer


class Scheduler:
    """The part of Snakemake's that matters: every look arms a timer; timers and finished jobs make it look."""

    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)
        self.looks = 0

    def _schedule_reevalutation(self, delay: float) -> None:
        threading.Timer(delay, self._open_jobs.release).start()

    def look_for(self, seconds: float, finished: int) -> int:
        for _ in range(finished):
            self._open_jobs.release()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._open_jobs.acquire(timeout=0.01):
                self.looks += 1
                self._schedule_reevalutation(0.05)
        return self.looks


def test_finished_jobs_start_no_chain_of_looks():
    class Patched(Scheduler):
        pass

    arm_one_timer(Patched)
    assert 20 < Patched().look_for(0.5, finished=20) <= 20 + 0.5 / 0.05 + 1
    assert Scheduler().look_for(0.5, finished=20) > 60, "the fault that is mended, in this model of it"


def test_snakemake_still_works_this_way():
    """If this fails with another version of Snakemake: check whether `arm_one_timer` is still needed."""
    assert "_open_jobs.release()" in inspect.getsource(JobScheduler.error_callback)
    loop = inspect.getsource(JobScheduler.schedule)
    assert loop.count("self._schedule_reevalutation(") == 2 and "self._open_jobs.acquire()" in loop


def test_another_scheduler_stays_unpatched_with_a_warning(capsys):
    class Newer:
        pass

    arm_one_timer(Newer)
    assert not hasattr(Newer, "_schedule_reevalutation")
    assert "warning: this Snakemake schedules jobs in another way" in capsys.readouterr().err
