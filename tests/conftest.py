"""Fixtures that several test files share."""

import contextlib
import gc
import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded_imports
from browser import Browser, browser
from browser import absent as no_browser
from elasticsearch_server import Server, absent, running
from hypothesis import HealthCheck, settings

from tlm.config.elasticsearch import ElasticsearchSpec

# Old and busy machines run these tests too: no example fails for being slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Jobs that a shell starts in the background ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = ["allowed_skips", "cpu_times"]


@pytest.fixture(autouse=True)
def _declared_imports() -> Iterator[None]:
    """Scripts that the test has run imported only what their rules declare."""
    yield
    recorded_imports.check()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data that some tests use; they skip where it is absent."""
    folder = Path(os.environ.get("TLM_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real-data folder at {folder} (set TLM_SHARED to run this test)")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the tests of one file run Snakemake."""
    from compiled import compile_once
    from workflow_runner import copy_project

    compile_once()
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with Table 2 of the scale smoke built. A test that changes it takes `copy`."""
    from compiled import compile_once
    from recorded_imports import assert_ran
    from workflow_runner import copy_project, snakemake

    compile_once()
    folder = copy_project(tmp_path_factory.mktemp("built"))
    result = snakemake(folder, "results/table2.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran(
        *("fetch", "task", "corpus", "tokenizer", "tokens", "index", "retrieve", "selection"),
        *("stage1", "stage2", "evaluate", "linear", "cell", "table"),
    )
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """The built project, for one test to change; Snakemake's records and times are copied too."""
    return Path(shutil.copytree(built, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless browser for all tests of a process; they skip where there is none."""
    if reason := no_browser():
        pytest.skip(reason)
    with browser() as started:
        yield started


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[Server]:
    """One real server without security for all tests of a process; a test may kill and restart it."""
    if reason := absent():
        pytest.skip(reason)
    with running() as server:
        yield server


@pytest.fixture
def elastic(elasticsearch_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ElasticsearchSpec]:
    """That server, for one test: indexes get names of their own and are deleted at the end."""
    for name in ("URL", "API_KEY", "PASSWORD"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)
    prefix = f"test-{secrets.token_hex(4)}"
    yield ElasticsearchSpec(url=elasticsearch_server.url, prefix=prefix, backoff=0.05)
    with contextlib.suppress(OSError):
        names = json.loads(elasticsearch_server.request("GET", f"/{prefix}-*"))
        for name in names:
            elasticsearch_server.request("DELETE", f"/{name}")


# `make test-fast` leaves these tests out. By file: they run the workflow, a server, several processes or a training.
SLOW_FILES = (
    "test_workflow",
    "test_dvc_",
    "elastic",
    "test_cost_command",
    "test_scales",
    "test_serving_",
    "test_site",
    "test_training_execution",
    "test_training_memory",
    "test_training_pretrained",
    "test_training_processes",
    "test_training_stages",
)
# By fixture: they need a browser, a server or real data, or run the workflow in a copy of the project.
SLOW_FIXTURES = {"built", "chromium", "elasticsearch_server", "shared", "project"}

# Files that share a session fixture, a built project or a server, run in one worker.
TOGETHER = {"test_workflow.py": "built", "test_bench_recipe.py": "built", "elastic": "elasticsearch"}

# Files of minutes, the longest first: what is left for the end is short, and no worker waits for another.
LONGEST = (
    "test_workflow.py",
    "test_dvc_loop.py",
    "elastic",
    "test_training_processes.py",
    "test_workflow_twin.py",
)


def pytest_collection_finish() -> None:
    """Keep what the tests' imports have loaded, torch and transformers above all, out of all later collections."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run only the tests that take many minutes each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the nightly tests or all others; mark the slow tests; put the longest files first."""
    nightly = config.getoption("nightly")
    left_out = [item for item in items if (item.get_closest_marker("nightly") is not None) != nightly]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if any(name in item.path.name for name in SLOW_FILES) or SLOW_FIXTURES.intersection(fixtures):
            item.add_marker(pytest.mark.slow)

    def place(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(LONGEST) if name in item.path.name), len(LONGEST))

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, but the files of a group in TOGETHER run in one worker."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return next((group for part, group in TOGETHER.items() if part in Path(file).name), file)

    return Scheduler(config, log) if config.getoption("dist") == "loadfile" else None
