"""Scales and variants: the two axes that decide how a run is trained.

A *scale* (the paper's word, Section 4.1) fixes parameters, corpus and training tokens, with values per task as in
Table B.1. A *variant* is what an ablation changes. Both are partial settings that are merged in this order and
validated as a whole: scale, the scale's entry for the task, the variant, `overrides` of config.yaml.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from tlm.config.base import Strict
from tlm.config.training import TokenizerSpec


class PlmSpec(Strict):
    """The pretrained rival of a scale: the same model, MLM on passages of the whole corpus, trained once."""

    compute: float = Field(2.0, ge=1)
    """Its stage-1 budget as a multiple of the mean TLM run's budget at this scale."""


class ScaleSpec(Strict):
    """One file of config/scales/. `stage1`, `stage2` and `model` are partial: see `tlm.config.training`."""

    description: str
    corpus: str
    tasks: list[str] = Field(min_length=1)
    seeds: list[int] | None = None
    """Overrides `seeds` of config.yaml where a scale cannot afford as many, or can afford more."""
    threads: PositiveInt = 1
    """Threads of one training job. One gives the same bits whatever the machine, and jobs run side by side."""
    tokenizer: TokenizerSpec
    model: dict[str, Any]
    embedding_init: dict[str, Any] = {}
    k: PositiveInt
    """K of the top-K passages per query."""
    stage1: dict[str, Any]
    stage2: dict[str, Any]
    plm: PlmSpec = PlmSpec()
    per_task: dict[str, dict[str, Any]] = {}
    """Per-task values of k, stage1, stage2 and model, as the columns of Table B.1."""

    @model_validator(mode="after")
    def _known_tasks(self) -> ScaleSpec:
        unknown = sorted(set(self.per_task) - set(self.tasks))
        if unknown:
            raise ValueError(f"per_task names {unknown}, which are not among this scale's tasks {self.tasks}")
        return self


class VariantSpec(Strict):
    """One row of an ablation, as a change of the scale's TLM run."""

    description: str
    method: Literal["tlm", "plm", "tfidf"] = "tlm"
    """tlm: two-stage training; plm: pretrained once on the whole corpus, then stage 2; tfidf: no neural model."""
    selector: Literal["bm25", "random", "dsir", "task-only"] = "bm25"
    k: PositiveInt | None = None
    model: dict[str, Any] = {}
    embedding_init: dict[str, Any] = {}
    stage1: dict[str, Any] = {}
    stage2: dict[str, Any] | None = {}
    """`null` leaves stage 2 out."""

    @model_validator(mode="after")
    def _consistent(self) -> VariantSpec:
        if self.selector == "task-only" and self.stage1.get("rho1", 0) != 0:
            raise ValueError("selector 'task-only' has no external data: rho1 must be 0")
        return self
