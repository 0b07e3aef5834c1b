"""What both stages do around their loop: check their inputs, hold their folder, write their record.

Place in the flow: used by stage1 and stage2. A stage works in a hidden folder beside its destination, which
survives a crash with its checkpoints; it becomes the destination when the stage is complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from tlm.artifacts import (
    Manifest,
    partial_path,
    read_manifest,
    staged_directory,
    write_json,
    write_manifest,
)
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.training.execution import Execution, start_trackers, stop_trackers
from tlm.training.families import reach, reads_token_types
from tlm.training.plan import Progressed
from tlm.training.precision import Precision

UNHASHED = ("timing.json", "log.jsonl")  # hold seconds: no two runs write the same


@contextmanager
def workspace(destination: Path, accelerator: Accelerator, identity: dict[str, Any]) -> Iterator[Path]:
    """The folder that a stage works in; the main process moves it into place at the end.

    Trackers, if any were asked for, follow the run under its `identity` meanwhile.
    """
    logging.disable_progress_bar()
    start_trackers(accelerator, destination, identity)
    if accelerator.is_main_process:
        with staged_directory(destination, resume=True) as working:
            accelerator.wait_for_everyone()
            yield working
    else:
        accelerator.wait_for_everyone()
        yield partial_path(destination)
    stop_trackers(accelerator)
    accelerator.wait_for_everyone()


def read_tokens(directory: Path, tokenizer: Manifest, where: str) -> Manifest:
    """The manifest of a `tokens` artifact. Raises TlmError if it was made with another tokenizer."""
    manifest = read_manifest(directory, "tokens")
    if manifest.inputs.get("tokenizer") != tokenizer.digest:
        raise TlmError(f"{directory}: tokenized by another tokenizer than {where}; build it again")
    return manifest


def fingerprint(
    spec: RunSpec, stage: str, inputs: dict[str, str], precision: Precision, attention: str
) -> dict[str, Any]:
    """What must be equal for a checkpoint to be continued: all that decides the weights."""
    return {
        **spec.model_dump(mode="json"),
        "stage": stage,
        "inputs": inputs,
        "resolved_precision": precision,
        "resolved_attention": attention,
        "torch": version("torch"),
    }


def environment(
    precision: Precision, attention: str, accelerator: Accelerator, execution: Execution
) -> dict[str, Any]:
    """How the run was carried out, for its record."""
    cpu = accelerator.device.type == "cpu"
    return {
        "precision": precision,
        "attention": attention,
        "device": accelerator.device.type,
        "processor": torch.backends.cpu.get_cpu_capability() if cpu else torch.cuda.get_device_name(),
        "threads": execution.threads,
        "processes": accelerator.num_processes,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def finish(
    working: Path,
    kind: str,
    spec: RunSpec,
    digests: Mapping[str, str],
    outcome: Progressed,
    record: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write `record.json` and `timing.json`, remove what only a resume needs, and write the manifest."""
    write_json(working / "record.json", record)
    write_json(working / "timing.json", outcome.timing(seconds))
    for name in ("checkpoints", "best"):
        shutil.rmtree(working / name, ignore_errors=True)
    write_manifest(
        working,
        kind,
        counts={"steps": outcome.step, "tokens": outcome.work.total.real_tokens},
        parameters=spec.model_dump(mode="json"),
        inputs=digests,
        unhashed=UNHASHED,
    )


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights, configuration and tokenizer, as the `Auto` classes read them."""
    model.save_pretrained(folder)
    names = ["input_ids", "attention_mask"]
    if reads_token_types(model.config):
        names.insert(1, "token_type_ids")
    tokenizer.model_input_names = names
    tokenizer.model_max_length = reach(model.config)
    tokenizer.save_pretrained(folder)
