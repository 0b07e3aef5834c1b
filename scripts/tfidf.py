"""Rule `tfidf`: TF-IDF and logistic regression on one task, evaluated on dev and test."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.baseline import TfidfSpec
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.tfidf import evaluate_tfidf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=4, required=True, metavar=("SCALE", "TASK", "VARIANT", "SEED"))
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--spec", default="{}", help="TfidfSpec as JSON (default: all defaults)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the evaluation artifact")
    options = parser.parse_args()
    scale, task, variant, seed = options.run
    evaluate_tfidf(
        run=RunName(scale, task, variant, int(seed)),
        task_dir=options.task,
        destination=options.output,
        spec=parse_json(TfidfSpec, options.spec, "--spec"),
    )


if __name__ == "__main__":
    run_script(main)
