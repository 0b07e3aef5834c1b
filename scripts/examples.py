"""Rule `examples`: training texts of one task and the passages that they retrieve (a cell of Table 9)."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json
    from tlm.config.experiments import ExamplesSpec
    from tlm.results.examples import build_examples


def main(
    *,
    spec: ExamplesSpec,
    task: Annotated[Path, "folder of the task artifact"],
    retrieval: Annotated[Path, "folder of the task's retrieval"],
    corpus: Annotated[Path, "folder of the corpus"],
    output: Annotated[Path, "results/cells/table9/<task>/examples.json"],
) -> None:
    write_json(output, build_examples(spec, task, retrieval, corpus))


if __name__ == "__main__":
    run_script(main)
