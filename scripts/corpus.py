"""Build one corpus: read sources in parallel, clean, cut into passages; or take a sample of another corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.data import CorpusSpec
    from tlm.corpus.build import build_corpus
    from tlm.corpus.sample import build_sample


def main(
    *,
    name: Annotated[str, "the corpus's name in config/corpora.yaml"],
    spec: CorpusSpec,
    made_from: Annotated[Sequence[Path], "manifests of the sources, or of the corpus to sample"],
    threads: Annotated[int, "processes (default: as many as cores)"] = 0,
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    folders = {path.parent.name: path.parent for path in made_from}
    if spec.sample is not None:
        build_sample(name, spec, spec.sample, folders[spec.sample.of], output)
    else:
        build_corpus(name, spec, folders, output, workers=threads)


if __name__ == "__main__":
    run_script(main)
