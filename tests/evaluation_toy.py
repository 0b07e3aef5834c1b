"""Tiny models, tasks and stage folders for the tests of evaluation."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from tlm.artifacts import write_json, write_manifest
from tlm.evaluation.artifact import RunName
from tlm.training.work_counts import StageWork, WorkCounts

WORDS = ["red", "green", "blue", "the", "a", "sky", "grass", "rose", "##s", "is", "."]
LABELS = ["blue", "green", "red"]
RUN = RunName("smoke", "colours", "tlm", 3)


def save_tokenizer(folder):
    pieces = {
        name: index for index, name in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    }
    tokenizer = Tokenizer(models.WordPiece(vocab=pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    write_manifest(folder, "tokenizer", counts={}, parameters={})
    return folder


def save_model(folder, architecture, labels=("blue", "green", "red"), seed=0):
    torch.manual_seed(seed)
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    shape = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"intermediate_size": 24, "max_position_embeddings": 32, "pad_token_id": 0, **names}
    if architecture == "bert":
        model = BertForSequenceClassification(BertConfig(**shape))
    else:
        ids = {"bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
        model = ModernBertForSequenceClassification(ModernBertConfig(**shape, **ids))
    model.save_pretrained(folder)
    return folder


def sentences(count, seed=0, longest=20):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, longest))) for _ in range(count)]


def make_task(folder, rows, *, labels, metric="macro_f1", pair=False):
    """A task artifact from split → list of (text, label) or (text, text_pair, label)."""
    folder.mkdir(parents=True)
    start = 0
    for split, values in rows.items():
        columns = {"row_id": pa.array(range(start, start + len(values)), pa.int64())}
        columns["text"] = [value[0] for value in values]
        if pair:
            columns["text_pair"] = [value[1] for value in values]
        columns["label"] = [value[-1] for value in values]
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
        start += len(values)
    problem = "classification" if labels else "regression"
    parameters = {"task": folder.name, "problem": problem, "labels": labels, "metric": metric, "pair": pair}
    write_manifest(folder, "task", counts={}, parameters=parameters)
    return folder


def save_mlm(folder, seed=0):
    torch.manual_seed(seed)
    shape = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertForMaskedLM(
        BertConfig(**shape, intermediate_size=24, max_position_embeddings=32, pad_token_id=0)
    ).save_pretrained(folder)
    return folder


def work(rows, length, masked):
    return WorkCounts(4, rows, rows * length - 5, rows * length, rows * 32, rows * length**2, masked)


def make_stages(folder, *, rho2=20, labels=LABELS):
    """stage1 and stage2 in the form that training writes, with a random model in them."""
    tokenizer = save_tokenizer(folder / "tokenizer")
    spec = {
        "model": {"pretrained": None},
        "stage1": {"internal_length": 24, "mlm_probability": 0.15, "rho2": rho2},
        "stage2": {"length": 20},
    }
    for kind, names in (("stage1", ("mlm", "classifier")), ("stage2", ("model",))):
        stage = folder / kind
        for name in names:
            save_mlm(stage / name) if name == "mlm" else save_model(stage / name, "bert", labels)
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(tokenizer / file, stage / name / file)
        internal = work(10, 24, 30)
        external = work(90, 12, 150) if kind == "stage1" else WorkCounts()
        record = {
            "work": StageWork(internal, external).as_dict(),
            "embedding_init": {"kind": "cooccurrence", "flops": 1000}
            if kind == "stage1"
            else {"kind": "random"},
        }
        write_json(stage / "record.json", record)
        write_manifest(stage, kind, counts={}, parameters=spec)
        write_json(stage / "timing.json", {"train_seconds": 2.0, "total_seconds": 3.5})
    return folder / "stage1", folder / "stage2"
