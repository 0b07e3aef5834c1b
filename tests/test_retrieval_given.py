"""Selections from files: formats, columns, repeated passages, ranks, queries; the plan of Table 2 without a corpus."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from retrieval_corpora import write_task

from tlm.artifacts import read_manifest, write_manifest
from tlm.audit.stage import audit_task
from tlm.config.retrieval import GivenSelector
from tlm.config.sources import FileSpec, SourceSpec
from tlm.errors import TlmError
from tlm.plan import runs, tables
from tlm.plan.project import load_project
from tlm.plan.selections import Selection
from tlm.retrieval.given import build_given
from tlm.retrieval.selection import select
from tlm.sources.fetch import fetch_source

TRAIN = ["which protein", "which drug", "which cell"]
ROWS = [
    {"text": "a first passage", "id": 0, "rank": 0},
    {"text": "a second\n passage", "id": 1, "rank": 3},
    {"text": "", "id": 2, "rank": 1},
    {"text": "a first passage", "id": 3, "rank": 2},
]


def source(folder: Path, name: str, rows) -> Path:
    """A source artifact with one file of rows, by the ordinary download stage."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    spec = SourceSpec(files=[FileSpec(uri=f"file://{path}")])
    fetch_source("mine", spec, folder / "source", folder / "cache", {})
    return folder / "source"


def build(folder: Path, name: str, rows, **settings):
    """The selection as rows, and its manifest."""
    task = folder / "task" if (folder / "task").exists() else write_task(folder / "task", TRAIN)
    spec = GivenSelector(name="mine", **settings)
    manifest = build_given(spec, source(folder, name, rows), task, folder / "selection")
    assert manifest == read_manifest(folder / "selection", "selection")
    return pq.read_table(folder / "selection/passages.parquet").to_pylist(), manifest


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_every_format_gives_the_same_passages(tmp_path, name):
    found, manifest = build(tmp_path, name, ROWS, first_rank=0)
    assert [(row["passage_id"], row["text"], row["rank"], row["queries"]) for row in found] == [
        (0, "a first passage", 1, 2),  # the better of two ranks, which the authors count from 0
        (1, "a second passage", 4, 1),
    ]
    assert {row["source"] for row in found} == {"mine"} and {row["query_id"] for row in found} == {-1}
    assert manifest.counts == {
        "passages": 2,
        "bytes": len("a first passagea second passage"),
        "words": 6,
        "rows": 3,
        "rows_without_text": 1,
        "queries_not_found": 0,
    }
    assert set(manifest.inputs) == {"source", "task"}


def test_a_file_with_texts_alone_has_no_ranks(tmp_path):
    found, _ = build(tmp_path, "a.csv", [{"text": "one"}, {"text": "two"}, {"text": "one"}])
    assert [(row["text"], row["rank"], row["score"], row["queries"]) for row in found] == [
        ("one", 0, 0.0, 0),
        ("two", 0, 0.0, 0),
    ]


def test_scores_and_queries_by_id_or_by_text(tmp_path):
    rows = [
        {"passage": "one", "rank": 2, "score": 1.5, "query": "which  drug"},
        {"passage": "two", "rank": 1, "score": 2.5, "query": "2"},
        {"passage": "one", "rank": 1, "score": 3.5, "query": "which protein"},
        {"passage": "two", "rank": 1, "score": 2.0, "query": "no training text"},
        {"passage": "two", "rank": 5, "score": 0.5, "query": "which drug"},
    ]
    found, manifest = build(tmp_path, "a.jsonl", rows, text="passage")
    assert [
        tuple(row[name] for name in ("text", "rank", "score", "query_id", "queries")) for row in found
    ] == [
        ("one", 1, 3.5, 0, 2),
        ("two", 1, 2.0, -1, 3),
    ]
    assert manifest.counts["queries_not_found"] == 1


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([{"passage": "one"}], {}, r"a.csv: no column 'text'.*there are passage"),
        ([{"text": "one"}], {"rank": "place"}, "no column 'place'"),
        (
            [{"text": "one", "rank": "0"}],
            {},
            r"row 1: column 'rank': '0' is no rank; .* whole numbers from 1",
        ),
        ([{"text": "one", "rank": "nan"}], {"first_rank": 0}, "'nan' is no rank"),
        ([{"text": "one", "score": "good"}], {}, "column 'score': 'good' is not a number"),
        ([{"text": "one", "query": "17"}], {}, "17 is the row_id of no training row"),
        ([{"text": " "}], {}, "no row of .* holds a text"),
        ([{"text": "one"}], {"files": "*.jsonl"}, "no file matches"),
    ],
)
def test_mistakes_name_file_row_and_column(tmp_path, rows, settings, message):
    with pytest.raises(TlmError, match=message):
        build(tmp_path, "a.csv", rows, **settings)
    assert not (tmp_path / "selection").exists()


