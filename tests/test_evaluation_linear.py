import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_toy import make_task
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from tlm.artifacts import read_manifest, verify
from tlm.config.linear import LINEAR, LinearSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import (
    Predictions,
    RunName,
    SplitRows,
    TaskInfo,
    as_predictions,
    read_rows,
    split_metrics,
)
from tlm.evaluation.linear import evaluate_linear
from tlm.evaluation.linear_fit import candidates, fit_linear, unspaced
from tlm.evaluation.linear_model import read_linear
from tlm.problems import CLASSIFICATION, MULTI_LABEL

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
    evaluate_linear(RUN, task_dir, out)
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
    first = evaluate_linear(RUN, task_dir, tmp_path / "a")
    second = evaluate_linear(RUN, task_dir, tmp_path / "b")
    assert first.digest == second.digest
    assert "timing.json" not in first.files
    assert json.loads((tmp_path / "a" / "timing.json").read_text())["train_seconds"] > 0


def test_test_labels_change_nothing_but_the_test_scores(tmp_path):
    rows = {"train": colours(60, 1), "dev": colours(21, 2), "test": colours(30, 3)}
    wrong = rows | {"test": [(text, "red") for text, _ in rows["test"]]}
    outs = []
    for name, content in (("x", rows), ("y", wrong)):
        folder = make_task(tmp_path / name / "colours", content, labels=sorted(WORDS))
        evaluate_linear(RUN, folder, tmp_path / name / "out")
        outs.append(tmp_path / name / "out")
    first, second = (pq.read_table(out / "predictions.parquet").to_pandas() for out in outs)
    assert list(first["prediction"]) == list(second["prediction"])
    strengths = {read_manifest(out).parameters["chosen"]["strength"] for out in outs}
    assert len(strengths) == 1
    assert json.loads((outs[1] / "metrics.json").read_text())["test"]["primary"] < 0.5


def test_a_class_without_training_rows_is_never_predicted(tmp_path):
    rows = {split: [row for row in colours(60, 4) if row[1] != "blue"] for split in ("train", "dev")}
    folder = make_task(tmp_path / "colours", rows | {"test": colours(30, 5)}, labels=sorted(WORDS))
    evaluate_linear(RUN, folder, tmp_path / "out")
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
    evaluate_linear(run, folder, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["dev"]["primary"] > 0.8  # the signal is in the second text
    assert "classes" not in metrics["dev"]
    assert "probabilities" not in pq.read_table(tmp_path / "out" / "predictions.parquet").column_names


def test_a_task_without_test_labels_is_evaluated_on_dev(tmp_path):
    folder = make_task(
        tmp_path / "colours", {"train": colours(30, 1), "dev": colours(9, 2)}, labels=sorted(WORDS)
    )
    evaluate_linear(RUN, folder, tmp_path / "out")
    assert "test" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_invalid_input_raises_and_writes_nothing(task_dir, tmp_path):
    with pytest.raises(TlmError, match="evaluated on the data of task 'colours'"):
        other = RunName("smoke", "shapes", "tfidf", 0)
        evaluate_linear(other, task_dir, tmp_path / "out")
    same = make_task(
        tmp_path / "flat" / "colours",
        {split: [("apple", "red")] * 3 for split in ("train", "dev", "test")},
        labels=["green", "red"],
    )
    with pytest.raises(TlmError, match="all training rows have the label 'red'"):
        evaluate_linear(RUN, same, tmp_path / "out")
    with pytest.raises(TlmError, match="did not converge"):
        evaluate_linear(RUN, task_dir, tmp_path / "out", LinearSpec(iterations=1))
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


def test_the_svm_learns_and_its_margins_become_calibrated_probabilities(tmp_path):
    rows = {"train": colours(90, 1), "dev": colours(90, 2), "test": colours(30, 3)}
    # One dev text in five has a wrong label: probabilities near 1 would be wrong.
    rows["dev"] = [
        (text, "red" if index % 5 == 0 else label) for index, (text, label) in enumerate(rows["dev"])
    ]
    folder = make_task(tmp_path / "colours", rows, labels=sorted(WORDS))
    run = RunName("smoke", "colours", "ngram-svm", 0)
    evaluate_linear(run, folder, tmp_path / "out", LINEAR["ngram-svm"])
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]["primary"] > 0.9
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    dev = table[table["split"] == "dev"]
    sure = np.array([max(row) for row in dev["probabilities"]])
    assert abs(sure.mean() - (dev["label"] == dev["prediction"]).mean()) < 0.05
    chosen = read_manifest(tmp_path / "out").parameters["chosen"]
    assert chosen["strength"] in LINEAR["ngram-svm"].strengths and 0.5 < chosen["dev"] < 1
    dev_score = json.loads((tmp_path / "out" / "metrics.json").read_text())["dev"]["primary"]
    assert chosen["dev"] == pytest.approx(dev_score)


def imbalanced(rows, seed):
    """One text in twelve is rare; of the texts with its word "hit", most are frequent all the same."""
    draw = np.random.default_rng(seed)
    labels = ["rare" if index % 12 == 0 else "frequent" for index in range(rows)]
    texts = [
        f"{'hit' if draw.random() < (0.8 if label == 'rare' else 0.1) else 'miss'} filler" for label in labels
    ]
    return split_rows(texts, labels)


def split_rows(texts, labels):
    return SplitRows(np.arange(len(texts)), texts, None, labels)


