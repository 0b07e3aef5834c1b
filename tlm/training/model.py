"""The encoder with its two heads, in native `transformers` classes.

Place in the flow: tokenizer → model → loop. The weights are in a `…ForMaskedLM` and a
`…ForSequenceClassification` that share one encoder, so each can be saved and then loaded with the `Auto`
classes. The forward pass computes the language-model head at masked positions only.

Heads: the authors put Linear–GELU–Linear on [CLS]; we use the native heads on [CLS] (ModernBERT: Linear–GELU–
LayerNorm–Linear; BERT: its tanh pooler and Linear), so that a trained model needs none of our code to load.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import is_flash_attn_2_available

from tlm.config.training import Attention, ModelSpec, Precision
from tlm.errors import TlmError
from tlm.problems import CLASSIFICATION, PROBLEMS, Problem
from tlm.training import cpu_forward
from tlm.training.masking import Batch
from tlm.training.model_families import (
    check_family,
    classify,
    is_embedding,
    reach,
    reads_token_types,
    share_encoder,
    transform,
)
from tlm.training.objective import Weights, mlm_loss, task_loss
from tlm.training.tokenizer import Vocabulary

_ROTARY_BASE = 10_000.0  # the usual base; ModernBERT's 160,000 serves its 8,192 positions


@dataclass(frozen=True)
class TaskHead:
    """The outputs of the classification head: names in the order of their ids, and their meaning."""

    labels: tuple[str, ...]
    problem: Problem = CLASSIFICATION

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> TaskHead:
        """From the parameters of a task's manifest."""
        problem = PROBLEMS[parameters["problem"]]
        return cls(problem.outputs(parameters["labels"]), problem)


def attention_for(device: str, wanted: Attention = "auto", precision: Precision = "fp32") -> str:
    """The attention implementation of `transformers` by device.

    On CPU, plain products are 1.46 times as fast as the fused kernel; on a GPU, SDPA chooses the kernel.
    Raises TlmError for FlashAttention where it cannot run.
    """
    if wanted == "flash_attention_2":
        advice = "use attention: auto"
        if device == "cpu":
            raise TlmError(f"attention: flash_attention_2 runs on a GPU only; {advice}")
        if not is_flash_attn_2_available():
            raise TlmError(
                f"attention: flash_attention_2 needs the package flash-attn; install it or {advice}"
            )
        if precision != "bf16":
            raise TlmError(f"attention: flash_attention_2 needs precision: bf16; set that or {advice}")
    if wanted != "auto":
        return wanted
    return "eager" if device == "cpu" else "sdpa"


def encoder_config(spec: ModelSpec, vocabulary: Vocabulary) -> PretrainedConfig:
    """The native configuration of a model that is trained from scratch."""
    ids: dict[str, Any] = {
        "pad_token_id": vocabulary.pad,
        "cls_token_id": vocabulary.cls,
        "sep_token_id": vocabulary.sep,
    }
    shape: dict[str, Any] = {
        "vocab_size": vocabulary.size,
        "hidden_size": spec.hidden_size,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "intermediate_size": spec.intermediate_size,
        "max_position_embeddings": spec.max_length,
    }
    if spec.architecture == "bert":
        return BertConfig(
            **shape,
            pad_token_id=vocabulary.pad,
            hidden_dropout_prob=spec.dropout,
            attention_probs_dropout_prob=spec.dropout,
        )
    rotary = {"rope_type": "default", "rope_theta": _ROTARY_BASE}
    return ModernBertConfig(
        **shape,
        **ids,
        bos_token_id=vocabulary.cls,
        eos_token_id=vocabulary.sep,
        # Every layer sees the whole text: at these lengths a window of 128 would see and cost as much.
        layer_types=["full_attention"] * spec.layers,
        rope_parameters={"full_attention": dict(rotary), "sliding_attention": dict(rotary)},
        classifier_pooling=spec.pooling,
        attention_dropout=spec.dropout,
        embedding_dropout=spec.dropout,
        mlp_dropout=spec.dropout,
        classifier_dropout=spec.dropout,
    )


