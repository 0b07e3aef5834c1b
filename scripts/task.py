"""Build one task: parse, check, split, write Parquet."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.data import TaskSpec
    from tlm.tasks.build import build_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the task's name in config/tasks.yaml")
    parser.add_argument("--spec", required=True, help="its specification as JSON, or @file")
    parser.add_argument("--source", required=True, type=Path, help="directory of the source artifact")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    spec = parse_json(TaskSpec, args.spec, f"--spec of task {args.name}")
    build_task(args.name, spec, args.source, args.output)


if __name__ == "__main__":
    run_script(main)
