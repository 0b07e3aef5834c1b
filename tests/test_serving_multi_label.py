"""A multi-label model from its task to predictions: the stages, the export, `transformers`, files, pipes and the
card."""

import io
import json
import os

import numpy as np
import pandas as pd
import pytest
import yaml
from serving_toy import Exported, expected_logits, without_us
from sklearn.metrics import f1_score
from toy import LABELS, write_tags
from training_toy import LENGTH

from tlm.artifacts import read_manifest, verify
from tlm.errors import TlmError
from tlm.evaluation.artifact import open_evaluation
from tlm.serving.classifier import Classifier
from tlm.serving.folder import read_folder
from tlm.serving.predict import PredictOptions, predict_file
from tlm.serving.predict_lines import predict_lines


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"), seeds=(1,), steps=150, tags=True)


@pytest.fixture(scope="module")
def new_texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("new") / "new.jsonl"
    write_tags(path, 60, 7)
    return path


def test_training_learns_the_labels_and_dev_scores_are_those_of_stage_2(exported):
    evaluation = open_evaluation(exported.evaluations[0])
    record = json.loads((exported.stages[0] / "record.json").read_text())
    dev = evaluation.metrics["dev"]
    assert dev["primary"] == pytest.approx(record["best"]["dev_primary"], abs=1e-6)
    assert set(dev["metrics"]) == {"micro_f1", "macro_f1", "exact_match", "mean_average_precision"}
    assert evaluation.metrics["test"]["primary"] > 0.7
    stored = evaluation.predictions("test")
    assert stored.labels.shape == stored.predictions.shape == stored.probabilities.shape
    assert evaluation.metrics["test"]["metrics"]["macro_f1"] == pytest.approx(
        f1_score(stored.labels, stored.predictions, average="macro")
    )
    table = pd.read_parquet(evaluation.folder / "predictions.parquet")
    assert all(set(labels) <= set(LABELS) for labels in table.prediction)


def test_the_folder_loads_with_transformers_alone_and_names_every_probability(exported):
    """With the words of its card."""
    text = "The boat is at anchor near the oven."
    card = (exported.model / "README.md").read_text()
    *lines, call = card.split("```python\n")[1].split("\n```")[0].splitlines()
    call = "found = " + call.replace('"…"', repr(text))
    result = "[found, classify.model.config.thresholds, classify.model.config.problem_type]"
    code = "\n".join([*lines, call, "import json", f"print(json.dumps({result}))"])
    done = without_us(code, exported.folder)
    assert done.returncode == 0, done.stderr
    found, thresholds, problem = json.loads(done.stdout)
    found = found[0] if isinstance(found[0], list) else found
    assert problem == "multi_label_classification"
    assert {each["label"] for each in found} == set(thresholds) == set(LABELS)
    logits = expected_logits(exported.model, [text])[0]
    expected = dict(zip(read_folder(exported.model).labels, 1 / (1 + np.exp(-logits)), strict=True))
    assert {each["label"]: each["score"] for each in found} == pytest.approx(expected, abs=1e-5)


def test_exported_thresholds_give_the_predictions_of_the_evaluation(exported):
    verify(exported.model, "model")
    evaluation = open_evaluation(exported.evaluations[0])
    served, stored = read_folder(exported.model), evaluation.predictions("test")
    t = read_manifest(exported.model, "model").parameters["temperature"]
    assert t != 1
    cut = np.array(evaluation.manifest.parameters["thresholds"])
    assert np.array(served.thresholds) == pytest.approx(1 / (1 + np.exp(-cut / t)), rel=1e-5)
    test = pd.read_parquet(exported.task / "test.parquet")
    classifier = Classifier.load(exported.model, device="cpu")
    outputs = classifier.predict(classifier.encode(list(test.text), None))
    assert (outputs.predictions == stored.predictions).mean() > 0.999


def test_files_get_lists_or_text_with_a_separator(exported, new_texts, tmp_path):
    classifier = Classifier.load(exported.model, device="cpu")
    options = PredictOptions(probabilities=True)
    for name in ("out.jsonl", "out.parquet", "out.csv", "out.tsv.gz"):
        summary = predict_file(classifier, new_texts, tmp_path / name, options)
    lists = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert summary.rows == len(lists) == 60
    assert summary.without_label == sum(not row["prediction"] for row in lists)
    thresholds = dict(zip(classifier.served.labels, classifier.served.thresholds, strict=True))
    for row in lists:
        above = [label for label, cut in thresholds.items() if row[f"probability_{label}"] >= cut]
        assert row["prediction"] == above
        assert row["probability"] == [row[f"probability_{label}"] for label in above]
    truth, guess = (
        [[label in row[key] for label in LABELS] for row in lists] for key in ("label", "prediction")
    )
    assert f1_score(truth, guess, average="macro") > 0.7
    parquet = pd.read_parquet(tmp_path / "out.parquet")
    assert [list(each) for each in parquet.prediction] == [row["prediction"] for row in lists]
    for name, mark in (("out.csv", ","), ("out.tsv.gz", "\t")):
        table = pd.read_csv(tmp_path / name, sep=mark, keep_default_na=False, dtype=str)
        assert list(table.prediction) == ["|".join(row["prediction"]) for row in lists]
        assert list(table.probability) == ["|".join(map(str, row["probability"])) for row in lists]


def test_a_separator_that_occurs_in_a_label_is_refused(exported, new_texts, tmp_path):
    classifier = Classifier.load(exported.model, device="cpu")
    with pytest.raises(
        TlmError, match="the label 'garden' holds 'r'; name another --label-separator, or write"
    ):
        predict_file(classifier, new_texts, tmp_path / "out.csv", PredictOptions(label_separator="r"))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_lines_of_a_pipe(exported, form):
    classifier = Classifier.load(exported.model, device="cpu")
    reading, writing = os.pipe()
    os.write(writing, b"The boat is at anchor.\nThe oven is hot, but the flour is new.\n")
    os.close(writing)
    out = io.StringIO()
    with os.fdopen(reading, "rb") as stream:
        predict_lines(classifier, stream, out, PredictOptions(label_separator=";"), form)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    if form == "jsonl":
        assert all(isinstance(json.loads(line)["prediction"], list) for line in lines)
    else:
        assert all(set(line.split("\t")[0].split(";")) <= {*LABELS, ""} for line in lines)


def test_the_card_describes_labels_thresholds_and_sets(exported):
    text = (exported.model / "README.md").read_text()
    assert "Predicts any number of 3 labels for a text" in text and "top_k=None" in text
    assert "| label | precision | recall | F1 | average precision | threshold | texts |" in text
    assert "mean average precision" in text and "labels a text in train" in text
    assert "a text can get none of them" in text
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification"


def test_a_folder_without_thresholds_uses_a_half(exported):
    served = read_folder(exported.stages[0] / "model")
    assert served.thresholds == (0.5, 0.5, 0.5) and served.problem.many
    assert served.length >= LENGTH


def test_thresholds_must_name_every_label(exported, tmp_path):
    for path in exported.model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    del config["thresholds"]["garden"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TlmError, match="thresholds does not name every label; export the model again"):
        read_folder(tmp_path)
