"""`--only-allowed-skips` fails a run in which a test skips for an unexpected reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PASSES = "def test_it():\n    pass\n"
ALLOWED = "import pytest\n\ndef test_it():\n    pytest.skip('no real-data folder at /srv/shared')\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
UNEXPECTED = {
    "in_test": "import pytest\n\ndef test_it():\n    pytest.importorskip('no_such_package')\n",
    "in_module": "import pytest\n\npytest.importorskip('no_such_package')\n\ndef test_it():\n    pass\n",
    "by_mark": "import pytest\n\n@pytest.mark.skip(reason='later')\ndef test_it():\n    pass\n",
}
PROCESSES = pytest.mark.parametrize(
    "workers", [(), ("-p", "xdist", "-n", "1")], ids=["one process", "a worker"]
)


def run(folder: Path, files: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    for name, text in {"passes": PASSES, **files}.items():
        (folder / f"test_{name}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": ""}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "allowed_skips", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@PROCESSES
def test_unexpected_reasons_fail_the_run_and_are_listed(tmp_path, workers):
    result = run(tmp_path, UNEXPECTED, "--only-allowed-skips", *workers)
    assert result.returncode == 1 and "1 passed, 3 skipped" in result.stdout, result.stdout
    listed = result.stdout.split("skipped for a reason that tests/allowed_skips.py does not list")[1]
    for name, reason in (("in_test", "could"), ("in_module", "could"), ("by_mark", "later")):
        assert any(
            line.startswith(f"test_{name}.py") and f": {reason}" in line for line in listed.splitlines()
        )


@PROCESSES
def test_allowed_reasons_and_expected_failures_pass(tmp_path, workers):
    files = {"allowed": ALLOWED, "expected_failure": EXPECTED_FAILURE}
    result = run(tmp_path, files, "--only-allowed-skips", *workers)
    assert result.returncode == 0 and "1 passed, 1 skipped, 1 xfailed" in result.stdout, result.stdout


def test_without_the_option_every_reason_passes(tmp_path):
    assert run(tmp_path, UNEXPECTED).returncode == 0


def test_ci_uses_the_option():
    assert "--only-allowed-skips" in (ROOT / ".ci/run").read_text()