def test_passages_that_share_text_with_test_are_left_out(tmp_path):
    write_task(tmp_path / "task", TRAIN)
    test_row = {"row_id": [4], "text": ["one two three four five"], "label": ["x"]}
    pq.write_table(pa.table(test_row), tmp_path / "task/test.parquet")
    rows = [{"text": "before one two three four five after"}, {"text": "another passage"}]
    _, whole = build(tmp_path, "a.csv", rows)
    audit_task(tmp_path / "task", tmp_path / "selection", tmp_path / "audit")
    spec = GivenSelector(name="mine")
    inputs = {"whole": tmp_path / "selection"}
    clean = select(spec, None, tmp_path / "clean", inputs, without=[tmp_path / "audit"])
    assert pq.read_table(tmp_path / "clean/passages.parquet")["text"].to_pylist() == ["another passage"]
    assert clean.counts["passages"] == 1 and clean.parameters["exclude"] == "contaminated"
    assert clean.inputs == {"whole": whole.digest, "audit/t": read_manifest(tmp_path / "audit").digest}
    write_manifest(tmp_path / "selection", "selection", counts={}, parameters={})
    with pytest.raises(TlmError, match="does not audit the current"):
        select(spec, None, tmp_path / "clean", inputs, without=[tmp_path / "audit"])
    with pytest.raises(TlmError, match="give --source and --task"):
        select(spec, None, tmp_path / "clean", {})


def shipped(scale: str, **settings):
    return load_project({"scale": scale, "seeds": [1, 2, 3], **settings}, ROOT / "config")


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
def test_the_papers_scales_read_the_authors_files(scale):
    project = shipped(scale)
    for task in project.scale.tasks:
        run = runs.resolve_encoder(project, task, "tlm-given", 1)
        tlm = runs.resolve_encoder(project, task, "tlm", 1)
        assert run.variant == "tlm-given" and run.spec == tlm.spec and run.tokenizer == tlm.tokenizer
        (file,) = project.data.sources[project.given(run.passages.corpus).source].files
        assert file.uri.endswith(f"/{'large' if scale == 'large' else 'small'}_external.csv")
        assert run.passages.folder == f"data/selections/{run.passages.corpus}/{task}/given"
    assert "tlm-given" in [row.id for row in tables.table(project, "table2").rows]


def test_a_scale_without_given_selections_leaves_the_row_out():
    project = shipped("demo")
    assert "tlm-given" not in [row.id for row in tables.table(project, "table2").rows]
    assert "table2-released" not in tables.available(project)
    with pytest.raises(TlmError, match="no selection is given; name one"):
        runs.resolve(project, "bbc-news", "tlm-given", 1)
    beside = shipped("large", beside=["demo", "small"])
    rows = [row.id for row in tables.table(beside, "table2").rows]
    assert [row for row in rows if row.startswith("tlm-given")] == ["tlm-given", "tlm-given-small"]


def test_excluding_contaminated_passages_audits_the_given_selection():
    project = shipped("large", exclude="contaminated")
    selection = runs.resolve_encoder(project, "rct", "tlm-given", 1).passages
    assert selection == Selection("given", 0, "rct-20k-tlm-large", "rct", clean=True)
    assert Selection.from_name(selection.name, selection.corpus, "rct") == selection
    whole = "data/selections/rct-20k-tlm-large/rct/given"
    assert selection.made_from(0) == {"whole": whole}
    assert selection.audits([]) == ["data/audits/rct/selections/rct-20k-tlm-large/rct/given"]


@pytest.mark.parametrize("table", ["table2-released", "table2"])
def test_table_2_at_the_large_scale_plans_from_the_authors_files(table):
    """Without a corpus, an index or a retrieval if the row that retrieves is left out."""
    command = [sys.executable, "-m", "snakemake", "-n", f"results/{table}.csv", "--config", "scale=large"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    jobs = {line.split()[0] for line in done.stdout.partition("Job stats:")[2].splitlines() if line.split()}
    assert {"fetch", "selection", "stage1", "stage2", "evaluate", "table"} <= jobs
    assert ({"corpus", "index", "retrieve"} & jobs != set()) == (table == "table2")
