"""Rule `export`: export a finished run as a folder of `models/` that works without this project."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.serving.export import export_model


def main(
    *,
    name: Annotated[str, "name of the model in its card"],
    task: Annotated[Path, "folder of the task artifact"],
    stages: Annotated[Sequence[Path], "stage 2 (or 1) of each seed"],
    evaluations: Annotated[Sequence[Path], "evaluation of each seed, in order"],
    linear: Annotated[Sequence[Path], "evaluations of linear models; none: the encoder alone"] = (),
    selection: Annotated[Path | None, "selection that stage 1 read; none: task data only"] = None,
    corpus: Annotated[Path | None, "corpus of the selection"] = None,
    output: Annotated[Path, "folder of the model"],
) -> None:
    export_model(
        name,
        stages=stages,
        evaluations=evaluations,
        linear=linear,
        task_dir=task,
        selection_dir=selection,
        corpus_dir=corpus,
        destination=output,
    )


if __name__ == "__main__":
    run_script(main)
