"""The backend in the workflow: built end to end, rerun for what changes results alone, silent about credentials."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from workflow_runner import copy_project, planned, snakemake

from tlm.config.retrieval import RetrievalSpec
from tlm.retrieval.index import build_index
from tlm.retrieval.stage import retrieve

INDEX = "data/indexes/toy/manifest.json"
RETRIEVAL = "data/retrieval/toy/toy/top20/manifest.json"


@pytest.fixture
def project(tmp_path):
    return copy_project(tmp_path)


def config(elastic, **more):
    server = {"url": elastic.url, "prefix": elastic.prefix, "retries": 2, "backoff": 0.1, **more}
    settings = {"backend": "elasticsearch", "index": {"norms": "lucene"}, "elasticsearch": server}
    return "--config", "scale=smoke", f"retrieval={json.dumps(settings)}"


def test_retrieval_from_a_server(project, elastic, elasticsearch_server, monkeypatch):
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "geheim")
    result = snakemake(project, RETRIEVAL, *config(elastic))
    assert result.returncode == 0, result.stdout + result.stderr
    made = [(project / name).read_bytes() for name in (INDEX, RETRIEVAL)]
    for path in project.rglob("*"):
        assert not path.is_file() or b"geheim" not in path.read_bytes(), path
    assert b"127.0.0.1" not in b"".join(made)

    # What does not change the result reruns nothing; what does reruns the index and what follows.
    assert not planned(project, RETRIEVAL, *config(elastic, url="http://127.0.0.1:1", bulk_threads=1))
    assert planned(project, RETRIEVAL, *config(elastic, shards=2)) == {"index": 1, "retrieve": 1}

    # A server that is not there, or has lost the index, is one line.
    shutil.rmtree((project / RETRIEVAL).parent)
    result = snakemake(project, RETRIEVAL, *config(elastic, url="http://127.0.0.1:1"))
    assert result.returncode != 0
    assert re.search(r"^error: http://127.0.0.1:1: cannot be reached", result.stdout + result.stderr, re.M)
    name = json.loads(made[0])["parameters"]["index"]
    elasticsearch_server.request("DELETE", f"/{name}")
    result = snakemake(project, RETRIEVAL, *config(elastic))
    assert re.search(rf"^error: .*the server has no index {name}", result.stdout + result.stderr, re.M)
    assert "Traceback" not in result.stdout + result.stderr

    # What that line says mends it, to the same bytes.
    assert f"snakemake --force {INDEX}" in result.stdout + result.stderr
    assert snakemake(project, "--force", INDEX, *config(elastic)).returncode == 0
    assert snakemake(project, RETRIEVAL, *config(elastic)).returncode == 0
    assert [(project / name).read_bytes() for name in (INDEX, RETRIEVAL)] == made

    # The embedded engine gives the same passages in the same order.
    spec = RetrievalSpec(**json.loads(made[1])["parameters"])
    build_index(project / "data/corpora/toy", project / "embedded", spec.index, 1)
    retrieve(project / "embedded", project / "data/tasks/toy", project / "top20", spec, 1)
    there, here = (
        pq.read_table(project / name)
        for name in (f"{Path(RETRIEVAL).parent}/topk.parquet", "top20/topk.parquet")
    )
    for column in ("query_id", "rank", "passage_id"):
        assert there[column].equals(here[column])
