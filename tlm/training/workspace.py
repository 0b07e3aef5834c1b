"""The folder that a stage works in, and how a trained model is saved.

Place in the flow: used by stage1 and stage2. It is a hidden folder beside the destination, which survives a crash
together with its checkpoints. When the stage is complete, it is renamed to the destination.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from tlm.artifacts import partial_path, staged_directory
from tlm.training.execution import start_trackers, stop_trackers
from tlm.training.model_families import reach, reads_token_types


@contextmanager
def workspace(destination: Path, accelerator: Accelerator, settings: dict[str, Any]) -> Iterator[Path]:
    """The folder that a stage works in; the main process moves it to `destination` at the end.

    Starts the run's trackers with its `settings`, and stops them at the end.
    """
    logging.disable_progress_bar()
    start_trackers(accelerator, destination, settings)
    if accelerator.is_main_process:
        with staged_directory(destination, resume=True) as working:
            accelerator.wait_for_everyone()
            yield working
            accelerator.wait_for_everyone()  # nothing is published before every process has finished
    else:
        accelerator.wait_for_everyone()
        yield partial_path(destination)
        accelerator.wait_for_everyone()
    stop_trackers(accelerator)
    accelerator.wait_for_everyone()


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save weights, configuration and tokenizer so that the `Auto` classes load them."""
    model.save_pretrained(folder)
    names = ["input_ids", "attention_mask"]
    if reads_token_types(model.config):
        names.insert(1, "token_type_ids")
    tokenizer.model_input_names = names
    tokenizer.model_max_length = reach(model.config)
    tokenizer.save_pretrained(folder)
