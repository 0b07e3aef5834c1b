"""The forecast of a build: the seconds of each job, as `tlm new` and `tlm train` estimate them on this machine.

Place in the flow: `tlm.own` writes `config/own/<name>.forecast.json` → stage 1 (a warning on a slow machine) and the
report of the task (forecast and truth by rule). No result depends on this file.
"""

from __future__ import annotations

from pathlib import Path

from tlm.config.base import Strict, parse_json


class JobForecast(Strict):
    """One job, by its rule and first output."""

    rule: str
    output: str
    seconds: float
    """Of the job alone, with the cores that its rule gives it."""


class Forecast(Strict):
    """The forecast of one build."""

    granted: float | None
    """Seconds of `--budget`; None if the build has no limit."""
    wall: float
    """Seconds of the whole build on this machine with nothing else to do."""
    cores: int
    jobs: tuple[JobForecast, ...]

    def covers(self, other: Forecast) -> bool:
        """Whether every job of `other` is one of these, so that `other` is the rest of the same build."""
        return {job.output for job in other.jobs} <= {job.output for job in self.jobs}

    def limit(self, output: str) -> float | None:
        """Seconds that the job of `output` may take if the build is to end in the granted time; None if not known."""
        seconds = next((job.seconds for job in self.jobs if job.output == output), None)
        if seconds is None or self.granted is None:
            return None
        return max(seconds / 2, seconds + self.granted - self.wall)


def read_forecast(file: Path | None) -> Forecast | None:
    """The forecast, or None without a file. Raises TlmError for a file that is not valid."""
    if file is None or not file.is_file():
        return None
    return parse_json(Forecast, f"@{file}", str(file))


def forecast_seconds(file: Path | None, output: Path) -> float | None:
    """The forecast of the job that makes the artifact `output`; None if there is none."""
    found = read_forecast(file)
    jobs = {job.output: job.seconds for job in found.jobs} if found else {}
    return jobs.get(f"{output}/manifest.json")
