"""Multi-label tasks: every form of a label column gives the same task, and splits keep the share of every label."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import seal

from tlm.artifacts import read_manifest
from tlm.config.base import parse
from tlm.config.data import DataConfig, SplitRule, TaskSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import read_rows, read_task
from tlm.plan.local_data import with_local_tasks
from tlm.problems import MULTI_LABEL
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task
from tlm.tasks.label_sets import listed_labels
from tlm.tasks.parsers import Example
from tlm.tasks.splits import SPLITS, key, split_examples

SETS = [["art", "law"], ["law"], [], ["war"], ["art", "law", "war"], ["art"]]
ROWS = [(f"text {number}", SETS[number % len(SETS)]) for number in range(60)]


def spec(parser=None, **changes) -> TaskSpec:
    base = {
        "source": "s",
        "parser": {"format": "delimited", **(parser or {})},
        "problem": "multi_label",
        "metric": "macro_f1",
        "split": {"by": "row", "dev": 0.2, "test": 0.2},
    }
    return parse(TaskSpec, {**base, **changes}, "task")


def build(tmp_path, task, name="t"):
    return build_task(name, task, seal(tmp_path / "s"), tmp_path / name)


def write(tmp_path, form, rows=ROWS):
    """The rows in one of the forms of a label column; returns the keys of the parser that reads it."""
    folder = tmp_path / "s"
    folder.mkdir(exist_ok=True)
    texts, sets = [text for text, _ in rows], [labels for _, labels in rows]
    if form == "parquet":
        pd.DataFrame({"text": texts, "label": sets}).to_parquet(folder / "a.parquet")
        return {}
    if form == "fasttext":
        lines = ["".join(f"__label__{label} " for label in labels) + text for text, labels in rows]
        (folder / "a.fasttext").write_text("\n".join(lines), encoding="utf-8")
        return {}
    if form == "jsonl":
        lines = [json.dumps({"text": text, "label": labels}) for text, labels in rows]
        (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return {}
    if form == "columns":
        names = ["art", "law", "war"]
        flags = [{name: int(name in labels) for name in names} for labels in sets]
        pd.DataFrame({"text": texts, **pd.DataFrame(flags)}).to_csv(folder / "a.csv", index=False)
        return {"label_columns": names}
    cells = {
        "separator": [" | ".join(labels) for labels in sets],
        "json in csv": [json.dumps(labels) for labels in sets],
        "python in csv": [str(labels) for labels in sets],
    }[form]
    pd.DataFrame({"text": texts, "label": cells}).to_csv(folder / "a.csv", index=False)
    return {"label_separator": "|"} if form == "separator" else {}


FORMS = ("jsonl", "parquet", "fasttext", "columns", "separator", "json in csv", "python in csv")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_gives_the_same_task(tmp_path, form):
    manifest = build(tmp_path, spec(write(tmp_path, form)))
    assert manifest.parameters["labels"] == ["art", "law", "war"]
    assert sum(manifest.counts["rows"].values()) == 60
    assert {split: counts["art"] for split, counts in manifest.counts["labels"].items()} == {
        "train": 18,
        "dev": 6,
        "test": 6,
    }
    sets = manifest.counts["label_sets"]
    assert sum(each["without"] for each in sets.values()) == 10
    assert sum(each["labels"] for each in sets.values()) == 80
    assert sets["train"]["most"] == 3 and sets["train"]["distinct"] == 6
    train = read_rows(tmp_path / "t", "train")
    expected = {text: sorted(labels) for text, labels in ROWS}
    assert all(expected[text] == labels for text, labels in zip(train.texts, train.labels, strict=True))
    assert read_task(tmp_path / "t").problem is MULTI_LABEL


def test_names_merge_and_declared_labels_keep_their_order(tmp_path):
    parser = {**write(tmp_path, "jsonl"), "label_names": {"war": "law"}}
    manifest = build(tmp_path, spec(parser, labels=["law", "art"]))
    assert manifest.parameters["labels"] == ["law", "art"]
    labels = read_rows(tmp_path / "t", "train").labels
    assert max(map(len, labels)) == 2  # art, law and war became art and law


def test_an_empty_name_leaves_a_label_out_but_keeps_its_rows(tmp_path):
    write(tmp_path, "jsonl", [*ROWS, ("rare one", ["sea"])])
    manifest = build(tmp_path, spec({"label_names": {"war": "", "sea": ""}}))
    assert manifest.parameters["labels"] == ["art", "law"]
    assert sum(manifest.counts["rows"].values()) == 61


def test_a_label_that_training_does_not_have_is_refused_with_a_remedy(tmp_path):
    write(tmp_path, "jsonl", ROWS[:48])
    (tmp_path / "s" / "a.jsonl").rename(tmp_path / "s" / "train.jsonl")
    write(tmp_path, "jsonl", [*ROWS[48:], ("new", ["sea"])])
    (tmp_path / "s" / "a.jsonl").rename(tmp_path / "s" / "test.jsonl")
    splits = {"train": "train.jsonl", "test": "test.jsonl"}
    with pytest.raises(
        TlmError, match=r"label 'sea' never occurs in the training split; leave it out \(--merge"
    ):
        build(tmp_path, spec({"splits": splits}))
    build(tmp_path, spec({"splits": splits, "label_names": {"sea": ""}}))


def test_local_files_of_a_task_hold_labels_as_the_task_declares(tmp_path):
    for split, rows in (("train", ROWS[:40]), ("test", ROWS[40:])):
        lines = [f"{text};{'|'.join(labels)}" for text, labels in rows]
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / f"{split}.csv").write_text("\n".join(["text;label", *lines]), encoding="utf-8")
    data = DataConfig(sources={}, tasks={"tags": spec({"label_separator": "|"})}, corpora={})
    found = with_local_tasks(data, {"tags": str(tmp_path / "mine")})
    task = found.tasks["tags"]
    fetch_source("local-tags", found.sources["local-tags"], tmp_path / "source", tmp_path / "cache", {})
    manifest = build_task("tags", task, tmp_path / "source", tmp_path / "task")
    assert manifest.parameters["labels"] == ["art", "law", "war"]
    assert manifest.counts["rows"]["test"] == 20


def test_skip_empty_leaves_out_missing_labels_but_not_empty_sets(tmp_path):
    write(tmp_path, "jsonl", [*ROWS, ("no value", None)])
    with pytest.raises(
        TlmError, match=r"row 61: no label in column label; write \[\] for a row without labels"
    ):
        build(tmp_path, spec())
    manifest = build(tmp_path, spec({"skip_empty": True}))
    assert manifest.counts["left_out"] == {"rows without text or label": 1}
    assert sum(manifest.counts["rows"].values()) == 60


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("art|law", "holds the text 'art|law', not a list of labels; if a character separates"),
        (3, "holds 3, not a list of labels"),
        ({"a": 1}, "not a list of labels"),
        ([["art"]], r"\['art'\] in a list of labels is not a label"),
        ([None], "None in a list of labels is not a label"),
    ],
)
def test_other_values_are_refused_in_one_line(tmp_path, value, message):
    write(tmp_path, "jsonl", [*ROWS, ("odd", value)])
    with pytest.raises(TlmError, match="row 61: column 'label'") as error:
        build(tmp_path, spec())
    assert "\n" not in str(error.value)
    with pytest.raises(TlmError, match=message):
        build(tmp_path, spec())


def test_values_of_a_list_of_labels():
    def read(value, separator=None):
        return listed_labels(value, separator, "here", "label")

    assert read([1, 2.5, " a  b "]) == ("1", "2.5", "a b")
    assert read("b, a,, b", ",") == ("a", "b")
    assert read("") == read("[]") == read("", "|") == read([]) == ()
    assert read(None) is None and read(float("nan")) is None


@pytest.mark.parametrize(
    ("cells", "message"),
    [("1,2", "column 'b' holds '2'; a column of a label holds 0 or 1"), ("1,", "column 'b' holds ''")],
)
def test_columns_of_labels_hold_0_or_1(tmp_path, cells, message):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.csv").write_text(f"text,a,b\nx,1,0\ny,True,false\nz,{cells}\n", encoding="utf-8")
    with pytest.raises(TlmError, match=f"row 3: {message}"):
        build(tmp_path, spec({"label_columns": ["a", "b"]}))


def test_a_list_in_a_task_with_one_label_is_refused(tmp_path):
    write(tmp_path, "jsonl")
    with pytest.raises(TlmError, match="holds a list of 2 values; a row needs one value"):
        build(tmp_path, spec(problem="classification"))


def test_labels_that_cannot_be_learnt_are_refused(tmp_path):
    write(tmp_path, "jsonl", [(text, []) for text, _ in ROWS])
    with pytest.raises(
        TlmError, match="the training rows have no label; a multi-label task needs at least two"
    ):
        build(tmp_path, spec())
    write(tmp_path, "jsonl", [(text, ["a"]) for text, _ in ROWS])
    with pytest.raises(TlmError, match="only the label 'a'"):
        build(tmp_path, spec())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "accuracy"}, "metric accuracy does not score a multi_label problem"),
        ({"parser": {"format": "text_folders"}}, "multi_label needs a parser with `format: delimited`"),
        (
            {"parser": {"format": "delimited", "label_separator": "|", "label_columns": ["a", "b"]}},
            "exclude each other",
        ),
        (
            {"parser": {"format": "delimited", "label_separator": "|"}, "problem": "classification"},
            "parser.label_separator is for problem: multi_label",
        ),
        (
            {"metric": "mean_average_precision", "problem": "classification"},
            "does not score a classification",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(TlmError, match=message):
        spec(**changes)


def test_tasks_with_one_label_have_the_same_specification_as_before():
    task = spec(problem="classification")
    assert not {"label_separator", "label_columns"} & set(task.model_dump()["parser"])


SET = st.sets(st.sampled_from("abcdef"), max_size=4).map(lambda found: tuple(sorted(found)))
EXAMPLES = st.lists(st.tuples(st.integers(0, 60), SET), max_size=90).map(
    lambda rows: [Example(f"text {text}", labels, "d", "f: row 1") for text, labels in rows]
)
RULE = SplitRule(by="row", dev=0.2, test=0.3)


@given(EXAMPLES, st.randoms())
def test_splits_keep_equal_texts_together_and_do_not_depend_on_the_order(examples, random):
    assigned = split_examples(examples, RULE)
    assert [example.text for example in assigned] == [example.text for example in examples]
    homes = {key(example): example.split for example in assigned}
    assert all(homes[key(example)] == example.split for example in assigned)
    unique = list({key(example): example for example in examples}.values())
    shuffled = list(unique)
    random.shuffle(shuffled)
    one, other = (
        {key(example): example.split for example in split_examples(each, RULE)} for each in (unique, shuffled)
    )
    assert one == other


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80))
def test_with_one_label_a_row_every_split_has_its_share_of_every_label(labels):
    examples = [Example(f"text {n}", (label,), "d", "f: row 1") for n, label in enumerate(labels)]
    assigned = split_examples(examples, RULE)
    for label in set(labels):
        rows = labels.count(label)
        for split, share in (("train", 0.5), ("dev", 0.2), ("test", 0.3)):
            found = sum(example.split == split and example.label == (label,) for example in assigned)
            assert abs(found - share * rows) < 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_shares_of_labels_are_nearer_than_by_chance(seed):
    """On frequent and rare labels together: the mean deviation of a label's share of a split, as in the paper."""
    draw = np.random.default_rng(seed)
    flags = draw.random((200, 8)) < np.geomspace(0.02, 0.5, 8)
    examples = [
        Example(f"text {row}", tuple(np.flatnonzero(line).astype(str)), "d", "f: row 1")
        for row, line in enumerate(flags)
    ]
    shares = {"train": 0.5, "dev": 0.2, "test": 0.3}

    def deviation(splits):
        found = [
            abs(flags[splits == split, label].sum() / max(1, flags[:, label].sum()) - share)
            for split, share in shares.items()
            for label in range(flags.shape[1])
        ]
        return np.mean(found)

    ours = deviation(np.array([example.split for example in split_examples(examples, RULE)]))
    by_chance = [
        deviation(draw.choice(SPLITS, 200, p=[shares[split] for split in SPLITS])) for _ in range(20)
    ]
    assert ours < min(by_chance)


def test_a_given_test_split_takes_no_other_rows(tmp_path):
    parser = write(tmp_path, "jsonl", ROWS[:48])
    (tmp_path / "s" / "a.jsonl").rename(tmp_path / "s" / "train.jsonl")
    write(tmp_path, "jsonl", ROWS[48:])
    (tmp_path / "s" / "a.jsonl").rename(tmp_path / "s" / "test.jsonl")
    build(tmp_path, spec({**parser, "splits": {"train": "train.jsonl", "test": "test.jsonl"}}))
    assert read_manifest(tmp_path / "t", "task").counts["rows"]["test"] == 12
