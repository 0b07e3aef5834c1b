"""Rule `audit`: search a training split, a corpus or a selection for a task's dev and test texts."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.audit.stage import audit_task


def main(
    *,
    task: Annotated[Path, "folder of the task artifact"],
    against: Annotated[Path, "folder of a corpus, a selection or a task (its training split)"],
    output: Annotated[Path, "folder of the audit"],
) -> None:
    audit_task(task, against, output)


if __name__ == "__main__":
    run_script(main)
