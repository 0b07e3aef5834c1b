"""Forecast and truth of a build, rule by rule: what `tlm new` or `tlm train` estimated, and what the jobs took.

Place in the flow: `config/own/<name>.forecast.json` and benchmarks/ → here → the end of a build, and the report of the
task. Wall-clock times depend on other work on the machine; processor times hardly do.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tlm.config.base import Strict
from tlm.config.forecast import Forecast
from tlm.dag import RULES
from tlm.progress import duration
from tlm.results.benchmarks import Benchmark, read_benchmark

BUSY = 0.75  # processor seconds per second of training: below, other work has held it up
_TRAINING = ("stage1", "stage2")
_COLUMNS = ("rule", "jobs", "forecast", "took", "ratio", "processor")


class RuleTimes(Strict):
    """The jobs of one rule. Seconds are sums over the jobs; None before all of them have ended."""

    rule: str
    jobs: int
    forecast: float
    seconds: float | None
    cpu_seconds: float | None


class BuildTimes(Strict):
    """All rules of a build, and the build as a whole."""

    granted: float | None
    forecast: float
    """Wall-clock seconds on a machine with nothing else to do."""
    seconds: float | None
    """Wall-clock seconds during which a job ran."""
    rules: tuple[RuleTimes, ...]

    @property
    def share_of_processor(self) -> float | None:
        """Processor seconds per second of the training jobs; None if none has ended."""
        ended = [each for each in self.rules if each.rule in _TRAINING and each.seconds and each.cpu_seconds]
        return sum(each.cpu_seconds or 0 for each in ended) / total if (total := _sum(ended)) else None

    @property
    def was_busy(self) -> bool:
        """Whether other work on the machine held up the training jobs."""
        share = self.share_of_processor
        return share is not None and share < BUSY


def build_times(forecast: Forecast, root: Path = Path()) -> BuildTimes:
    """Compare a forecast with the benchmark files below `root`; the report, which has not ended, is left out."""
    found: dict[str, list[tuple[float, Benchmark]]] = {}
    spans = []
    for job in forecast.jobs:
        if job.rule == "task_report" or job.rule not in RULES:  # of another version of this project
            continue
        file = root / RULES[job.rule].benchmark_of(job.output)
        benchmark = read_benchmark(file)
        found.setdefault(job.rule, []).append((job.seconds, benchmark))
        if benchmark.seconds is not None:
            end = file.stat().st_mtime
            spans.append((end - benchmark.seconds, end))
    return BuildTimes(
        granted=forecast.granted,
        forecast=forecast.wall,
        seconds=round(_covered(spans), 1) if spans else None,
        rules=tuple(
            RuleTimes(
                rule=rule,
                jobs=len(jobs),
                forecast=round(sum(seconds for seconds, _ in jobs), 1),
                seconds=_total(benchmark.seconds for _, benchmark in jobs),
                cpu_seconds=_total(benchmark.cpu_seconds for _, benchmark in jobs),
            )
            for rule, jobs in found.items()
        ),
    )


def as_text(times: BuildTimes) -> str:
    """The table that a build prints at its end."""
    rows = [_COLUMNS, *(_row(each) for each in times.rules)]
    ended = [each for each in times.rules if each.seconds is not None]
    rows.append(_row(_together(ended)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(["forecast and truth of this build, by rule", *lines, *sentences(times)])


def sentences(times: BuildTimes) -> list[str]:
    """The build as a whole, and whether the machine was busy."""
    if times.seconds is None:
        return []
    ended = all(each.seconds is not None for each in times.rules)
    granted = f" ({duration(times.granted)} granted)" if times.granted else ""
    ratio = f": {times.seconds / max(times.forecast, 1):.2f} times the forecast" if ended else " so far"
    lines = [
        f"The build was forecast to take {duration(times.forecast)}{granted}, and its jobs ran for "
        f"{duration(times.seconds)}{ratio}."
    ]
    if times.was_busy:
        lines.append(
            f"Other work ran on the machine: training got {100 * (times.share_of_processor or 0):.0f} % of a "
            "processor. The forecast is for a machine with nothing else to do."
        )
    return lines


def _row(each: RuleTimes) -> tuple[str, ...]:
    took = each.seconds
    return (
        each.rule,
        str(each.jobs),
        duration(each.forecast),
        "" if took is None else duration(took),
        "" if took is None else f"{took / max(each.forecast, 0.1):.2f}",
        "" if each.cpu_seconds is None else duration(each.cpu_seconds),
    )


def _together(ended: list[RuleTimes]) -> RuleTimes:
    return RuleTimes(
        rule="together",
        jobs=sum(each.jobs for each in ended),
        forecast=sum(each.forecast for each in ended),
        seconds=_sum(ended),
        cpu_seconds=sum(each.cpu_seconds or 0 for each in ended),
    )


def _sum(rules: Iterable[RuleTimes]) -> float:
    return sum(each.seconds or 0 for each in rules)


def _total(values: Iterable[float | None]) -> float | None:
    """The sum, or None if a number is missing."""
    known = list(values)
    return None if None in known else round(sum(value or 0 for value in known), 1)


def _covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that lie in at least one span: an interruption of the build does not count."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
