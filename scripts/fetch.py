"""Fetch one source: download (or find in the cache), verify, unpack."""

import argparse
import json
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.sources import SourceSpec
    from tlm.sources.fetch import fetch_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the source's name in config/sources.yaml")
    parser.add_argument("--spec", required=True, help="its specification as JSON, or @file")
    parser.add_argument("--mirrors", default="{}", type=json.loads, help="JSON: URL prefix to folder")
    parser.add_argument("--cache", default=Path("data/cache"), type=Path, help="downloads by sha256")
    parser.add_argument("--output", required=True, type=Path, help="directory of the artifact")
    args = parser.parse_args()
    spec = parse_json(SourceSpec, args.spec, f"--spec of source {args.name}")
    fetch_source(args.name, spec, args.output, args.cache, args.mirrors)


if __name__ == "__main__":
    run_script(main)