def _head_config(config: PretrainedConfig, task: TaskHead) -> PretrainedConfig:
    """A copy of `config` that names the classes."""
    names = dict(enumerate(task.labels))
    copy = type(config).from_dict(
        {**config.to_dict(), "id2label": names, "label2id": {name: index for index, name in names.items()}}
    )
    copy.problem_type = task.problem.problem_type
    return copy


def build_mlm(spec: ModelSpec, vocabulary: Vocabulary, *, attention: str, seed: int) -> PreTrainedModel:
    """A masked language model with random weights decided by `seed`, or the Hub checkpoint that `spec` names.

    Raises TlmError if the checkpoint cannot be loaded, is of another family or has another vocabulary.
    """
    torch.manual_seed(seed)
    if spec.pretrained is None:
        config = encoder_config(spec, vocabulary)
        return AutoModelForMaskedLM.from_config(config, attn_implementation=attention)
    name = spec.pretrained if spec.revision is None else f"{spec.pretrained} at {spec.revision}"
    options: dict[str, Any] = {
        "revision": spec.revision or "main",
        "attn_implementation": attention,
        "dtype": torch.float32,
    }
    try:
        try:
            model = AutoModelForMaskedLM.from_pretrained(spec.pretrained, use_safetensors=True, **options)
        except OSError:
            # Old checkpoints are pickled. They are read as weights only, without running code.
            model = AutoModelForMaskedLM.from_pretrained(
                spec.pretrained, use_safetensors=False, weights_only=True, **options
            )
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        raise TlmError(f"model {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
    check_family(model.config, name)
    if model.config.model_type != spec.architecture:
        raise TlmError(
            f"model {name!r} is a {model.config.model_type}, but model.architecture is {spec.architecture}"
        )
    if model.config.vocab_size < vocabulary.size:
        raise TlmError(
            f"model {name!r} has {model.config.vocab_size} embeddings, the tokenizer "
            f"{vocabulary.size} entries; use the model's own tokenizer (tokenizer.pretrained)"
        )
    return model


def load_mlm(directory: Path, *, attention: str) -> PreTrainedModel:
    """A masked language model that an earlier stage saved."""
    return AutoModelForMaskedLM.from_pretrained(directory, attn_implementation=attention)


def new_classifier(mlm: Any, task: TaskHead, *, seed: int) -> PreTrainedModel:
    """A classifier that shares the encoder of `mlm`; its head is new, with weights decided by `seed`."""
    torch.manual_seed(seed)
    config = _head_config(mlm.config, task)
    attention = mlm.config._attn_implementation
    classifier = AutoModelForSequenceClassification.from_config(config, attn_implementation=attention)
    share_encoder(mlm, classifier)
    return classifier


def load_pooler(classifier: Any, spec: ModelSpec) -> None:
    """Give BERT's classifier the pretrained pooler of the checkpoint. Raises TlmError if it has none."""
    assert spec.pretrained is not None
    loaded: Any = BertModel.from_pretrained(
        spec.pretrained, revision=spec.revision or "main", use_safetensors=True, output_loading_info=True
    )
    bert, loading = loaded
    if any("pooler" in name for name in loading["missing_keys"]):
        raise TlmError(f"model {spec.pretrained!r} has no pretrained pooler; set model.pooler to new")
    classifier.bert.pooler.load_state_dict(bert.pooler.state_dict())


@dataclass(frozen=True)
class TensorBatch:
    """A `Batch` as tensors on the device; `mask` is None if the batch has no padding."""

    input_ids: torch.Tensor
    mask: torch.Tensor | None  # (rows, length) bool, True at real tokens
    token_types: torch.Tensor | None
    positions: torch.Tensor | None
    targets: torch.Tensor | None
    labels: torch.Tensor | None

    @classmethod
    def host(cls, batch: Batch, *, pinned: bool) -> TensorBatch:
        """In the arrays' host memory, or copied into `pinned` memory for an asynchronous transfer to a GPU."""

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).pin_memory() if pinned else torch.from_numpy(array)

        def optional(array: np.ndarray | None) -> torch.Tensor | None:
            return None if array is None else tensor(array)

        inside = np.arange(batch.padded_length) < batch.lengths[:, None]
        mask = None if bool(inside.all()) else tensor(inside)
        rest = map(optional, (batch.token_types, batch.positions, batch.targets, batch.labels))
        return cls(tensor(batch.input_ids), mask, *rest)

    def to(self, device: torch.device) -> TensorBatch:
        """On `device`; does not wait for a copy from pinned memory."""
        if device.type == "cpu":
            return self
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        there = {name: part.to(device, non_blocking=True) for name, part in parts.items() if part is not None}
        return replace(self, **there)

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> TensorBatch:
        """The tensors of `batch` on `device`."""
        return cls.host(batch, pinned=device.type == "cuda").to(device)


