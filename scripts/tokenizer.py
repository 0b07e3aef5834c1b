"""Train a WordPiece tokenizer on a corpus, or fetch a pretrained one."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.training import TokenizerSpec
    from tlm.training.tokenizer import build_tokenizer


def main(
    *,
    corpus: Annotated[Path | None, "corpus artifact to learn from (none: pretrained)"] = None,
    spec: TokenizerSpec,
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    build_tokenizer(corpus, output, spec)


if __name__ == "__main__":
    run_script(main)
