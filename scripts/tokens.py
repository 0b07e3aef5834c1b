"""Tokenize a task, a selection or a whole corpus."""

import os
from pathlib import Path
from typing import Annotated

from tlm.errors import TlmError
from tlm.process import quick_imports, run_script


def main(
    *,
    task: Annotated[Path | None, "task artifact: one store per split, with labels"] = None,
    selection: Annotated[Path | None, "instead of --task: selection or corpus artifact, one store"] = None,
    tokenizer: Annotated[Path, "tokenizer artifact"],
    length: Annotated[int, "largest number of tokens stored for a text"],
    threads: int = 1,
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    if (task is None) == (selection is None):
        raise TlmError("give either --task or --selection")
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # read when the tokenizer is loaded
    with quick_imports():
        from tlm.training.tokens import tokenize_selection, tokenize_task

    if task is not None:
        tokenize_task(task, tokenizer, output, length)
    else:
        tokenize_selection(selection, tokenizer, output, length)


if __name__ == "__main__":
    run_script(main)