def info(labels, metric, problem=CLASSIFICATION):
    return TaskInfo("t", problem, tuple(labels), metric, ("dev",), "0" * 64)


@pytest.mark.parametrize("method", sorted(LINEAR))
def test_class_weights_are_chosen_on_dev_where_the_metric_needs_them(method):
    spec, task = LINEAR[method], info(["frequent", "rare"], "macro_f1")
    train, dev = imbalanced(600, 1), imbalanced(600, 2)
    found = fit_linear(spec, task, train, dev)
    assert found.choice.class_weights == "balanced"
    best = max(
        fit_linear(spec.model_copy(update={"strengths": (strength,)}), task, train, dev).choice.dev
        for strength in spec.strengths
    )
    assert found.choice.dev == best
    accuracy = fit_linear(spec, info(task.labels, "micro_f1"), train, dev)
    assert accuracy.choice.class_weights == "equal"
    assert {weights for _, weights in candidates(spec, "micro_f1")} == {"equal"}
    assert len(candidates(spec, "macro_f1")) == 2 * len(spec.strengths)


def test_a_candidate_that_does_not_converge_is_left_out_with_a_message():
    tried = []
    spec = LinearSpec(strengths=(1e-4, 1e6), iterations=10)
    task = info(["frequent", "rare"], "micro_f1")
    found = fit_linear(spec, task, imbalanced(60, 1), imbalanced(60, 2), tried.append)
    assert found.choice.strength == 1e6
    assert [line for line in tried if "left out, not converged in 10 iterations" in line]


TEXTS = st.lists(
    st.text(alphabet="abcé中 -.'\"\n猫", min_size=1, max_size=20), min_size=6, max_size=14
).filter(lambda texts: sum(len(text.split()) > 1 for text in texts) > 3)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.lists(st.text(max_size=20), max_size=5), st.sampled_from(sorted(LINEAR)), st.data())
def test_predictions_from_the_files_equal_those_of_scikit_learn(texts, unseen, method, data):
    """Stored and read again, a model gives scikit-learn's decision values, in the order of the labels."""
    names = data.draw(st.sampled_from([["a", "b"], ["a", "b", "c"]]))
    labels = [names[index % len(names)] for index in range(len(texts))]
    spec = LINEAR[method].model_copy(update={"min_documents": 1, "strengths": (1.0,), "iterations": 20_000})
    try:
        rows = split_rows(texts, labels)
        model = fit_linear(spec, info(names, "accuracy"), rows, rows).model
    except TlmError as error:
        assert "no words" in str(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        stored = read_linear(Path(folder))
    kinds = [("char" if unspaced(texts) else "word", (1, 2))]
    kinds += [("char_wb", (2, 5))] if method == "ngram-svm" else []
    union = make_union(
        *(TfidfVectorizer(analyzer=kind, ngram_range=ngrams, sublinear_tf=True) for kind, ngrams in kinds)
    )
    classifier = (
        LinearSVC(C=1.0, tol=spec.tolerance, random_state=0, max_iter=20_000)
        if method == "ngram-svm"
        else LogisticRegression(C=1.0, max_iter=20_000)
    )
    expected = classifier.fit(union.fit_transform(texts), labels)
    ours = stored.outputs(stored.features([*texts, *unseen]))
    theirs = expected.decision_function(union.transform([*texts, *unseen]))
    if len(names) == 2:
        ours = ours[:, 1] - ours[:, 0]
    np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=1e-4)


def test_a_multi_label_task_is_fitted_label_by_label(tmp_path):
    draw = np.random.default_rng(1)
    labels = ["always", "good", "never", "red"]

    def rows(count):
        sets = [draw.choice(["good", "red"], draw.integers(3), replace=False).tolist() for _ in range(count)]
        texts = [" ".join([*words, *draw.choice(["a b", "c d"], 2)]) + " filler" for words in sets]
        return split_rows(texts, [sorted(["always", *words]) for words in sets])

    task, train, dev = info(labels, "macro_f1", MULTI_LABEL), rows(60), rows(60)
    for method in LINEAR:
        found = fit_linear(LINEAR[method], task, train, dev)
        assert found.choice.dev > 0.95
        chances = MULTI_LABEL.probabilities(found.dev_outputs)
        assert chances[:, 0].min() > 0.99 and chances[:, 2].max() < 0.01  # always and never
        found.model.save(tmp_path)
        stored = read_linear(tmp_path)
        np.testing.assert_array_equal(stored.outputs(stored.features(dev.texts)), found.dev_outputs)


def test_a_damaged_model_raises_and_names_the_folder(task_dir, tmp_path):
    evaluate_linear(RUN, task_dir, tmp_path / "out")
    path = tmp_path / "out" / "linear.json"
    described = json.loads(path.read_text())
    described["blocks"][0]["ngrams"].pop()
    path.write_text(json.dumps(described))
    with pytest.raises(TlmError, match=r"out: its linear model cannot be read \(weights has shape"):
        read_linear(tmp_path / "out")
    path.unlink()
    with pytest.raises(TlmError, match="cannot be read"):
        read_linear(tmp_path / "out")


def test_writing_without_spaces_is_detected():
    assert unspaced(["猫坐在垫子上，它不太高兴。"]) and unspaced(["แมวนั่งอยู่บนเสื่อ"])
    assert not unspaced(["The cat 猫 sat on the mat."]) and not unspaced([""])
