"""Rule `audit`: search a training split, a corpus or a selection for a task's dev and test texts."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.audit.stage import audit_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument(
        "--against",
        type=Path,
        required=True,
        help="folder of a corpus, a selection or a task (its training split)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the audit")
    args = parser.parse_args()
    audit_task(args.task, args.against, args.output)


if __name__ == "__main__":
    run_script(main)
