"""The option `--cpu`: tables of the processor time of each test file and of the most expensive fixtures.

Processor time is user and system time of the tests and of all processes that they start and wait for. On a busy
machine it is steadier than the time on the clock. `--cpu FILE` also writes the seconds of every test as JSON.
"""

import json
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import snakemake_server

SHOWN_FIXTURE_SECONDS = 1.0


def cpu_seconds() -> float:
    """Processor time of this process, of its finished children and of the server of Snakemake."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage) + snakemake_server.cpu_seconds()


class CpuTimes:
    """Measures in the process that runs the tests; sums up in the process that prints."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.last = 0.0
        self.started: dict[str, float] = {}
        self.fixtures_of_test: list[tuple[str, float]] = []
        self.tests: Counter[str] = Counter()
        self.fixtures: Counter[str] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.last = cpu_seconds()
        output = getattr(session.config, "workeroutput", None)
        if output is None:
            self.started["main process"] = self.last
        else:
            output["cpu_started"] = self.last

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.started[node.gateway.id] = getattr(node, "workeroutput", {}).get("cpu_started", 0.0)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        start = cpu_seconds()
        try:
            return (yield)
        finally:
            self.fixtures_of_test.append((fixturedef.argname, cpu_seconds() - start))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        now = cpu_seconds()
        item.user_properties.append(("cpu", now - self.last))
        if self.fixtures_of_test:
            item.user_properties.append(("cpu of fixtures", self.fixtures_of_test))
        self.last, self.fixtures_of_test = now, []
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name == "cpu":
                self.tests[report.nodeid] += value
            elif name == "cpu of fixtures":
                for fixture, seconds in value:
                    self.fixtures[fixture] += seconds

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        files: Counter[str] = Counter()
        for test, seconds in self.tests.items():
            files[test.split("::", 1)[0]] += seconds
        write = terminalreporter.write_line
        terminalreporter.section("processor time")
        for title, rows in (("test files", files), ("fixtures", self.fixtures)):
            write(f"{title}:")
            for name, seconds in rows.most_common():
                if title == "test files" or seconds > SHOWN_FIXTURE_SECONDS:
                    write(f"{seconds:9.1f} s  {name}")
        write(f"{sum(self.started.values()):9.1f} s  start and collection of {', '.join(self.started)}")
        write(f"{sum(files.values()):9.1f} s  all tests")
        if self.path:
            Path(self.path).write_text(json.dumps(dict(self.tests.most_common()), indent=1) + "\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu", nargs="?", const="", metavar="FILE", help="print processor times; write them to FILE"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("cpu") is not None:
        config.pluginmanager.register(CpuTimes(config.getoption("cpu")), "cpu times")
