"""models/<name>/: loads with transformers and nothing of ours, and says what it is."""

import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from serving_toy import Exported, random_model, task_artifact, without_us
from toy import LABELS
from training_toy import LENGTH
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from tlm.artifacts import read_manifest, verify
from tlm.errors import TlmError
from tlm.evaluation.artifact import RunName
from tlm.evaluation.evaluate import evaluate_run
from tlm.results.calibration import reliability
from tlm.serving.export import export_model
from tlm.serving.folder import read_folder
from tlm.serving.head import write_divided
from tlm.statistics import scores


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"))


def test_the_seed_is_chosen_by_dev(exported):
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in exported.evaluations]
    best = max((1, 2), key=lambda seed: metrics[seed - 1]["dev"]["primary"])
    manifest = verify(exported.model, "model")
    assert manifest.parameters["seed"] == best
    chosen = load_file(exported.folder / f"seed{best}/stage2/model/model.safetensors")
    written = load_file(exported.model / "model.safetensors")
    assert written.keys() == chosen.keys()
    changed = {name for name, tensor in chosen.items() if not torch.equal(tensor, written[name])}
    assert changed == {"classifier.weight", "classifier.bias"}  # by the temperature, below


def test_it_is_the_same_again_and_names_no_folder_of_this_machine(exported, tmp_path):
    again = exported.export(tmp_path / "again")
    for path in exported.model.iterdir():
        data = path.read_bytes()
        assert data == (again / path.name).read_bytes()
        assert str(exported.folder).encode() not in data and b"/tmp" not in data
    assert {path.name for path in again.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("README.md", "manifest.json"),
        *("linear.json", "linear.safetensors", "tlm.json"),
    }


def test_a_pipeline_loads_it_without_this_project(exported):
    """With the words of its card; a text that is far too long is cut where the model was trained to stop."""
    card = (exported.model / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.S)[1].replace('classify("…")', "")
    assert '"models/toy", truncation=True' in code
    code += "print([each['label'] for each in classify(['The boat is at anchor.', 'boat ' * 5000])])"
    result = without_us(code, exported.folder)
    assert result.returncode == 0, result.stderr
    assert set(re.findall(r"\w+", result.stdout)) <= set(LABELS) and result.stdout


def test_it_predicts_as_in_the_evaluation(exported):
    """The same classes, with the probabilities of stage 2's logits divided by the temperature."""
    tokenizer = AutoTokenizer.from_pretrained(exported.model)
    model = AutoModelForSequenceClassification.from_pretrained(exported.model)
    assert tokenizer.model_max_length == LENGTH
    assert tuple(model.config.id2label.values()) == LABELS
    parameters = read_manifest(exported.model).parameters
    seed, t = parameters["seed"], parameters["temperature"]
    assert t != 1
    found = pq.read_table(exported.folder / f"seed{seed}/evaluation/predictions.parquet").to_pylist()
    test = [row for row in found if row["split"] == "test"]
    texts = pq.read_table(exported.task / "test.parquet")["text"].to_pylist()
    answers = pipeline("text-classification", model=model, tokenizer=tokenizer, truncation=True)(
        texts, top_k=None
    )
    trained = AutoModelForSequenceClassification.from_pretrained(exported.folder / f"seed{seed}/stage2/model")
    confidence, right = [], []
    for text, row, each in zip(texts, test, answers, strict=True):
        assert each[0]["label"] == row["prediction"]
        by_label = {part["label"]: part["score"] for part in each}
        with torch.no_grad():
            logits = trained(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]
        assert np.allclose(logits.softmax(0), row["probabilities"], atol=1e-5)
        assert np.allclose([by_label[label] for label in LABELS], (logits.double() / t).softmax(0), atol=1e-5)
        confidence.append(each[0]["score"])
        right.append(row["label"] == row["prediction"])
    # What the card says of its probabilities is measured on those that the pipeline gives.
    error = reliability("m", np.array(confidence), np.array(right))
    before = reliability("m", np.array([max(row["probabilities"]) for row in test]), np.array(right))
    card = (exported.model / "README.md").read_text()
    assert f"a temperature of {t:.3g}, fitted on the 51 dev texts" in card
    assert f"calibration error on test is {100 * error.ece:.1f} %" in card
    assert f"before, it was {100 * before.ece:.1f} %" in card
    assert f"a probability of {100 * error.confidence:.1f} % on average" in card


