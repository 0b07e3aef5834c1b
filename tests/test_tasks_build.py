"""Tasks from files to Parquet, and an own message for each fault of the data."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import toy
import zstandard
from source_files import citation, seal, section, write_medline

from tlm.artifacts import verify
from tlm.config.data import TaskSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import read_task
from tlm.retrieval.queries import training_texts
from tlm.tasks.build import build_task

ROOT = Path(__file__).resolve().parent.parent
SPLIT = {"by": "row", "dev": 0.2, "test": 0.2}


def task(parser=None, **changes) -> TaskSpec:
    base = {
        "source": "s",
        "parser": {"format": "delimited", **(parser or {})},
        "metric": "macro_f1",
        "split": SPLIT,
    }
    return TaskSpec.model_validate({**base, **changes})


def build(tmp_path: Path, spec: TaskSpec, source: str = "s"):
    return build_task("t", spec, seal(tmp_path / source), tmp_path / "t")


def frames(tmp_path: Path) -> dict[str, pd.DataFrame]:
    return {split: pd.read_parquet(tmp_path / "t" / f"{split}.parquet") for split in ("train", "dev", "test")}


def write_rows(tmp_path: Path, rows, header=("text", "label")) -> None:
    (tmp_path / "s").mkdir(exist_ok=True)
    with (tmp_path / "s" / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


GOOD = [(f"text {number}", "ab"[number % 2]) for number in range(40)]


def test_the_toy_task(tmp_path):
    toy.write_task(tmp_path / "s" / "toy.csv")
    manifest = build(tmp_path, task())
    verify(tmp_path / "t", "task")
    assert manifest.parameters["labels"] == ["garden", "harbour", "kitchen"]
    assert manifest.parameters["pair"] is False and manifest.parameters["problem"] == "classification"
    assert manifest.counts["rows"] == {"train": 180, "dev": 60, "test": 60}
    assert manifest.counts["labels"]["dev"] == {"garden": 20, "harbour": 20, "kitchen": 20}
    together = pd.concat(frames(tmp_path).values())
    assert list(together.columns) == ["row_id", "text", "label"]
    assert list(together.row_id) == list(range(300)) and str(together.row_id.dtype) == "int64"
    original = pd.read_csv(tmp_path / "s" / "toy.csv")
    assert sorted(zip(together.text, together.label, strict=True)) == sorted(
        zip(original.text, original.label, strict=True)
    )


def test_building_twice_gives_the_same_bytes(tmp_path):
    toy.write_task(tmp_path / "s" / "toy.csv")
    assert build(tmp_path, task()) == build(tmp_path, task())


@pytest.mark.parametrize(
    ("bad", "spec", "message"),
    [
        (("x", ""), {}, "a.csv: row 41: no label"),
        (("", "a"), {}, "a.csv: row 41: empty text"),
        ((" \u200b ", "a"), {}, "a.csv: row 41: empty text"),
        (("x", "c"), {"labels": ["a", "b"]}, "a.csv: row 41: label 'c' is not one of a, b"),
        (("x",), {}, "a.csv: row 41: 1 fields, 2 columns"),
        (("x", "a"), {"parser": {"text": "body"}}, "a.csv: no column 'body'; there are text, label"),
        (("x", "a"), {"parser": {"files": "b*"}}, "no file matches 'b*'"),
        (("x", "a"), {"parser": {"where": {"label": ["a"]}}}, "all training rows have the label 'a'"),
        (("x", "a"), {"parser": {"where": {"label": ["z"]}}}, "has no rows"),
        (("x", "a"), {"split": {"by": "row", "dev": 0, "test": 0.2}}, "the dev split is empty"),
        (
            ("x", "a"),
            {"problem": "regression", "metric": "pearson_spearman"},
            "a.csv: row 1: label 'a' is not a number",
        ),
    ],
)
def test_faults_name_file_and_row(tmp_path, bad, spec, message):
    write_rows(tmp_path, [*GOOD, bad])
    with pytest.raises(TlmError) as caught:
        build(tmp_path, task(**spec))
    assert message in str(caught.value)
    assert not (tmp_path / "t").exists()


def test_text_that_is_not_utf8(tmp_path):
    write_rows(tmp_path, GOOD)
    path = tmp_path / "s" / "a.csv"
    path.write_bytes(path.read_bytes() + b"caf\xe9,a\r\n")
    with pytest.raises(TlmError, match=r"a\.csv: not utf-8 \(byte 0xe9\)"):
        build(tmp_path, task())
    build(tmp_path, task({"encodings": ["utf-8", "cp1252"]}))
    assert "café" in set(pd.concat(frames(tmp_path).values()).text)


def test_a_label_that_training_never_shows_is_an_error(tmp_path):
    for name, label in (("train", "a"), ("dev", "b"), ("test", "c")):
        write_rows(tmp_path, [("x", "a"), ("y", "b"), ("z", label)])
        (tmp_path / "s" / "a.csv").rename(tmp_path / "s" / f"{name}.csv")
    splits = {split: f"{split}.csv" for split in ("train", "dev", "test")}
    with pytest.raises(TlmError, match=r"test\.csv: row 3: label 'c' never occurs in the training split"):
        build(tmp_path, task({"splits": splits}, split="given"))


def test_given_splits_of_a_regression_over_pairs(tmp_path):
    for name in ("train", "dev", "test"):
        write_rows(tmp_path, [("same", "other", "1.5"), (name, "b", "4")], ("a", "b", "score"))
        (tmp_path / "s" / "a.csv").rename(tmp_path / "s" / f"{name}.csv")
    parser = {
        "splits": {split: f"{split}.csv" for split in ("train", "dev", "test")},
        "text": "a",
        "text_pair": "b",
        "label": "score",
    }
    manifest = build(tmp_path, task(parser, split="given", problem="regression", metric="pearson_spearman"))
    assert manifest.counts["rows"] == {
        "train": 2,
        "dev": 2,
        "test": 2,
    }  # somebody else's splits stay as they are
    assert manifest.counts["duplicates"]["test_in_train"] == 1
    assert manifest.parameters["pair"] is True and manifest.parameters["labels"] == []
    dev = frames(tmp_path)["dev"]
    assert list(dev.columns) == ["row_id", "text", "text_pair", "label"]
    assert list(dev.label) == [1.5, 4.0]


def test_text_folders(tmp_path):
    for number in range(40):
        path = tmp_path / "s" / "news" / "ab"[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"Title {number}\n\nBody £".encode("cp1252" if number == 7 else "utf-8"))
    parser = {"format": "text_folders", "files": "news/*/*.txt", "encodings": ["utf-8", "cp1252"]}
    manifest = build(tmp_path, TaskSpec(source="s", parser=parser, metric="accuracy", split=SPLIT))
    assert manifest.counts["left_out"] == {"files read as cp1252, not utf-8 (kept)": 1}
    assert manifest.parameters["labels"] == ["a", "b"]
    assert "Title 7 Body £" in set(pd.concat(frames(tmp_path).values()).text)


def test_medline_sentences(tmp_path):
    citations = [
        citation(
            number,
            section(f"Why is {number}? We ask.", "BACKGROUND"),
            section(f"It is {number}.", "RESULTS"),
            section("See NCT1.", "UNASSIGNED"),
        )
        for number in range(60)
    ]
    write_medline(tmp_path / "s" / "a.xml.gz", *citations, citation(99, section("Plain.")))
    parser = {"format": "medline_sentences", "files": "*.xml.gz"}
    split = {"by": "document", "dev": 0.2, "test": 0.2}
    manifest = build(tmp_path, TaskSpec(source="s", parser=parser, metric="micro_f1", split=split))
    counts = manifest.counts
    assert counts["left_out"] == {
        "articles without a labelled section": 1,
        "sections without one of the five categories": 60,
    }
    # "We ask." stands in every article: only training keeps it.
    together = frames(tmp_path)
    assert "We ask." in set(together["train"].text)
    assert "We ask." not in {*together["dev"].text, *together["test"].text}
    assert sum(counts["removed_for_straddling"].values()) + sum(counts["rows"].values()) == 180
    assert set(together["train"].label) == {"BACKGROUND", "RESULTS"}


def test_known_duplicates_of_acl_arc_are_noticed(tmp_path, shared):
    folder = tmp_path / "s"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}.jsonl.zst").write_bytes(
            (shared / f"tasks/citation_intent/{split}.jsonl.zst").read_bytes()
        )
    splits = {split: f"{split}.jsonl.zst" for split in ("train", "dev", "test")}
    manifest = build(tmp_path, task({"splits": splits}, split="given"))
    assert manifest.counts["rows"]["test"] == 139
    assert manifest.counts["duplicates"]["test_in_train"] == 52


def test_script(tmp_path):
    (tmp_path / "s").mkdir()
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in GOOD)
    (tmp_path / "s" / "a.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    seal(tmp_path / "s")
    (tmp_path / "spec.json").write_text(task().model_dump_json())
    command = [sys.executable, "scripts/task.py", "--name", "t", "--spec", f"@{tmp_path}/spec.json"]
    command += ["--source", str(tmp_path / "s"), "--output", str(tmp_path / "t")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert verify(tmp_path / "t", "task").counts["rows"] == {"train": 24, "dev": 8, "test": 8}


def test_folders_of_labels_with_given_splits(tmp_path):
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            for number in range(10):
                file = tmp_path / f"s/a/{split}/{label}/{number}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{split} {label} {number}")
    globs = {split: [f"a/{split}/neg/*.txt", f"a/{split}/pos/*.txt"] for split in ("train", "test")}
    spec = task({"format": "text_folders", "splits": globs}, split={"by": "row", "dev": 0.2, "test": 0.0})
    manifest = build(tmp_path, spec)
    assert manifest.counts["rows"] == {"train": 16, "dev": 4, "test": 20}
    assert manifest.counts["labels"]["dev"] == {"neg": 2, "pos": 2}
    assert all(text.startswith("test") for text in frames(tmp_path)["test"].text)


def test_labels_get_the_names_that_they_are_given(tmp_path):
    write_rows(tmp_path, [(f"text {number}", number % 3) for number in range(30)])
    build(tmp_path, task({"label_names": {"0": "no", "1": "yes"}}))
    assert set(frames(tmp_path)["train"].label) == {"no", "yes", "2"}


def test_a_hidden_test_split_is_absent_and_retrieval_and_training_do_without(tmp_path):
    (tmp_path / "s").mkdir()
    for name in ("train", "dev"):
        toy.write_task(tmp_path / "s" / f"{name}.csv", 30, seed=len(name))
    splits = {"train": "train.csv", "dev": "dev.csv"}
    with pytest.raises(TlmError, match="the test split is empty"):
        build(tmp_path, task({"splits": splits}, split="given"))
    manifest = build(tmp_path, task({"splits": splits}, split="given", hidden_test=True))
    assert manifest.counts["rows"] == {"train": 30, "dev": 30, "test": 0}
    assert sorted(manifest.files) == ["dev.parquet", "train.parquet"]
    assert len(training_texts(tmp_path / "t").texts) == 30
    assert read_task(tmp_path / "t").splits == ("dev",)
