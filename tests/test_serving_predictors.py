"""`tlm predict --with`: encoder, linear model and blend of one folder give the predictions of their evaluations."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving_toy import Exported, random_model, tlm
from training_toy import Toy

from tlm.errors import TlmError
from tlm.evaluation.artifact import open_evaluation, read_rows, read_task
from tlm.evaluation.blend import PREDICTORS, choose
from tlm.serving.classifier import Classifier
from tlm.serving.linear_classifier import BlendedClassifier, LinearClassifier
from tlm.serving.predictors import chosen_predictor, read_predictors


@pytest.fixture(scope="module", params=["classes", "tags", "pairs"])
def exported(tmp_path_factory, request) -> Exported:
    changes = {} if request.param == "classes" else {request.param: True}
    return Exported(tmp_path_factory.mktemp("exported"), seeds=(1,), steps=30, **changes)


def choice_of(exported):
    task = read_task(exported.task)
    encoder = open_evaluation(exported.evaluations[0])
    return choose(task.problem, task.metric, encoder, [open_evaluation(folder) for folder in exported.linear])


def test_each_predictor_gives_the_predictions_of_its_evaluation(exported):
    found, choice = read_predictors(exported.model), choice_of(exported)
    encoder = Classifier.load(exported.model, device="cpu", threads=1)
    linear = LinearClassifier.load(exported.model, found)
    rows = read_rows(exported.task, "test")
    stored = {
        "encoder": open_evaluation(exported.evaluations[0]).predictions("test"),
        "linear": choice.linear.predictions("test"),
        "blend": choice.splits["test"].predictions,
    }
    task = read_task(exported.task)
    for name, model in (
        ("encoder", encoder),
        ("linear", linear),
        ("blend", BlendedClassifier(encoder, linear, found.blend)),
    ):
        outputs = model.predict(model.encode(rows.texts, rows.pairs))
        expected = stored[name].predictions
        if outputs.probabilities is None:
            np.testing.assert_allclose(outputs.predictions, expected, atol=1e-4)
        else:
            ours = task.problem.array(task.problem.values(outputs.predictions, task.labels), task.labels)
            assert (ours == expected).mean() > 0.99, name  # a probability may lie on a threshold
        if name == "blend" and outputs.probabilities is not None:
            np.testing.assert_allclose(outputs.probabilities, stored[name].probabilities, atol=1e-4)


def test_the_folder_names_the_best_on_dev_with_its_reason(exported):
    found, choice = read_predictors(exported.model), choice_of(exported)
    assert found.use == choice.use == max(PREDICTORS, key=lambda each: found.dev[each])
    card = (exported.model / "README.md").read_text()
    assert found.reason in card and "## Which predictor to use" in card
    assert all(f"`--with {name}`" in card for name in PREDICTORS)
    assert "ONNX Runtime load" in card
    assert json.loads((exported.model / "tlm.json").read_text())["use"] == choice.use


def test_the_command_follows_the_folder_and_with_overrides_it(tmp_path_factory, tmp_path):
    exported = Exported(tmp_path_factory.mktemp("command"), seeds=(1,), steps=30)
    rows = read_rows(exported.task, "test")
    pq.write_table(pa.table({"text": rows.texts}), tmp_path / "in.parquet")
    model = tmp_path / "model"
    shutil.copytree(exported.model, model)
    written = {}
    use = read_predictors(model).use
    for name in (None, "linear" if use == "blend" else "blend"):
        out = tmp_path / f"{name}.parquet"
        told = tlm(
            "predict", model, "--input", tmp_path / "in.parquet", "--output", out, "--probabilities",
            *(["--with", name] if name else []),
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        written[name] = pq.read_table(out).to_pydict()
    stored = {
        "linear": choice_of(exported).linear.predictions("test"),
        "encoder": open_evaluation(exported.evaluations[0]).predictions("test"),
        "blend": choice_of(exported).splits["test"].predictions,
    }
    for name, found in written.items():
        assert found["prediction"] == stored[name or use].predictions.tolist()


def test_a_linear_model_loads_no_torch(exported):
    code = (
        "import sys; from pathlib import Path\n"
        "from tlm.serving.linear_classifier import LinearClassifier\n"
        "from tlm.serving.predict import predict_file\n"
        "from tlm.serving.predictors import read_predictors\n"
        f"folder = Path({str(exported.model)!r})\n"
        "model = LinearClassifier.load(folder, read_predictors(folder))\n"
        "model.predict(model.encode(['a text'], ['a pair']))\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    told = tlm_python(code)
    assert told.returncode == 0, told.stderr


def tlm_python(code):
    import os
    import subprocess
    import sys

    from conftest import ROOT

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_folder_with_an_encoder_alone(tmp_path):
    folder = random_model(tmp_path / "model", Toy(tmp_path / "toy"))
    assert chosen_predictor(folder, None) == ("encoder", None)
    with pytest.raises(TlmError, match=r"--with blend: .* holds an encoder alone"):
        chosen_predictor(folder, "blend")


def test_faulty_files_raise(exported, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(exported.model, copy)
    (copy / "tlm.json").write_text((copy / "tlm.json").read_text().replace('"use"', '"usage"'))
    with pytest.raises(TlmError, match="usage: unknown key"):
        read_predictors(copy)
    shutil.copy(exported.model / "tlm.json", copy / "tlm.json")
    (copy / "linear.safetensors").unlink()
    with pytest.raises(TlmError, match="its linear model cannot be read"):
        LinearClassifier.load(copy, read_predictors(copy))
