"""The setup that stage 1 and stage 2 share: process, tokenizer, precision, model, record.

Place in the flow: stage1 and stage2 prepare a `StageSetup`, build their plan and model from it, and finish with it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedTokenizerFast

from tlm.artifacts import Manifest, read_manifest, write_json, write_manifest
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.training.execution import Execution
from tlm.training.model import (
    TaskHead,
    TwoHeads,
    attention_for,
    build_mlm,
    check_lengths,
    load_mlm,
    load_pooler,
    new_classifier,
    parameter_counts,
)
from tlm.training.precision import Precision, resolve
from tlm.training.randomness import torch_seed
from tlm.training.stage_plan import StageProgress
from tlm.training.tokenizer import Vocabulary, load_tokenizer, vocabulary_of

UNHASHED = ("timing.json", "log.jsonl")  # both hold seconds, which differ between equal runs


@dataclass(frozen=True)
class StageSetup:
    """A stage that is ready to read its data. `input_digests` grows with every artifact that it reads."""

    name: str  # "stage 1" or "stage 2"
    spec: RunSpec
    execution: Execution
    accelerator: Accelerator
    tokenizer: PreTrainedTokenizerFast
    vocabulary: Vocabulary
    precision: Precision
    attention: str
    input_digests: dict[str, str]
    started: float

    @classmethod
    def prepare(
        cls, name: str, spec: RunSpec, tokenizer: Path, destination: Path, execution: Execution
    ) -> StageSetup:
        """Load the tokenizer and choose device, precision and attention. Raises TlmError if one is impossible."""
        started = time.perf_counter()
        # External steps of stage 1 do not use the classification head.
        accelerator = execution.accelerator(destination, idle_heads=name == "stage 1")
        device = accelerator.device.type
        loaded = load_tokenizer(tokenizer)
        precision = resolve(spec.precision, device)
        accelerator.print(f"{name}: {precision} on {device}, {execution.threads} threads")
        return cls(
            name=name,
            spec=spec,
            execution=execution,
            accelerator=accelerator,
            tokenizer=loaded,
            vocabulary=vocabulary_of(loaded),
            precision=precision,
            attention=attention_for(device, spec.attention, precision),
            input_digests={"tokenizer": read_manifest(tokenizer, "tokenizer").digest},
            started=started,
        )

    def read_tokens(self, role: str, directory: Path) -> Manifest:
        """The manifest of a `tokens` artifact. Raises TlmError if it was made with another tokenizer."""
        manifest = read_manifest(directory, "tokens")
        if manifest.inputs.get("tokenizer") != self.input_digests["tokenizer"]:
            raise TlmError(f"{directory}: was made with another tokenizer than this run's; build it again")
        self.input_digests[role] = manifest.digest
        return manifest

    def build_model(
        self,
        start: Path | None,
        head: TaskHead | None,
        lengths: Sequence[int],
        *,
        with_mlm: bool,
        label_smoothing: float = 0.0,
    ) -> TwoHeads:
        """The model: its encoder comes from the `stage1` artifact `start`, or is the one that the spec describes.

        Raises TlmError if a length exceeds the model's, or if a Hub checkpoint cannot be used.
        """
        spec = self.spec
        if start is not None:
            mlm = load_mlm(start / "mlm", attention=self.attention)
        else:
            seed = torch_seed(spec.seed, "weights")
            mlm = build_mlm(spec.model, self.vocabulary, attention=self.attention, seed=seed)
        check_lengths(mlm.config, lengths)
        classifier = None
        if head is not None:
            classifier = new_classifier(mlm, head, seed=torch_seed(spec.seed, f"{self.name} head"))
            if start is None and spec.model.pooler == "pretrained":
                load_pooler(classifier, spec.model)
        return TwoHeads(
            mlm if with_mlm else None,
            classifier,
            bf16=self.precision == "bf16",
            label_smoothing=label_smoothing,
            native=spec.attention != "auto",
        )

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides the weights; it must be equal for a run to continue from a checkpoint.

        A limit of time is left out, because it may be set or changed while a run is interrupted.
        """
        settings = self.spec.model_dump(mode="json")
        settings["stage1"]["budget"].pop("seconds", None)
        return {
            **settings,
            "stage": self.name,
            "inputs": self.input_digests,
            "resolved_precision": self.precision,
            "resolved_attention": self.attention,
            "torch": version("torch"),
        }

    def finish(
        self, working: Path, model: TwoHeads, outcome: StageProgress, record: Mapping[str, Any]
    ) -> None:
        """Write `record.json`, `timing.json` and the manifest; remove the files that only a resumed run needs."""
        content = {
            "work": outcome.work.as_dict(),
            "parameters": parameter_counts(model),
            **record,
            **({"cuts": outcome.cuts} if outcome.cuts else {}),
            "environment": self._environment(),
        }
        write_json(working / "record.json", content)
        write_json(working / "timing.json", outcome.timing(time.perf_counter() - self.started))
        for name in ("checkpoints", "best"):
            shutil.rmtree(working / name, ignore_errors=True)
        write_manifest(
            working,
            self.name.replace(" ", ""),
            counts={"steps": outcome.step, "tokens": outcome.work.total.real_tokens},
            parameters=self.spec.model_dump(mode="json"),
            inputs=self.input_digests,
            unhashed=UNHASHED,
        )

    def _environment(self) -> dict[str, Any]:
        cpu = self.accelerator.device.type == "cpu"
        return {
            "precision": self.precision,
            "attention": self.attention,
            "device": self.accelerator.device.type,
            "processor": torch.backends.cpu.get_cpu_capability() if cpu else torch.cuda.get_device_name(),
            "threads": self.execution.threads,
            "processes": self.accelerator.num_processes,
            "torch": version("torch"),
            "transformers": version("transformers"),
        }
