import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_toy import make_task
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tlm.artifacts import read_manifest, verify
from tlm.config.baseline import TfidfSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import (
    Predictions,
    RunName,
    TaskInfo,
    as_predictions,
    read_rows,
    split_metrics,
)
from tlm.evaluation.tfidf import evaluate_tfidf, unspaced
from tlm.problems import CLASSIFICATION

WORDS = {"red": "apple cherry rose blood", "green": "grass leaf lime frog", "blue": "sky sea ink whale"}


def colours(count, seed):
    """Texts of four words of one colour each, so that a linear model can tell them apart."""
    draw = np.random.default_rng(seed)
    names = sorted(WORDS)
    labels = [names[index % 3] for index in range(count)]
    return [(" ".join(draw.choice(WORDS[label].split(), 4)), label) for label in labels]


@pytest.fixture
def task_dir(tmp_path):
    rows = {"train": colours(60, 1), "dev": colours(21, 2), "test": colours(30, 3)}
    return make_task(tmp_path / "colours", rows, labels=sorted(WORDS))


RUN = RunName("smoke", "colours", "tfidf", 0)


def test_learns_and_writes_the_artifact(task_dir, tmp_path):
    out = tmp_path / "evaluation"
    evaluate_tfidf(run=RUN, task_dir=task_dir, destination=out)
    manifest = verify(out, "evaluation")
    assert manifest.counts == {"dev": 21, "test": 30}
    assert {key: manifest.parameters[key] for key in ("scale", "task", "variant", "seed")} == {
        "scale": "smoke",
        "task": "colours",
        "variant": "tfidf",
        "seed": 0,
    }
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["primary"] == metrics["test"]["metrics"]["macro_f1"] == 1.0
    assert metrics["test"]["classes"]["blue"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "n": 10}
    table = pq.read_table(out / "predictions.parquet").to_pylist()
    assert [row["row_id"] for row in table] == list(range(60, 111))
    assert [row["split"] for row in table] == ["dev"] * 21 + ["test"] * 30
    for row in table:
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert sorted(WORDS)[int(np.argmax(row["probabilities"]))] == row["prediction"]


def test_same_bytes_every_time_and_no_times_in_the_digest(task_dir, tmp_path):
    first = evaluate_tfidf(run=RUN, task_dir=task_dir, destination=tmp_path / "a")
    second = evaluate_tfidf(run=RUN, task_dir=task_dir, destination=tmp_path / "b")
    assert first.digest == second.digest
    assert "timing.json" not in first.files
    assert json.loads((tmp_path / "a" / "timing.json").read_text())["train_seconds"] > 0


def test_test_labels_change_nothing_but_the_test_scores(tmp_path):
    rows = {"train": colours(60, 1), "dev": colours(21, 2), "test": colours(30, 3)}
    wrong = rows | {"test": [(text, "red") for text, _ in rows["test"]]}
    outs = []
    for name, content in (("x", rows), ("y", wrong)):
        folder = make_task(tmp_path / name / "colours", content, labels=sorted(WORDS))
        evaluate_tfidf(run=RUN, task_dir=folder, destination=tmp_path / name / "out")
        outs.append(tmp_path / name / "out")
    first, second = (pq.read_table(out / "predictions.parquet").to_pandas() for out in outs)
    assert list(first["prediction"]) == list(second["prediction"])
    strengths = {read_manifest(out).parameters["strength"] for out in outs}
    assert len(strengths) == 1
    assert json.loads((outs[1] / "metrics.json").read_text())["test"]["primary"] < 0.5


def test_a_class_without_training_rows_is_never_predicted(tmp_path):
    rows = {split: [row for row in colours(60, 4) if row[1] != "blue"] for split in ("train", "dev")}
    folder = make_task(tmp_path / "colours", rows | {"test": colours(30, 5)}, labels=sorted(WORDS))
    evaluate_tfidf(run=RUN, task_dir=folder, destination=tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    assert "blue" not in set(table["prediction"])
    assert all(row[0] < 1e-6 for row in table["probabilities"])  # blue is first in label order
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]["classes"]["blue"]["f1"] == 0


def test_regression_and_pairs(tmp_path):
    draw = np.random.default_rng(0)
    values = [
        (f"word{index % 7}", "good " * (index % 5) + "x" + str(draw.integers(9)), float(index % 5))
        for index in range(80)
    ]
    rows = {"train": values[:40], "dev": values[40:60], "test": values[60:]}
    folder = make_task(tmp_path / "grades", rows, labels=[], metric="pearson", pair=True)
    run = RunName("smoke", "grades", "tfidf", 0)
    evaluate_tfidf(run=run, task_dir=folder, destination=tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["dev"]["primary"] > 0.8  # the signal is in the second text
    assert "classes" not in metrics["dev"]
    assert "probabilities" not in pq.read_table(tmp_path / "out" / "predictions.parquet").column_names


def test_a_task_without_test_labels_is_evaluated_on_dev(tmp_path):
    folder = make_task(
        tmp_path / "colours", {"train": colours(30, 1), "dev": colours(9, 2)}, labels=sorted(WORDS)
    )
    evaluate_tfidf(run=RUN, task_dir=folder, destination=tmp_path / "out")
    assert "test" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_invalid_input_raises_and_writes_nothing(task_dir, tmp_path):
    with pytest.raises(TlmError, match="evaluated on the data of task 'colours'"):
        other = RunName("smoke", "shapes", "tfidf", 0)
        evaluate_tfidf(run=other, task_dir=task_dir, destination=tmp_path / "out")
    same = make_task(
        tmp_path / "flat" / "colours",
        {split: [("apple", "red")] * 3 for split in ("train", "dev", "test")},
        labels=["green", "red"],
    )
    with pytest.raises(TlmError, match="all training rows have the label 'red'"):
        evaluate_tfidf(run=RUN, task_dir=same, destination=tmp_path / "out")
    with pytest.raises(TlmError, match="did not converge"):
        evaluate_tfidf(run=RUN, task_dir=task_dir, destination=tmp_path / "out", spec=TfidfSpec(iterations=1))
    with pytest.raises(TlmError, match="no such split"):
        read_rows(task_dir, "validation")
    assert not (tmp_path / "out").exists()


TASK = TaskInfo("t", CLASSIFICATION, ("a", "b", "c"), "macro_f1", ("dev",), "0" * 64)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_class_scores_agree_with_scikit_learn(pairs):
    labels, guesses = [one for one, _ in pairs], [two for _, two in pairs]
    found = split_metrics(TASK, labels, Predictions(guesses, None))
    assert found["n"] == len(pairs) == sum(value["n"] for value in found["classes"].values())
    seen = sorted(set(labels) | set(guesses))
    mean = sum(found["classes"][label]["f1"] for label in seen) / len(seen)
    assert found["primary"] == pytest.approx(mean)
    assert mean == pytest.approx(f1_score(labels, guesses, average="macro", zero_division=0))


def test_outputs_become_labels_and_probabilities():
    outputs = np.array([[0.0, np.log(3.0), -np.inf], [1000.0, 0.0, 0.0]])
    found = as_predictions(TASK, outputs)
    assert found.labels == ["b", "a"]
    np.testing.assert_allclose(found.probabilities, [[0.25, 0.75, 0], [1, 0, 0]], atol=1e-12)


def test_writing_without_spaces_is_detected():
    assert unspaced(["猫坐在垫子上，它不太高兴。"]) and unspaced(["แมวนั่งอยู่บนเสื่อ"])
    assert not unspaced(["The cat 猫 sat on the mat."]) and not unspaced([""])
