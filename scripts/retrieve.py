"""Retrieve the top-k passages of every training text of a task, at once or in shares of the index's blocks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.retrieval import RetrievalSpec
    from tlm.retrieval import stage
    from tlm.retrieval.elastic.options import Elasticsearch, WaitFor, connection
    from tlm.retrieval.index import parse_share


def main(
    *,
    spec: RetrievalSpec,
    index: Annotated[Path, "folder of the index artifact"],
    task: Annotated[Path, "folder of the task artifact"],
    threads: int = 1,
    share: Annotated[str | None, "I/N: search share I (from 0) of N of the blocks, for --shares"] = None,
    shares: Annotated[Sequence[Path], "folders of all shares, to merge"] = (),
    elasticsearch: Elasticsearch = None,
    wait_for: WaitFor = (),
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    server = connection(elasticsearch, wait_for)
    if share:
        stage.retrieve_share(index, task, output, spec, threads, parse_share(share))
    else:
        stage.retrieve(index, task, output, spec, threads, shares, server)


if __name__ == "__main__":
    run_script(main)
