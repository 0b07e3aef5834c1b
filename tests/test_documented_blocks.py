"""The blocks of the documentation that take minutes, as a newcomer types them: in a fresh clone, page by page.

`make test-docs` runs this file; the other test commands leave it out. The first block installs the clone's environment
and builds Table 2 of the scale demo. Without that block (`-k`), the others use the environment that runs the tests.
"""

import os
import subprocess
import sys
from pathlib import Path

import documented
import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout"),
]

BLOCKS = [each for page in documented.PAGES for each in documented.blocks(page) if each.reason == "nightly"]
HOURS = 3


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "tlm"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_runs_in_a_fresh_clone(clone, block):
    names = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "MAKEFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PATH"] = f"{clone}/.venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    documented.run(block, clone, environment, HOURS * 3600)
