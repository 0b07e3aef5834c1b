"""Rule `tfidf`: TF-IDF and logistic regression on one task, evaluated on dev and test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.baseline import TfidfSpec
    from tlm.evaluation.artifact import RunName
    from tlm.evaluation.tfidf import evaluate_tfidf


def main(
    *,
    run: Annotated[Sequence[str], "SCALE TASK VARIANT SEED"],
    task: Annotated[Path, "folder of the task artifact"],
    spec: TfidfSpec | None = None,
    output: Annotated[Path, "folder of the evaluation artifact"],
) -> None:
    evaluate_tfidf(RunName.of(run), task, output, spec)


if __name__ == "__main__":
    run_script(main)