class TwoHeads(nn.Module):
    """Shared encoder, language-model head and classification head; stage 2 has only the latter."""

    def __init__(
        self,
        mlm: Any,  # PreTrainedModel or None; Any because each family names its parts differently
        classifier: Any,
        *,
        bf16: bool = False,
        label_smoothing: float = 0.0,
        native: bool = False,
    ) -> None:
        """`native` selects the forward pass of `transformers` even where `cpu_forward` supports the model."""
        super().__init__()
        self.mlm: Any = mlm
        self.classifier: Any = classifier
        self.bf16, self.label_smoothing, self.native = bf16, label_smoothing, native

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of the encoder."""
        return self._either.config  # type: ignore[no-any-return]

    @property
    def encoder(self) -> Any:
        """The encoder that the heads share: a native module."""
        return self._either.base_model

    @property
    def _either(self) -> Any:
        return self.mlm if self.mlm is not None else self.classifier

    def forward(self, batch: TensorBatch, weights: Weights | None = None) -> dict[str, torch.Tensor]:
        """Summed losses (`mlm`, `task`) and the step's weighted `loss`; or, without weights, `logits`."""
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.bf16):
            hidden = self.encode(batch)
            if weights is None:
                return {"logits": classify(self.classifier, hidden, batch.mask).float()}
            losses = {}
            if weights.mlm:
                assert batch.positions is not None and batch.targets is not None and self.mlm is not None
                states = hidden.flatten(0, 1).index_select(0, batch.positions)
                output = self.mlm.get_output_embeddings()
                states = transform(self.mlm, states)
                if self.bf16:  # on a GPU autocast leaves the head's norm in fp32
                    states = states.to(torch.bfloat16)
                losses["mlm"] = mlm_loss(states, output.weight, output.bias, batch.targets)
            if weights.task and batch.labels is not None:
                logits = classify(self.classifier, hidden, batch.mask)
                losses["task"] = task_loss(logits, batch.labels, self.label_smoothing)
        total = sum(loss * getattr(weights, name) for name, loss in losses.items())
        return {"loss": total, **losses}

    def encode(self, batch: TensorBatch) -> torch.Tensor:
        """Hidden states, (rows, length, hidden)."""
        encoder = self.encoder
        if not self.native and cpu_forward.supports(self.config, batch.input_ids.device):
            dtype = torch.bfloat16 if self.bf16 else torch.float32
            with torch.autocast("cpu", enabled=False):
                return cpu_forward.encode(encoder, batch.input_ids, batch.mask, batch.token_types, dtype)
        mask = None if batch.mask is None else batch.mask.long()
        inputs = {"input_ids": batch.input_ids, "attention_mask": mask}
        if batch.token_types is not None and reads_token_types(self.config):
            inputs["token_type_ids"] = batch.token_types
        return encoder(**inputs)[0]


def parameter_counts(model: TwoHeads) -> dict[str, int]:
    """Number of trained parameters: total (shared ones once), input embeddings, and all others."""
    total = sum(parameter.numel() for parameter in model.parameters())
    embeddings = sum(parameter.numel() for name, parameter in model.named_parameters() if is_embedding(name))
    return {"total": total, "embedding": embeddings, "non_embedding": total - embeddings}


def check_lengths(config: PretrainedConfig, lengths: Sequence[int]) -> None:
    """Raises TlmError if an input is longer than the model's position encoding allows."""
    if max(lengths) > reach(config):
        raise TlmError(
            f"inputs of {max(lengths)} tokens are longer than the model's max_length "
            f"{reach(config)}; raise model.max_length or lower the stage's length"
        )
