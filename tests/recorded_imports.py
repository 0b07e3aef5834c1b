"""Every script that a test's build runs imports only modules that its rule declares.

`environment` of workflow_runner.py puts `import_recorder/` on the path of the builds. A fixture of conftest.py calls
`check` after each test.
"""

import contextlib
import re
import tempfile
from pathlib import Path

from tlm.rules.import_closure import LEFT_OUT, import_closure

ROOT = Path(__file__).resolve().parent.parent
RECORDER = ROOT / "tests/import_recorder"
FOLDER = Path(tempfile.mkdtemp(prefix="tlm-imports-"))
"""Where the processes of this test run's builds write what they imported."""

DECLARED = re.findall(
    r'script="(scripts/\w+\.py)",(?:.*\n)*?        code=import_closure\("(.*)"\),',
    "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk"))),
)
"""For each rule, its script and the script whose closure it declares."""


def check() -> set[str]:
    """Compare the imports recorded since the last call with the declarations; the scripts that ran."""
    ran, undeclared = set(), []
    with contextlib.chdir(ROOT):
        for path in FOLDER.glob("*.imports"):
            script, *imported = path.read_text().splitlines()
            path.unlink()
            ran.add(script)
            if script in dict(DECLARED):
                more = sorted(set(imported) - LEFT_OUT - set(import_closure(script)))
                undeclared += [
                    f"{script} imports {', '.join(more)}; its rule declares no such import"
                ] * bool(more)
    assert not undeclared, undeclared[0]
    return ran


def assert_ran(*names: str) -> None:
    """Check the recorded imports, among them those of these scripts.

    A test of test_workflow_imports.py reads the arguments of all calls: every script of a rule is among them.
    """
    absent = {f"scripts/{name}.py" for name in names} - check()
    assert not absent, f"the imports of {absent} were not recorded"
