"""Fetch one source: download (or find in the cache), verify, unpack."""

import json
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.sources import SourceSpec
    from tlm.sources.fetch import fetch_source


def main(
    *,
    name: Annotated[str, "the source's name in config/sources.yaml"],
    spec: SourceSpec,
    mirrors: Annotated[str, "JSON: URL prefix to folder"] = "{}",
    cache: Annotated[Path, "downloads by sha256"] = Path("data/cache"),
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    fetch_source(name, spec, output, cache, json.loads(mirrors))


if __name__ == "__main__":
    run_script(main)
