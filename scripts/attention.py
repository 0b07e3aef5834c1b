"""Rule `attention`: the attention heads of one trained model, measured on dev texts and on example sentences."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.figures import HeadsSpec
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.attention_weights import read_heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=4, required=True, metavar=("SCALE", "TASK", "VARIANT", "SEED"))
    parser.add_argument("--spec", required=True, help="HeadsSpec as JSON, or @file")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--stage1", type=Path, help="folder of stage 1, for a run without stage 2")
    parser.add_argument("--stage2", type=Path, help="folder of stage 2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="folder of the attention artifact")
    options = parser.parse_args()
    scale, task, variant, seed = options.run
    read_heads(
        run=RunName(scale, task, variant, int(seed)),
        task_dir=options.task,
        destination=options.output,
        spec=parse_json(HeadsSpec, options.spec, "--spec"),
        stage1_dir=options.stage1,
        stage2_dir=options.stage2,
        threads=options.threads,
    )


if __name__ == "__main__":
    run_script(main)
