"""The classifiers that the paper's authors released, as native `transformers` models.

Place in the flow: a checkpoint `yxchar/tlm-<task>-<scale>-scale` of the Hub → here, in place of stage 2 → evaluation.
Nothing is trained. The authors' model is a BERT without pooler and a head Linear–GELU–Linear on [CLS] (`cls_layer` in
their src/model.py). The native class with this head is ELECTRA's, whose encoder is BERT's if its embeddings have the
hidden size. So the conversion is exact, and the result loads with `AutoModelForSequenceClassification`.

The checkpoints number their classes. The names come from the authors' rows: the label that a text has there against the
label that the same text has in the task.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedTokenizerFast,
)
from transformers.utils import cached_file

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_json, write_manifest
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.formats.files import find
from tlm.formats.registry import read_rows
from tlm.formats.tables import TableOptions
from tlm.text import clean
from tlm.training.stage_setup import UNHASHED
from tlm.training.work_counts import StageWork
from tlm.training.workspace import save_model

_HEAD = {"cls_layer.0": "classifier.dense", "cls_layer.2": "classifier.out_proj"}
_UNUSED = ("cls.predictions.", "bert.embeddings.position_ids", "bert.pooler.")


def convert_released(spec: RunSpec, task_dir: Path, rows_dir: Path, destination: Path) -> Manifest:
    """Write the checkpoint `spec.model.pretrained` as a `stage2` artifact with the class names of the task.

    `rows_dir` is the source of the authors' rows for the task. Raises TlmError for a checkpoint of another form, one
    with another number of classes, and rows that do not give each class a name.
    """
    started = time.perf_counter()
    assert spec.model.pretrained is not None
    name, revision = spec.model.pretrained, spec.model.revision or "main"
    task, rows = read_manifest(task_dir, "task"), read_manifest(rows_dir, "source")
    labels = [str(label) for label in task.parameters["labels"]]
    try:
        config = BertConfig.from_pretrained(name, revision=revision)
        tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(name, revision=revision))
        tensors = read_tensors(name, revision)
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        raise TlmError(f"model {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
    model = as_native(tensors, config, name)
    if model.config.num_labels != len(labels):
        raise TlmError(f"{name}: has {model.config.num_labels} classes, the task has {len(labels)}")
    sort_classes(model, class_order(task_dir, rows_dir, labels), labels)
    with staged_directory(destination) as working:
        save_model(model, tokenizer, working / "model")
        write_json(working / "record.json", {"work": StageWork().as_dict(), "released": name})
        seconds = round(time.perf_counter() - started, 3)
        write_json(working / "timing.json", {"train_seconds": 0.0, "total_seconds": seconds})
        return write_manifest(
            working,
            "stage2",
            counts={"steps": 0, "tokens": 0},
            parameters=spec.model_dump(mode="json"),
            inputs={"task": task.digest, "rows": rows.digest},
            unhashed=UNHASHED,
        )


def read_tensors(name: str, revision: str) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint of the Hub or of a folder; a pickled file is read as weights only, without code."""
    safe = cached_file(
        name, "model.safetensors", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    if safe is not None:
        return load_file(safe)
    path = cached_file(name, "pytorch_model.bin", revision=revision)
    assert path is not None  # it raises otherwise
    return cast(dict[str, torch.Tensor], torch.load(path, map_location="cpu", weights_only=True))


def as_native(
    tensors: Mapping[str, torch.Tensor], config: BertConfig, where: str
) -> ElectraForSequenceClassification:
    """The authors' classifier in the native class. Raises TlmError naming a weight that is missing or unknown."""
    renamed = {}
    for key, value in tensors.items():
        if key.startswith(_UNUSED):
            continue
        layer, _, kind = key.rpartition(".")
        if layer in _HEAD:
            renamed[f"{_HEAD[layer]}.{kind}"] = value
        elif key.startswith("bert."):
            renamed[f"electra.{key.removeprefix('bert.')}"] = value
        else:
            raise TlmError(f"{where}: unknown weight {key!r}; expected `bert.…`, `cls.…` and `cls_layer.…`")
    if "classifier.out_proj.weight" not in renamed:
        raise TlmError(f"{where}: holds no cls_layer.2.weight, so it is no classifier of the paper's authors")
    values = config.to_dict()
    shape = {
        key: values[key]
        for key in (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "hidden_act",
            "max_position_embeddings",
            "type_vocab_size",
            "layer_norm_eps",
            "pad_token_id",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
        )
    }
    classes = len(renamed["classifier.out_proj.weight"])
    native = ElectraConfig(**shape, embedding_size=config.hidden_size)
    native.num_labels = classes
    model = ElectraForSequenceClassification(native)
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    missing = [key for key in missing if not key.endswith("position_ids")]
    if missing or unexpected:
        wrong = f"lacks {missing[0]}" if missing else f"has an unknown weight {unexpected[0]}"
        raise TlmError(f"{where}: {wrong}")
    return model.eval()


def class_order(task_dir: Path, rows_dir: Path, labels: Sequence[str]) -> list[str]:
    """The task's label of each class number, in order.

    Train and dev texts are compared; the majority decides where a text has several labels. Raises TlmError if two
    numbers get the same label or one gets none.
    """
    known: dict[str, list[str]] = defaultdict(list)
    for split in ("train", "dev"):
        table = pq.read_table(task_dir / f"{split}.parquet", columns=["text", "label"])
        for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
            known[clean(text)].append(str(label))
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for file in find(rows_dir, "**/*"):
        for _, row in read_rows(file, TableOptions(required=("text", "label"), only_required=True)):
            votes[row["label"] or ""].update(known.get(clean(row["text"] or ""), []))
    order = []
    for number in range(len(labels)):
        found = votes.get(str(number), Counter())
        if not found:
            raise TlmError(
                f"{rows_dir}: no row of class {number} has a text of the task's train or dev split, so the class has no"
                " name; are these the rows that the checkpoint was trained on?"
            )
        order.append(found.most_common(1)[0][0])
    if sorted(order) != sorted(labels):
        twice = next(label for label, count in Counter(order).items() if count > 1)
        raise TlmError(
            f"{rows_dir}: two class numbers have mostly the label {twice!r} in the task; its rows are others"
        )
    return order


def sort_classes(
    model: ElectraForSequenceClassification, order: Sequence[str], labels: Sequence[str]
) -> None:
    """Put the outputs, whose labels are `order`, into the order of `labels`, and name them."""
    places = [order.index(label) for label in labels]
    last = model.classifier.out_proj
    with torch.no_grad():
        last.weight.copy_(last.weight[places].clone())
        last.bias.copy_(last.bias[places].clone())
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: number for number, label in enumerate(labels)}
    model.config.problem_type = "single_label_classification"
