"""Build one corpus: read sources in parallel, clean, cut into passages; or take a sample of another corpus."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.data import CorpusSpec
    from tlm.corpus.build import build_corpus
    from tlm.corpus.sample import build_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the corpus's name in config/corpora.yaml")
    parser.add_argument("--spec", required=True, help="its specification as JSON, or @file")
    parser.add_argument(
        "--made-from",
        required=True,
        type=Path,
        nargs="+",
        help="manifests of the sources, or of a corpus to sample",
    )
    parser.add_argument("--threads", type=int, default=0, help="processes (default: as many as cores)")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    spec = parse_json(CorpusSpec, args.spec, f"--spec of corpus {args.name}")
    folders = {path.parent.name: path.parent for path in args.made_from}
    if spec.sample is not None:
        build_sample(args.name, spec, spec.sample, folders[spec.sample.of], args.output)
    else:
        build_corpus(args.name, spec, folders, args.output, workers=args.threads)


if __name__ == "__main__":
    run_script(main)
