"""Rule `evaluate`: metrics and predictions of one trained run on dev and test, and its cost in FLOPs."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.evaluate import evaluate_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=4, required=True, metavar=("SCALE", "TASK", "VARIANT", "SEED"))
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--stage1", type=Path, help="folder of stage 1; leave out for a Hub checkpoint")
    parser.add_argument("--pretraining", type=Path, help="folder of the pretraining that stage 1 continued")
    parser.add_argument("--stage2", type=Path, help="folder of stage 2; leave out to evaluate stage 1")
    parser.add_argument(
        "--data", type=Path, help="selection or corpus that stage 1 read; none: task data only"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="folder of the evaluation artifact")
    options = parser.parse_args()
    scale, task, variant, seed = options.run
    evaluate_run(
        run=RunName(scale, task, variant, int(seed)),
        task_dir=options.task,
        destination=options.output,
        stage1_dir=options.stage1,
        pretraining_dir=options.pretraining,
        stage2_dir=options.stage2,
        data_dir=options.data,
        threads=options.threads,
    )


if __name__ == "__main__":
    run_script(main)
