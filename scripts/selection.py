"""Select passages as external data: from a corpus, by retrieval, by importance or at random; or from files."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.retrieval import SELECTOR_INPUTS, parse_selector
    from tlm.retrieval.selection import select


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="a selector as JSON, or @file")
    parser.add_argument(
        "--corpus", type=Path, help="directory of the corpus artifact; not for the selector given"
    )
    for name, (_, description) in SELECTOR_INPUTS.items():
        parser.add_argument(
            f"--{name}", type=Path, help=f"directory of {description}, if the selector reads it"
        )
    parser.add_argument(
        "--without",
        type=Path,
        nargs="+",
        default=[],
        help="audits whose passages are left out, of the corpus or of --whole",
    )
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    inputs = {name: folder for name in SELECTOR_INPUTS if (folder := getattr(args, name))}
    select(parse_selector(args.spec, "--spec"), args.corpus, args.output, inputs, without=args.without)


if __name__ == "__main__":
    run_script(main)
