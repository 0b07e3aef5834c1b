"""Index a corpus for BM25: on disk, at once or in shares, or on an Elasticsearch server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.retrieval import IndexSpec
    from tlm.retrieval.elastic.options import Elasticsearch, WaitFor, connection
    from tlm.retrieval.index import build_index, build_share, parse_share


def main(
    *,
    spec: IndexSpec,
    corpus: Annotated[Path, "folder of the corpus artifact"],
    threads: int = 1,
    share: Annotated[str | None, "I/N: build share I (from 0) of N of the blocks, for --shares"] = None,
    shares: Annotated[Sequence[Path], "folders of all shares, to join"] = (),
    elasticsearch: Elasticsearch = None,
    wait_for: WaitFor = (),
    output: Annotated[Path, "folder of the artifact"],
) -> None:
    server = connection(elasticsearch, wait_for)
    if elasticsearch:
        # Its client is loaded only where it is used.
        from tlm.retrieval.elastic.index import build_elastic_index

        build_elastic_index(corpus, output, spec, server)
    elif share:
        build_share(corpus, output, spec, threads, parse_share(share))
    else:
        build_index(corpus, output, spec, threads, shares)


if __name__ == "__main__":
    run_script(main)
