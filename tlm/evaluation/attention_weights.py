"""Attention weights of a trained model: one sentence for the picture, a sample of dev texts for the counts.

Place in the flow: stage 2's model (stage 1's classifier where there is no stage 2: the model that is
evaluated) → attention artifact → figures 3, C.1, C.2 and `results/attention.csv`. Section 4.4.1, appendix C.
This module never opens a test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from tlm.artifacts import Manifest, read_manifest
from tlm.config.figures import HeadsSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import RunName, SplitRows, read_rows, read_task
from tlm.evaluation.attention_heads import AttentionExample, Hits, count, stack, write_attention
from tlm.evaluation.outputs import encode, read_tokenizer
from tlm.progress import Progress
from tlm.training.model_families import check_family, reads_token_types

PERIOD = "."


def load_encoder(directory: Path) -> PreTrainedModel:
    """The encoder of the classifier or masked language model in `directory`, which can return attention weights.

    Raises TlmError if the directory holds neither.
    """
    if not (directory / "config.json").is_file():
        raise TlmError(f"{directory}: holds no model (no config.json); train it first")
    config = AutoConfig.from_pretrained(directory)
    check_family(config, str(directory))
    masked = any(name.endswith("ForMaskedLM") for name in config.architectures or [])
    auto = AutoModelForMaskedLM if masked else AutoModelForSequenceClassification
    try:
        # Only eager attention returns its weights; the fused kernels never store them.
        model = auto.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise TlmError(f"{directory}: cannot be loaded: {str(error).splitlines()[0]}") from None
    return model.base_model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def attention_weights(encoder: PreTrainedModel, ids: Sequence[int], types: Sequence[int]) -> np.ndarray:
    """Weights (layers, heads, tokens, tokens) float32 of one text, query by key; every row sums to one."""
    inputs = {"input_ids": torch.tensor([list(ids)], device=encoder.device)}
    if reads_token_types(encoder.config):
        inputs["token_type_ids"] = torch.tensor([list(types)], device=encoder.device)
    layers = encoder(**inputs, output_attentions=True).attentions
    return torch.stack([layer[0] for layer in layers]).float().cpu().numpy()


def read_heads(
    run: RunName,
    task_dir: Path,
    destination: Path,
    spec: HeadsSpec,
    *,
    stage1_dir: Path | None = None,
    stage2_dir: Path | None = None,
    threads: int = 1,
) -> Manifest:
    """Read the heads of the run's model on a sample of dev texts and on the examples; write the artifact.

    Texts are cut to the length of the model's last stage, as in its evaluation. Raises TlmError if neither
    stage is given, or for a model whose weights are not numbers.
    """
    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    task = read_task(task_dir)
    if run.task != task.name:
        raise TlmError(
            f"run {run}: --task is the folder of task {task.name!r}; pass the folder of its own task"
        )
    stage, model_dir, length = _model(run, stage1_dir, stage2_dir)
    encoder, tokenizer = load_encoder(model_dir), read_tokenizer(model_dir)
    rows = read_rows(task_dir, "dev")
    chosen = sample(len(rows.texts), spec)
    return write_attention(
        destination,
        sample_hits(encoder, tokenizer, rows, chosen, length),
        {name: read_example(encoder, tokenizer, text, length) for name, text in spec.examples.items()},
        resampling=(spec.seed, spec.resamples),
        parameters={
            "scale": run.scale,
            "task": run.task,
            "variant": run.variant,
            "seed": run.seed,
            "length": length,
            "spec": spec.model_dump(mode="json"),
        },
        inputs={"task": task.digest, "model": stage.digest},
    )


def _model(run: RunName, stage1_dir: Path | None, stage2_dir: Path | None) -> tuple[Manifest, Path, int]:
    """The stage whose model is read, the model's folder, and the length that texts are cut to."""
    if stage2_dir is not None:
        stage = read_manifest(stage2_dir, "stage2")
        return stage, stage2_dir / "model", int(stage.parameters["stage2"]["length"])
    if stage1_dir is not None:
        stage = read_manifest(stage1_dir, "stage1")
        return stage, stage1_dir / "classifier", int(stage.parameters["stage1"]["internal_length"])
    raise TlmError(f"run {run}: neither stage 1 nor stage 2 is given; there is no model to read")


def sample(rows: int, spec: HeadsSpec) -> np.ndarray:
    """The row numbers of the sampled texts, ascending; the same for every model of the task."""
    if rows <= spec.texts:
        return np.arange(rows)
    return np.sort(np.random.default_rng(spec.seed).choice(rows, spec.texts, replace=False))


def sample_hits(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: SplitRows,
    chosen: np.ndarray,
    length: int,
) -> Hits:
    """Maxima of the chosen rows, one text at a time, so that there is no padding."""
    texts = [rows.texts[row] for row in chosen]
    pairs = None if rows.pairs is None else [rows.pairs[row] for row in chosen]
    encoded = encode(tokenizer, texts, pairs, length)
    progress = Progress("heads", len(texts), "texts")
    found = []
    for ids, types in zip(encoded.ids, encoded.types, strict=True):
        special, vertical = token_kinds(tokenizer, ids)
        found.append(count(attention_weights(encoder, ids, types), queries=~special, targets=vertical))
        progress.add(1)
    progress.finish()
    return stack(found)


def read_example(
    encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sentence: str, length: int
) -> AttentionExample:
    """One sentence with its weights."""
    encoded = encode(tokenizer, [sentence], None, length)
    ids = encoded.ids[0]
    special, vertical = token_kinds(tokenizer, ids)
    tokens = tuple(tokenizer.convert_ids_to_tokens(ids))
    return AttentionExample(
        sentence, tokens, attention_weights(encoder, ids, encoded.types[0]), special, vertical
    )


def token_kinds(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are [CLS] or [SEP], and which are [CLS], [SEP] or a period; both (tokens,) bool."""
    special = np.isin(ids, [tokenizer.cls_token_id, tokenizer.sep_token_id])
    # Decoded, because byte-level BPE has a second token for a period after a space: `Ġ.`.
    period = np.array([str(tokenizer.decode([each])).strip() == PERIOD for each in ids])
    return special, special | period
