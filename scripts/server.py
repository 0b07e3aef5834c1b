"""Run a local Elasticsearch during the job that uses it."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.elasticsearch import server_settings
    from tlm.retrieval.elastic.service import serve


def main(
    *,
    elasticsearch: Annotated[str | None, "settings as JSON; they override TLM_ELASTICSEARCH"] = None,
    state: Annotated[Path, "file that receives the server's state"],
) -> None:
    serve(server_settings(elasticsearch), state)


if __name__ == "__main__":
    run_script(main)
