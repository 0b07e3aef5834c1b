"""The authors' classifiers: the native model gives the logits of their formulas; classes get the task's names."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT
from evaluation_toy import LABELS, make_task, save_tokenizer
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertModel

from tlm.artifacts import read_manifest, write_manifest
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import RunName
from tlm.evaluation.evaluate import evaluate_run
from tlm.plan import runs, tables
from tlm.plan.project import load_project
from tlm.training.released import convert_released

ORDER = [2, 0, 1]  # the authors' number of each label
TEXTS = [
    f"{first} {second} is {third}" for first in ("the", "a") for second in LABELS for third in ("sky", "rose")
]


def authors_logits(bert: BertModel, head: nn.Sequential, inputs) -> torch.Tensor:
    """src/model.py of the authors: `cls_prediction_scores = self.cls_layer(sequence_output[:,0])`."""
    with torch.no_grad():
        return head(bert(**inputs)[0][:, 0])


@pytest.fixture
def checkpoint(tmp_path):
    """A folder like yxchar/tlm-<task>-<scale>-scale: random weights under the authors' names, pickled."""
    folder = tmp_path / "checkpoint"
    tokenizer = AutoTokenizer.from_pretrained(save_tokenizer(folder))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    bert = BertModel(config, add_pooling_layer=False).eval()
    head = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 3))
    state = {f"bert.{name}": value for name, value in bert.state_dict().items()}
    state |= {f"cls_layer.{name}": value for name, value in head.state_dict().items()}
    state["bert.embeddings.position_ids"] = torch.arange(32)[None]  # old checkpoints have it
    state["cls.predictions.bias"] = torch.zeros(len(tokenizer))
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(
        json.dumps({**config.to_dict(), "architectures": ["BertForMaskedLM"]})
    )
    return folder, bert, head, tokenizer


def task_and_rows(folder: Path, numbers=ORDER) -> tuple[Path, Path]:
    """A task of named labels, and the authors' rows of it with numbered ones."""
    splits = {split: labelled(split) for split in ("train", "dev", "test")}
    task, rows = make_task(folder / "task", splits, labels=LABELS), folder / "rows"
    rows.mkdir()
    lines = [f"{text.replace(' ', '  ')},{numbers[LABELS.index(label)]}" for text, label in splits["train"]]
    (rows / "train.csv").write_text("\n".join(["text,label", *lines, f"another text,{numbers[0]}"]) + "\n")
    write_manifest(rows, "source", counts={"files": 1}, parameters={})
    return task, rows


def labelled(split: str) -> list[tuple[str, str]]:
    """Twelve different texts of a split, four of each label."""
    return [(f"{text} {split}", LABELS[number % 3]) for number, text in enumerate(TEXTS)]


def spec_of(folder: Path) -> RunSpec:
    small = load_project({"scale": "small", "seeds": [1]}, ROOT / "config")
    spec = runs.resolve_encoder(small, "chemprot", "tlm-released", 1).spec
    model = spec.model.model_copy(update={"pretrained": str(folder), "revision": None})
    stage2 = spec.stage2.model_copy(update={"length": 16})
    return spec.model_copy(update={"model": model, "stage2": stage2})


def test_the_native_model_gives_the_authors_logits_and_is_evaluated(checkpoint, tmp_path):
    folder, bert, head, tokenizer = checkpoint
    task, rows = task_and_rows(tmp_path)
    manifest = convert_released(spec_of(folder), task, rows, tmp_path / "stage2")
    assert manifest.kind == "stage2" and manifest.counts == {"steps": 0, "tokens": 0}
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "stage2/model")
    assert list(model.config.id2label.values()) == LABELS
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    expected = authors_logits(bert, head, inputs)
    with torch.no_grad():
        found = model(**inputs).logits
    torch.testing.assert_close(found, expected[:, ORDER], rtol=1e-5, atol=1e-6)
    assert list((tmp_path / "stage2/model").glob("*.safetensors"))
    run = RunName("small", "task", "tlm-released", 1)
    evaluate_run(
        run=run,
        task_dir=task,
        destination=tmp_path / "evaluation",
        stage1_dir=None,
        stage2_dir=tmp_path / "stage2",
    )
    predictions = pq.read_table(tmp_path / "evaluation/predictions.parquet").filter(
        pa.compute.field("split") == "test"
    )
    texts = tokenizer([f"{text} test" for text in TEXTS], padding=True, return_tensors="pt")
    best = authors_logits(bert, head, texts)[:, ORDER].argmax(1).tolist()
    assert predictions["prediction"].to_pylist() == [LABELS[place] for place in best]
    flops = json.loads((tmp_path / "evaluation/flops.json").read_text())
    assert flops["stage1"] is None and flops["data"] is None and flops["parameters"] > 0


def test_another_checkpoint_or_other_rows_raise(checkpoint, tmp_path):
    folder, _, _, _ = checkpoint
    task, rows = task_and_rows(tmp_path)
    spec = spec_of(folder)
    (rows / "train.csv").write_text("text,label\nno text of the task,0\n")
    with pytest.raises(TlmError, match="no row of class 0 has a text of the task"):
        convert_released(spec, task, rows, tmp_path / "stage2")
    both = "".join(f"{text} train,{number}\n" for text in TEXTS[:1] for number in range(3))
    (rows / "train.csv").write_text(f"text,label\n{both}")
    with pytest.raises(TlmError, match="two class numbers have mostly the label"):
        convert_released(spec, task, rows, tmp_path / "stage2")
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    for change, message in (
        ({"pooler.x": torch.zeros(1)}, "unknown weight 'pooler.x'"),
        ({"bert.encoder.extra": torch.zeros(1)}, "unknown weight electra.encoder.extra"),
        ({"cls_layer.2.weight": None}, "no classifier of the paper's authors"),
        ({"bert.encoder.layer.1.output.dense.bias": None}, "lacks electra.encoder.layer.1.output.dense.bias"),
    ):
        left = {key: value for key, value in {**state, **change}.items() if value is not None}
        torch.save(left, folder / "pytorch_model.bin")
        with pytest.raises(TlmError, match=message):
            convert_released(spec, task, rows, tmp_path / "stage2")
    assert not (tmp_path / "stage2").exists()


def test_a_pickle_with_code_is_not_executed(checkpoint, tmp_path):
    folder, _, _, _ = checkpoint
    task, rows = task_and_rows(tmp_path)

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"bert.x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(TlmError, match="cannot be loaded"):
        convert_released(spec_of(folder), task, rows, tmp_path / "stage2")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
def test_each_task_of_the_papers_scales_names_a_checkpoint(scale):
    project = load_project({"scale": scale, "seeds": [1, 2, 3]}, ROOT / "config")
    names = set()
    for task in project.scale.tasks:
        run = runs.resolve_encoder(project, task, "tlm-released", 1)
        assert run.stage1 is None and run.selection is None and run.spec.model.finished
        names.add(run.spec.model.pretrained)
    assert len(names) == 8 and all(name.endswith(f"-{scale}-scale") for name in names)
    rows = {row.id: row.label for row in tables.table(project, "table2").rows}
    assert rows["tlm-released"] == "TLM (authors' checkpoint)"
    assert project.seeds_of("tlm-released") == [1]


def test_digests_of_the_conversion_name_task_and_rows(checkpoint, tmp_path):
    folder, *_ = checkpoint
    task, rows = task_and_rows(tmp_path)
    manifest = convert_released(spec_of(folder), task, rows, tmp_path / "stage2")
    assert manifest.inputs == {"task": read_manifest(task).digest, "rows": read_manifest(rows).digest}
