"""`tlm new` with the files that people have: each is read, or refused in one line that names the option that helps."""

import json
import shlex
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import workbook_toy
from huggingface_hub.errors import RepositoryNotFoundError
from own_toy import new, write_project

from tlm.config.base import load_yaml
from tlm.cost.jobs import read_project
from tlm.errors import TlmError
from tlm.formats.registry import FORMATS
from tlm.own import command, hub
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    return write_project(tmp_path_factory.mktemp("files") / "project")


@pytest.fixture
def project(shipped, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(shipped, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def rows(project) -> list[dict[str, str]]:
    return pd.read_csv("rows.csv")[["text", "label"]].to_dict("records")


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows, separator=",") -> str:
    return pd.DataFrame(rows).to_csv(index=False, sep=separator)


def make(kind: str, rows) -> list[str]:
    """The arguments of `tlm new` for the rows in a file of some kind."""
    if kind == "workbook":
        cells = [["text", "label"], *([row["text"], row["label"]] for row in rows)]
        workbook_toy.write_workbook(Path("a.xlsx"), {"Rows": cells})
        return ["a.xlsx"]
    if kind == "bytes":
        texts = pa.array([row["text"].encode() for row in rows], pa.binary())
        pq.write_table(pa.table({"text": texts, "label": [row["label"] for row in rows]}), "a.parquet")
        return ["a.parquet"]
    if kind == "zip with hidden members":
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.writestr("reviews.csv", table(rows))
            archive.writestr("__MACOSX/._reviews.csv", b"\0\5\x16\7\xff")
        return ["a.zip"]
    content = {
        "semicolons": ("a.csv", table(rows, ";"), []),
        "tabs": ("a.csv", table(rows, "\t"), []),
        "declared delimiter": ("a.csv", table(rows, "~"), ["--delimiter", "~"]),
        "quotation mark opens each text": (
            "a.tsv",
            "text\tlabel\n" + "".join(f'"{row["text"]}\t{row["label"]}\n' for row in rows),
            ["--no-quotes"],
        ),
        "array": ("a.json", json.dumps(rows), []),
        "fastText": ("a.txt", "".join(f"__label__{row['label']} {row['text']}\n" for row in rows), []),
        "nested": (
            "a.jsonl",
            lines({"text": {"en": row["text"]}, "label": row["label"]} for row in rows),
            ["--text", "text.en"],
        ),
        "byte-order mark": ("a.csv", b"\xef\xbb\xbf" + table(rows).encode(), ["--encoding", "utf8"]),
        "no suffix": ("data", table(rows), ["--kind", "csv"]),
    }
    name, text, options = content[kind]
    return [write(name, text), *options]


KINDS = [
    *(
        "workbook",
        "bytes",
        "zip with hidden members",
        "semicolons",
        "tabs",
        "declared delimiter",
        "array",
        "fastText",
    ),
    *("quotation mark opens each text", "nested", "byte-order mark", "no suffix"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_task_builds_from_each_kind_of_file(project, rows, capsys, kind):
    new("--task", *make(kind, rows))
    printed = capsys.readouterr().out
    assert "200 (train 140, dev 21, test 39" in printed and "3: garden 34%" in printed
    assert ("its delimiter is a" in printed) == (kind in ("semicolons", "tabs"))
    data = read_project([]).data
    fetch_source("mine", data.sources["mine"], project / "source", project / "cache", {})
    counts = build_task("mine", data.tasks["mine"], project / "source", project / "task").counts
    assert counts["rows"] == {"train": 140, "dev": 21, "test": 39}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (
            lambda rows: lines({**row, "label": [row["label"], "x"]} for row in rows),
            [],
            r"a\.jsonl: row 1: column 'label' holds a list of 2 values",
        ),
        (
            lambda rows: lines({**row, "text": {"en": row["text"]}} for row in rows),
            [],
            r"holds an object with the keys en; name one of them, such as --text text\.en",
        ),
        (
            lambda rows: lines({**row, "label": float("nan")} for row in rows),
            [],
            r"a\.jsonl: row 1: no label in column label",
        ),
        (
            lambda rows: lines({"text": f"text number {n % 4}", "label": n % 2} for n in range(200)),
            [],
            "200 rows hold only 4 different texts in column text, .* name another column with --text",
        ),
        (
            lambda rows: lines([*rows, {"text": "A rose.", "label": "Garden"}]),
            [],
            r"row 201: label 'Garden' .* \(--merge Garden=garden\)",
        ),
        (
            lines,
            ["--merge", "gardn=x"],
            r"--merge gardn=x: no row has the label 'gardn' \(did you mean 'garden'\?\)",
        ),
        (lines, ["--label", "LABEL"], r"no column 'LABEL' \(did you mean 'label'\?\); .* with --label"),
        (lines, ["--encoding", "utf-9"], r"unknown encoding 'utf-9' \(did you mean"),
        (lines, ["--kind", "josnl"], r"no format 'josnl' \(--kind\) \(did you mean 'jsonl'\?\)"),
        (lines, ["--metric", "macrof1"], r"--metric: .* \(did you mean 'macro_f1'\?\)"),
    ],
)
def test_a_fault_names_its_cause_and_the_option(project, rows, content, arguments, message):
    write("a.jsonl", content(rows))
    with pytest.raises(TlmError, match=message):
        new("--task", "a.jsonl", *arguments)


def test_one_label_in_several_spellings_gets_a_proposal(project, rows, capsys):
    labels = [1, 1.0, True, "true", "two words", "Two-Words", "nan"]
    write("a.jsonl", lines({**row, "label": labels[n % 7]} for n, row in enumerate(rows)))
    new("--task", "a.jsonl")
    printed = capsys.readouterr().out
    proposed = printed[printed.index("--merge ") :].splitlines()[0]
    assert set(shlex.split(proposed)) == {"--merge", "1.0=1", "true=True", "two words=Two-Words"}
    assert "the label 'nan' (28 rows) looks like a missing value" in printed
    new(
        "--task",
        "a.jsonl",
        "--merge",
        "1.0=1",
        "true=True",
        "Two-Words=two words",
        "nan=none of these",
        "--force",
    )
    printed = capsys.readouterr().out
    assert "look alike" not in printed and "missing value" not in printed


def test_a_text_that_gives_away_its_label_gets_a_note(project, rows, capsys):
    new("--task", "rows.csv")
    assert "the text holds its own label" not in (printed := capsys.readouterr().out)
    assert "one word decides" not in printed
    new("--task", "rows.csv", "--text", "text", "label", "--force")
    assert "the text holds its own label in 100% of the rows" in capsys.readouterr().out
    write("a.csv", table({**row, "text": f"{row['text']} tag{row['label'][0]}"} for row in rows))
    new("--task", "a.csv", "--force")
    assert "one word decides the label in 98 % of the texts: 'tagg' for 'garden'" in capsys.readouterr().out


def test_a_copy_of_the_task_is_no_corpus(project, rows, capsys):
    shutil.copy("rows.csv", "copy.csv")
    with pytest.raises(TlmError, match=r"copy\.csv: has the same content as rows\.csv of --task"):
        new("--task", "rows.csv", corpus=("heap.jsonl", "copy.csv"))
    with zipfile.ZipFile("b.zip", "w") as archive:
        archive.writestr("texts.jsonl", lines({"text": row["text"].upper()} for row in rows))
    with pytest.raises(
        TlmError, match=r"b\.zip:texts\.jsonl: 60 of 200 texts are dev or test texts of the task"
    ):
        new("--task", "rows.csv", corpus=("heap.jsonl", "b.zip"))
    heap = [json.loads(line) for line in Path("heap.jsonl").read_text().splitlines()]
    write("c.jsonl", lines([*heap, *rows[:12]]))
    new("--task", "rows.csv", corpus=("c.jsonl",))
    assert "dev and test texts are among the 312 texts read from --corpus" in capsys.readouterr().out


def test_the_options_of_the_corpus_reach_its_files(project, rows, capsys):
    heap = [json.loads(line)["text"] for line in Path("heap.jsonl").read_text().splitlines()]
    write("a.csv", ("body~n\n" + "".join(f'"{text} café~1\n' for text in heap)).encode("latin-1"))
    options = [
        "--corpus-text",
        "body",
        "--corpus-encoding",
        "latin-1",
        "--corpus-delimiter",
        "~",
        "--corpus-no-quotes",
    ]
    new("--task", "rows.csv", *options, corpus=("a.csv",))
    written = load_yaml(project / "config/own/mine.yaml")["corpus"]
    assert written["quoting"] is False and written["delimiter"] == "~" and written["encodings"] == ["latin-1"]
    with pytest.raises(TlmError, match="name its encoding with --corpus-encoding"):
        new("--task", "rows.csv", "--force", "--corpus-text", "body", corpus=("a.csv",))
    write("b.csv", "body;n\n" + "".join(f"{text};1\n" for text in heap))
    new("--task", "rows.csv", "--force", "--corpus-text", "body", corpus=("b.csv",))
    assert "b.csv: its delimiter is a semicolon" in capsys.readouterr().out


def test_a_folder_with_two_names_of_the_text_column_raises(project, rows):
    Path("folder").mkdir()
    shutil.copy("heap.jsonl", "folder/a.jsonl")
    write("folder/b.jsonl", lines({"content": row["text"]} for row in rows))
    with pytest.raises(
        TlmError, match=r"b\.jsonl: row 1: no column 'text'; there are content; .* with --corpus-text"
    ):
        new("--task", "rows.csv", corpus=("folder",))


def test_the_help_lists_the_formats_of_the_registry():
    assert tuple(name for name, each in FORMATS.items() if each.columns) == command.ROW_FORMATS


class FakeHub:
    """`dataset_info` and `hf_hub_download` of a Hub with one data set."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def dataset_info(self, name, **options):
        if name != "owner/set":
            raise RepositoryNotFoundError("404", response=httpx_response(404))
        found = [SimpleNamespace(rfilename=name, size=len(text)) for name, text in self.files.items()]
        return SimpleNamespace(sha="c0ffee" * 6, siblings=found)

    def download(self, name, file, *, repo_type, revision, local_dir):
        path = Path(local_dir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.files[file])


def httpx_response(status: int):
    request = SimpleNamespace(url="https://hub", method="GET")
    return SimpleNamespace(headers={}, status_code=status, request=request, url="https://hub")


def test_a_data_set_of_the_hub_is_a_task(project, rows, capsys, monkeypatch):
    files = {
        "README.md": "x",
        "data/train-0.jsonl": lines(rows[:140]),
        "data/test-0.jsonl": lines(rows[140:]),
    }
    fake = FakeHub({**files, "data/unsupervised-0.jsonl": lines(rows[:3])})
    monkeypatch.setattr(hub, "HfApi", lambda: fake)
    monkeypatch.setattr(hub, "hf_hub_download", fake.download)
    new("--task", "owner/set")
    printed = capsys.readouterr().out
    assert "owner/set: 3 files" in printed and "--task: 1 files, --test: 1 files" in printed
    assert "unsupervised-0.jsonl: of no split; not used" in printed and "200 (train" in printed
    written = load_yaml(project / "config/own/mine.yaml")["task"]["files"]
    folder = "data/hub/owner--set@c0ffeec0ffee/data"
    assert written == {"train": f"{folder}/train-0.jsonl", "test": f"{folder}/test-0.jsonl"}
    with pytest.raises(TlmError, match="no such file, and the Hub has no data set 'owner/other'"):
        new("--task", "owner/other", "--force")
    with pytest.raises(TlmError, match=r"write hf://datasets/OWNER/NAME"):
        new("--task", "hf://owner", "--force")


def test_files_of_a_data_set_are_chosen():
    files = ["README.md", "a/train.parquet", "b/train.parquet", "notes.txt", ".x/a.csv"]
    with pytest.raises(TlmError, match=r"has the folders a, b; choose one, such as hf://datasets/o/n/a"):
        hub.choose(files, None, "--task o/n", corpus=False)
    assert hub.choose(files, "b", "--task o/n", corpus=False) == ["b/train.parquet"]
    assert hub.choose(files, "*.txt", "--corpus o/n", corpus=True) == ["notes.txt"]
    with pytest.raises(TlmError, match="holds no file of a format that is read"):
        hub.choose(["README.md"], None, "--task o/n", corpus=False)


def test_without_a_network_a_name_of_the_hub_is_one_line(project, monkeypatch):
    class Unreachable:
        def dataset_info(self, name, **options):
            raise ConnectionError("Connection refused")

    monkeypatch.setattr(hub, "HfApi", Unreachable)
    with pytest.raises(
        TlmError, match=r"--task owner/set: no such file, and the Hub cannot be reached \(Conn.*; download"
    ):
        new("--task", "owner/set")
    with pytest.raises(TlmError, match=r"--corpus hf://datasets/o/n: the Hub cannot be reached"):
        new("--task", "rows.csv", corpus=("hf://datasets/o/n",))
