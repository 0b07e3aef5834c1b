"""`local_tasks`: the same tasks from folders of one's own; and the paper's tasks from real files."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy
from conftest import ROOT

from tlm.artifacts import Manifest
from tlm.config.data import DataConfig, load_data_config
from tlm.config.settings import Settings
from tlm.config.sources import SourceSpec, local_files
from tlm.errors import TlmError
from tlm.formats.files import Input
from tlm.formats.registry import read_rows
from tlm.formats.tables import declared_options
from tlm.plan.local_data import with_local_corpora, with_local_tasks
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task

SHIPPED = load_data_config(ROOT / "config")
FOLDERS = {
    "chemprot": "chemprot",
    "acl-arc": "citation_intent",
    "scierc": "sciie",
    "imdb": "imdb",
    "agnews-titles": "ag",
    "hyperpartisan": "hyperpartisan_news",
    "rct": "rct_ei_derived",
    "cola": "glue_cola",
    "rte": "glue_rte",
    "sts-b": "glue_stsb",
    "mrpc": "glue_mrpc",
    "sst-2": "glue_sst2",
}
ROWS = {
    "chemprot": (4169, 2427, 3469),
    "acl-arc": (1688, 114, 139),
    "scierc": (3219, 455, 974),
    "imdb": (20000, 5000, 25000),
    "agnews-titles": (18973, 2000, 7600),
    "hyperpartisan": (515, 65, 65),
    "rct": (25527, 3557, 3629),
    "cola": (8551, 1043, 0),
    "rte": (2490, 277, 0),
    "sts-b": (5749, 1500, 1379),
    "mrpc": (3672, 408, 1725),
    "sst-2": (67349, 872, 1821),
}
TRAINED_ON = {"acl-arc": 52, "imdb": 43, "chemprot": 4, "scierc": 0}  # test texts that occur in train


def build(data: DataConfig, task: str, folder: Path, mirrors=None) -> Manifest:
    spec = data.tasks[task]
    fetch_source(spec.source, data.sources[spec.source], folder / "source", folder / "cache", mirrors or {})
    return build_task(task, spec, folder / "source", folder / "task")


def write(folder: Path, rows, split: str) -> None:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(dict(zip(("text", "text_pair", "label"), row, strict=True))) for row in rows]
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def test_files_take_the_place_of_a_source_and_all_else_stays(tmp_path):
    rows = [(f"a {number}", f"b {number}", number % 2) for number in range(8)]
    write(tmp_path / "mine", rows, "train")
    write(tmp_path / "mine", rows[:2], "dev")
    data = with_local_tasks(SHIPPED, {"mrpc": str(tmp_path / "mine")})
    spec = data.tasks["mrpc"]
    assert (spec.metric, spec.labels, spec.hidden_test) == ("accuracy_f1", ["different", "equivalent"], True)
    manifest = build(data, "mrpc", tmp_path)
    assert manifest.counts["rows"] == {"train": 8, "dev": 2, "test": 0}
    assert manifest.parameters["labels"] == ["different", "equivalent"] and manifest.parameters["pair"]
    assert "test.parquet" not in manifest.files
    assert data.tasks["rte"] == SHIPPED.tasks["rte"]


def test_a_split_that_is_not_given_is_made_by_the_tasks_own_rule(tmp_path):
    toy.write_task(tmp_path / "mine/train.csv")
    data = with_local_tasks(SHIPPED, {"toy": str(tmp_path / "mine")})
    assert data.tasks["toy"].split == SHIPPED.tasks["toy"].split
    assert build(data, "toy", tmp_path).counts["rows"] == {"train": 180, "dev": 60, "test": 60}


def test_mistakes_are_named(tmp_path):
    with pytest.raises(TlmError, match="no task 'imbd'"):
        with_local_tasks(SHIPPED, {"imbd": "x"})
    with pytest.raises(TlmError, match="has no train"):
        with_local_tasks(SHIPPED, {"imdb": str(tmp_path)})
    for name in ("train.csv", "train.tsv"):
        (tmp_path / name).touch()
    with pytest.raises(TlmError, match="two files of train"):
        with_local_tasks(SHIPPED, {"imdb": str(tmp_path)})


def test_the_files_of_a_corpus_take_the_place_of_its_sources(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "texts/b.txt").write_text("two\n")
    data = with_local_corpora(SHIPPED, {"general": str(tmp_path / "texts")})
    spec = data.corpora["general"]
    assert spec.sources == ["local-general"]
    assert (spec.min_words, spec.max_words) == (40, 120)
    files = local_files(data.sources["local-general"])
    assert [path.name for path in files] == ["a.jsonl", "b.txt"]
    assert data.corpora["demo"] == SHIPPED.corpora["demo"]


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("genral", "local_corpora.genral: no such corpus"),
        ("general-tenth", "is a sample of general; give the files of general"),
        ("general", "local_corpora.general: "),
    ],
)
def test_mistakes_in_local_corpora_are_named(tmp_path, corpus, message):
    with pytest.raises(TlmError, match=message):
        with_local_corpora(SHIPPED, {corpus: str(tmp_path / "missing.jsonl")})


def test_snakemakes_command_line_hands_over_text():
    settings = Settings.model_validate({"scale": "demo", "seeds": [1], "local_tasks": {"imdb": "../a/imdb"}})
    assert settings.local_tasks == {"imdb": "../a/imdb"}


@pytest.mark.parametrize("task", [name for name in FOLDERS if name not in ("imdb", "sst-2")])
def test_the_papers_tasks_build_from_real_files(shared, tmp_path, task):
    data = with_local_tasks(SHIPPED, {task: str(shared / "tasks" / FOLDERS[task])})
    manifest = build(data, task, tmp_path)
    assert tuple(manifest.counts["rows"].values()) == ROWS[task]
    assert manifest.counts["duplicates"]["test_in_train"] == TRAINED_ON.get(
        task, manifest.counts["duplicates"]["test_in_train"]
    )


@pytest.mark.parametrize("task", ["imdb", "sst-2"])
def test_the_larger_tasks_build_from_real_files(shared, tmp_path, task, capsys):
    data = with_local_tasks(SHIPPED, {task: str(shared / "tasks" / FOLDERS[task])})
    assert tuple(build(data, task, tmp_path).counts["rows"].values()) == ROWS[task]
    if task == "imdb":
        assert "43 of 25000 test texts also occur in train" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["chemprot", "acl-arc", "scierc", "cola"])
def test_the_declared_sources_give_the_same_rows(shared, tmp_path, task, capsys):
    """The real URLs with their digests, answered by a mirror."""
    host = "https://raw.githubusercontent.com/"
    mirrors = {host: f"{shared / 'mirror/raw.githubusercontent.com'}/"}
    declared = build(SHIPPED, task, tmp_path / "declared", mirrors)
    local = build(
        with_local_tasks(SHIPPED, {task: str(shared / "tasks" / FOLDERS[task])}), task, tmp_path / "local"
    )
    assert declared.files == local.files
    assert declared.counts["duplicates"]["test_in_train"] == TRAINED_ON.get(task, 0)
    if task == "acl-arc":
        assert "52 of 139 test texts also occur in train" in capsys.readouterr().out


def test_ag_news_as_published_is_read_without_a_lost_row(shared):
    """Its training file is not in the mirror; the test file has the same form."""
    (test,) = (shared / "mirror").rglob("ag_news_csv/test.csv")
    options = declared_options(SHIPPED.tasks["agnews-titles"].parser, ["label", "title", "description"])
    found = list(read_rows(Input(test), options))
    assert len(found) == 7600
    assert {row["label"] for _, row in found} == set(SHIPPED.tasks["agnews-titles"].parser.label_names)
    assert all(row["title"] and row["description"] for _, row in found)


def test_ag_news_without_titles_has_the_size_of_the_authors_file(shared):
    """Their test.csv has 1.52 MB on the Hub; with titles it would have 1.82 MB."""
    (test,) = (shared / "mirror").rglob("ag_news_csv/test.csv")
    options = declared_options(SHIPPED.tasks["agnews-titles"].parser, ["label", "title", "description"])
    rows = [row for _, row in read_rows(Input(test), options)]
    sizes = []
    for columns in (("description",), ("title", "description")):
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(
            [("text", "label"), *((" ".join(row[name] for name in columns), row["label"]) for row in rows)]
        )
        sizes.append(len(written.getvalue().encode()))
    assert sizes == [1_496_187, 1_822_708]


def test_the_authors_files_give_the_papers_tasks(tmp_path):
    """Files of the form of yxchar/<task>-tlm: the columns text and label, labels as numbers, three given splits."""
    for task, labels in (("agnews", ["World", "Sports", "Business", "Sci/Tech"]), ("imdb", ["neg", "pos"])):
        folder = tmp_path / task
        urls = {}
        for split in ("train", "dev", "test"):
            rows = "".join(f"{split} text {n},{n % len(labels)}\n" for n in range(8))
            (folder / "mirror").mkdir(parents=True, exist_ok=True)
            (folder / f"mirror/{split}.csv").write_text(f"text,label\n{rows}")
            (urls[split],) = (f for f in SHIPPED.sources[SHIPPED.tasks[task].source].files if split in f.uri)
        prefix = urls["train"].url().removesuffix("train.csv")
        # Without the digests, which are those of the real files.
        files = [{"uri": file.uri, "first_use": True} for file in urls.values()]
        sources = {**SHIPPED.sources, SHIPPED.tasks[task].source: SourceSpec(files=files)}
        data = SHIPPED.model_copy(update={"sources": sources})
        manifest = build(data, task, folder, {prefix: f"{folder}/mirror/"})
        assert manifest.counts["rows"] == {"train": 8, "dev": 8, "test": 8}
        assert manifest.parameters["labels"] == labels


def test_glue_as_the_hub_holds_it(tmp_path):
    """Parquet with numbered labels, both of MNLI's dev sets, in the shape of nyu-mll/glue."""
    (uri, *_) = (file.url() for file in SHIPPED.sources["glue-mnli"].files)
    prefix = uri.partition("mnli/")[0]
    for name, count in (("train", 9), ("validation_matched", 3), ("validation_mismatched", 6)):
        table = pa.table(
            {
                "premise": [f"{name} premise {number}" for number in range(count)],
                "hypothesis": [f"hypothesis {number}" for number in range(count)],
                "label": pa.array([number % 3 for number in range(count)], pa.int64()),
                "idx": pa.array(range(count), pa.int32()),
            }
        )
        (tmp_path / "mirror/mnli").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / f"mirror/mnli/{name}-00000-of-00001.parquet")
    manifest = build(SHIPPED, "mnli", tmp_path, {prefix: f"{tmp_path / 'mirror'}/"})
    assert manifest.counts["rows"] == {"train": 9, "dev": 3, "test": 6}
    assert manifest.parameters["labels"] == ["entailment", "neutral", "contradiction"]
    row = pq.read_table(tmp_path / "task/test.parquet").to_pylist()[1]
    assert (row["text"], row["text_pair"]) == ("validation_mismatched premise 1", "hypothesis 1")
    assert row["label"] == "neutral"
