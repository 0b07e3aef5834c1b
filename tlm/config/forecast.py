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
