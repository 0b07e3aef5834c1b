"""Rule `export`: export a finished run as a folder of `models/` that works without this project."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.serving.export import export_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the model in its card")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--stages", type=Path, nargs="+", required=True, help="stage 2 (or 1) of each seed")
    parser.add_argument(
        "--evaluations", type=Path, nargs="+", required=True, help="evaluation of each seed, in order"
    )
    parser.add_argument("--selection", type=Path, help="selection that stage 1 read; none: task data only")
    parser.add_argument("--corpus", type=Path, help="corpus of the selection")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    options = parser.parse_args()
    export_model(
        options.name,
        stages=options.stages,
        evaluations=options.evaluations,
        task_dir=options.task,
        selection_dir=options.selection,
        corpus_dir=options.corpus,
        destination=options.output,
    )


if __name__ == "__main__":
    run_script(main)
