"""Build one corpus: read sources in parallel, clean, cut into passages, write Parquet shards."""

import argparse
from pathlib import Path

from tlm.cli import run_script
from tlm.config.base import parse_json
from tlm.config.data import CorpusSpec
from tlm.corpus.build import build_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the corpus's name in config/corpora.yaml")
    parser.add_argument("--spec", required=True, help="its specification as JSON, or @file")
    parser.add_argument("--sources", required=True, type=Path, help="folder of the source artifacts")
    parser.add_argument("--threads", type=int, default=0, help="processes (default: as many as cores)")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    spec = parse_json(CorpusSpec, args.spec, f"--spec of corpus {args.name}")
    directories = {source: args.sources / source for source in spec.sources}
    build_corpus(args.name, spec, directories, args.output, workers=args.threads)


if __name__ == "__main__":
    run_script(main)
