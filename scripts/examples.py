"""Rule `examples`: training texts of one task and the passages that they retrieve (a cell of Table 9)."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.base import parse_json
    from tlm.config.experiments import ExamplesSpec
    from tlm.results.examples import build_examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="ExamplesSpec as JSON, or @file")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--retrieval", type=Path, required=True, help="folder of the task's retrieval")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument(
        "--output", type=Path, required=True, help="results/cells/table9/<task>/examples.json"
    )
    options = parser.parse_args()
    spec = parse_json(ExamplesSpec, options.spec, "--spec")
    write_json(options.output, build_examples(spec, options.task, options.retrieval, options.corpus))


if __name__ == "__main__":
    run_script(main)
