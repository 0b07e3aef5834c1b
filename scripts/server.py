"""Run a local Elasticsearch during the job that uses it."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.elasticsearch import server_settings
    from tlm.retrieval.elastic.service import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", help="settings as JSON; they override TLM_ELASTICSEARCH")
    parser.add_argument("--state", required=True, type=Path, help="file that receives the server's state")
    args = parser.parse_args()
    serve(server_settings(args.elasticsearch), args.state)


if __name__ == "__main__":
    run_script(main)
