"""The option `--only-allowed-skips`: the run fails if a test was skipped for a reason that is not in `ALLOWED`.

`.ci/run` uses it. The extra `dev` installs every package that the tests need, so a test may skip only if the machine
lacks a browser, a server, real data, git or glibc.
"""

import re
from typing import Any

import pytest

ALLOWED = (
    "no Chromium",
    "no real-data folder at ",
    "no Elasticsearch at ",
    "Elasticsearch needs Java ",
    "DVC needs a git checkout",
    "not a git checkout",
    "the C library is not glibc",
    "root may write everywhere",
)
"""How the reasons begin."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-allowed-skips", action="store_true", help="fail if a test skips for an unexpected reason"
    )


def unexpected_skips(config: pytest.Config) -> list[str]:
    """`test: reason` of each skip whose reason is not allowed."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if not config.getoption("only_allowed_skips") or reporter is None:
        return []
    lines = []
    for report in reporter.stats.get("skipped", []):
        if hasattr(report, "wasxfail"):
            continue
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(re.match(re.escape(each), reason) for each in ALLOWED):
            lines.append(f"{report.nodeid}: {reason}")
    return lines


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and unexpected_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if lines := unexpected_skips(config):
        terminalreporter.section("skipped for a reason that tests/allowed_skips.py does not list", red=True)
        for line in lines:
            terminalreporter.write_line(line)