def test_of_too_few_dev_texts_the_weights_stay_as_they_are(exported, tmp_path, monkeypatch):
    for module in ("tlm.evaluation.temperature", "tlm.serving.card"):
        monkeypatch.setattr(f"{module}.FEWEST", 52)
    again = exported.export(tmp_path / "again")
    parameters = read_manifest(again).parameters
    trained = exported.folder / f"seed{parameters['seed']}/stage2/model/model.safetensors"
    assert parameters["temperature"] == 1
    assert (again / "model.safetensors").read_bytes() == trained.read_bytes()
    assert "51 dev texts are too few to fit a temperature" in (again / "README.md").read_text()


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_temperature_divides_the_logits_and_nothing_else(tmp_path, family, dtype):
    torch.manual_seed(1)
    sizes = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"), 32)
    config = AutoConfig.for_model(
        family, **sizes, num_hidden_layers=1, num_attention_heads=2, num_labels=4, pad_token_id=0
    )
    AutoModelForSequenceClassification.from_config(config).to(dtype).save_pretrained(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    write_divided(tmp_path / "one/model.safetensors", tmp_path / "two/model.safetensors", family, 2.5)
    one, two = (
        AutoModelForSequenceClassification.from_pretrained(tmp_path / name, dtype="auto").eval()
        for name in ("one", "two")
    )
    inputs = torch.arange(4, 20)[None]
    with torch.no_grad():
        logits = [model(input_ids=inputs).logits.float() for model in (one, two)]
    assert two.dtype == dtype
    assert torch.allclose(
        logits[0] / 2.5, logits[1], rtol=1e-5 if dtype == torch.float32 else 0.02, atol=1e-3
    )
    stored = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    changed = {name for name in stored[0] if not torch.equal(stored[0][name], stored[1][name])}
    assert changed and all(name.startswith("classifier") for name in changed) and len(changed) <= 2
    with pytest.raises(TlmError, match="no known last layer"):
        write_divided(tmp_path / "one/model.safetensors", tmp_path / "three", "gpt2", 2)
    (tmp_path / "one/model.safetensors").write_bytes(b"no")
    with pytest.raises(TlmError, match="cannot be read"):
        write_divided(tmp_path / "one/model.safetensors", tmp_path / "three", family, 2)


def test_the_card_holds_the_measured_scores(exported):
    text = (exported.model / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification" and front["library_name"] == "transformers"
    seed = read_manifest(exported.model).parameters["seed"]
    evaluation = exported.folder / f"seed{seed}/evaluation"
    metrics = json.loads((evaluation / "metrics.json").read_text())["test"]
    (result,) = front["model-index"][0]["results"]
    values = {each["name"]: each["value"] for each in result["metrics"]}
    assert values["macro-F1"] == round(metrics["metrics"]["macro_f1"], 4)
    rows = [
        row for row in pq.read_table(evaluation / "predictions.parquet").to_pylist() if row["split"] == "test"
    ]
    labels, guesses = ([row[key] for row in rows] for key in ("label", "prediction"))
    interval = scores("macro_f1", np.array(labels), [np.array(guesses)], LABELS)[0].interval
    shown = f"{100 * metrics['primary']:.1f} | {100 * interval.low:.1f} to {100 * interval.high:.1f} |"
    assert f"| macro-F1 (chooses the model) | {shown}" in text
    flops = json.loads((evaluation / "flops.json").read_text())
    assert f"{flops['stage1']['paper']:.2e} FLOPs" in text and f"{flops['parameters']:,} parameters" in text
    for label in LABELS:
        assert f"| {label} |" in text
    assert "seed 1 of 2" in text or "seed 2 of 2" in text


def test_a_regression_on_pairs(tmp_path):
    """Columns, card and pipeline of a task that is neither of one text nor of classes."""
    exported = Exported(tmp_path, seeds=[1], pairs=True)
    served = read_folder(exported.model)
    assert served.regression and (served.columns.text, served.columns.pair) == (("first",), "second")
    text = (exported.model / "README.md").read_text()
    assert "Predicts a number for a pair of texts." in text and '{"text": "…", "text_pair": "…"}' in text
    assert "| mean of Pearson's and Spearman's correlation (chooses the model) |" in text
    assert "class" not in text.split("## Limits")[1] and "Over all" not in text
    names = {
        each["name"]
        for each in yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"][0]["metrics"]
    }
    assert names == {"Pearson's correlation", "Spearman's correlation"}
    test = pq.read_table(exported.task / "test.parquet").to_pylist()
    classify = pipeline("text-classification", model=str(exported.model), truncation=True)
    answers = classify([{"text": row["text"], "text_pair": row["text_pair"]} for row in test])
    found = pq.read_table(exported.evaluations[0] / "predictions.parquet").to_pylist()
    wanted = [row["prediction"] for row in found if row["split"] == "test"]
    assert np.allclose([each["score"] for each in answers], wanted, atol=1e-4)


def test_the_card_may_be_edited(exported, tmp_path):
    copy = shutil.copytree(exported.model, tmp_path / "copy")
    with (copy / "README.md").open("a") as stream:
        stream.write("\nTrained for a friend.\n")
    verify(copy, "model")


def test_columns_are_remembered(tmp_path, exported):
    task = task_artifact(tmp_path, text=["text", "id"], quoting=True, encodings=["utf-8", "latin-1"])
    evaluate_run(
        run=RunName("smoke", "toy", "tlm", 1),
        task_dir=task,
        destination=tmp_path / "evaluation",
        stage1_dir=exported.folder / "seed1/stage1",
        stage2_dir=exported.stages[0],
    )
    stages = {"stages": exported.stages[:1], "evaluations": [tmp_path / "evaluation"]}
    export_model("toy", **stages, task_dir=task, destination=tmp_path / "model")
    columns = read_folder(tmp_path / "model").columns
    assert columns.text == ("text", "id") and columns.encodings == ("utf-8", "latin-1")
    assert columns.pair is None
    with pytest.raises(TlmError, match="evaluated on other data"):
        export_model("toy", **stages, task_dir=exported.task, destination=tmp_path / "wrong")
    stages["stages"] = exported.stages[1:]
    with pytest.raises(TlmError, match="is of another model"):
        export_model("toy", **stages, task_dir=task, destination=tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("pair", "regression", "model"),
    [
        (False, False, {"pooling": "mean"}),
        (True, False, {"architecture": "bert"}),
        (True, True, {"pooling": "mean"}),
    ],
)
def test_a_pipeline_loads_relatives(exported, tmp_path, pair, regression, model):
    """Mean pooling, pairs and numbers need nothing but the stock classes."""
    folder = random_model(tmp_path / "model", exported.toy, pair=pair, regression=regression, **model)
    given = {"text": "The boat.", "text_pair": "A rose."} if pair else "The boat."
    (answers,) = pipeline("text-classification", model=str(folder), truncation=True)([given], top_k=None)
    assert {each["label"] for each in answers} == ({"score"} if regression else set(LABELS))
    if regression:
        assert (
            not 0 < answers[0]["score"] < 1 or abs(answers[0]["score"]) > 0
        )  # a number as it is, through no sigmoid
    else:
        assert sum(each["score"] for each in answers) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, "no model.safetensors"),
        ("config.json", "{", "not JSON"),
        ("config.json", '{"auto_map": {"AutoModel": "evil.Model"}}', "names code to run"),
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["evil.T", null]}}', "names code to run"),
        ("config.json", "{}", "does not name the model's outputs"),
    ],
)
def test_invalid_model_folders_raise(exported, tmp_path, name, content, message):
    copy = shutil.copytree(exported.model, tmp_path / "copy")
    (copy / name).unlink() if content is None else (copy / name).write_text(content)
    with pytest.raises(TlmError, match=message):
        read_folder(copy)


def test_pickled_weights_raise(exported, tmp_path):
    copy = shutil.copytree(exported.model, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(TlmError, match="safetensors only"):
        read_folder(copy)
    with pytest.raises(TlmError, match="did you mean"):
        read_folder(exported.model.parent)
