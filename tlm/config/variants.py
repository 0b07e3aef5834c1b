"""Variants: what a row of a table changes in a scale's TLM run; sweeps: rows that differ in one number.

Place in the flow: `variants:` and `sweeps:` of config/experiments.yaml → here → `tlm.plan.runs`, which merges scale,
the scale's entry for the task, the variant and `overrides` in this order. Sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from tlm.config.base import Strict
from tlm.config.training import INFINITE

TASK_ONLY = "task-only"
EXT_ONLY = "ext-only"
Exclude = Literal["contaminated"]
Swept = Literal["k", "rho1", "rho2"]
SweptValue = int | Literal["task-only", "ext-only"]


class VariantSpec(Strict):
    """What is run for a row. The mappings are partial settings, as in a scale."""

    description: str
    label: str | None = None
    """What its rows are called where the table does not say; the name if left out."""
    method: Literal["tlm", "plm", "checkpoint", "adapted", "tfidf"] = "tlm"
    """tlm: two stages. plm: pretrained once on the whole corpus, then stage 2. checkpoint: stage 2 from the model that
    `model.pretrained` names. adapted: the scale's first baseline goes on with stage 1 on the task's data, then stage 2.
    tfidf: no neural model."""
    selector: Literal["bm25", "random", "dsir", "task-only"] = "bm25"
    exclude: Exclude | None = None
    """contaminated: passages that share text with the task's dev or test rows are left out of the selection."""
    corpus: Literal["own", "other"] = "own"
    """other: the scale's `other_corpus`."""
    k: PositiveInt | None = None
    model: dict[str, Any] = {}
    embedding_init: dict[str, Any] = {}
    stage1: dict[str, Any] = {}
    stage2: dict[str, Any] | None = {}
    """`null` leaves stage 2 out."""
    per_task: dict[str, dict[str, Any]] = {}
    """Per-task values of k, model, stage1 and stage2."""
    pinned: dict[str, Any] = {}
    """What the row is about: laid over everything, `overrides` included, so that its label stays true."""

    @model_validator(mode="after")
    def _consistent(self) -> VariantSpec:
        if self.selector == "task-only" and self.stage1.get("rho1", 0) != 0:
            raise ValueError("selector 'task-only' has no external data: rho1 must be 0")
        if self.exclude and (self.method not in ("tlm", "plm") or self.selector == "task-only"):
            raise ValueError(
                "exclude is for variants that read passages: of method tlm or plm, not task-only"
            )
        if self.method == "checkpoint" and "pretrained" not in self.model:
            raise ValueError("method 'checkpoint' needs model.pretrained: the checkpoint's name or folder")
        return self


class SweepSpec(Strict):
    """Rows that differ in one number. A scale may give values of its own (`sweeps:` in its file)."""

    description: str
    values: list[SweptValue] = Field(min_length=1)
    """The paper's."""
    stage1: dict[str, Any] = {}
    """What the rows hold fixed beside it."""
    per_task: dict[str, dict[str, Any]] = {}


def swept(name: Swept, spec: SweepSpec, values: Sequence[SweptValue]) -> dict[str, VariantSpec]:
    """Variant name → variant, for each of `values`; the names are those of the paper's rows in reported.yaml.

    Raises ValueError for a word that this sweep does not know.
    """
    return dict(_point(name, spec, value) for value in values)


def _point(name: Swept, spec: SweepSpec, value: SweptValue) -> tuple[str, VariantSpec]:
    if isinstance(value, str) and (name, value) not in (("k", TASK_ONLY), ("rho1", EXT_ONLY)):
        raise ValueError(f"sweeps.{name}: {value!r} is no value of {name}")
    common: dict[str, Any] = {"stage1": spec.stage1, "per_task": spec.per_task}
    if value == TASK_ONLY:
        about: dict[str, Any] = {"stage1": {"rho1": 0}}
        return TASK_ONLY, VariantSpec(
            description="stage 1 on the task's data alone",
            label="Only task data",
            selector="task-only",
            pinned=about,
            **common,
        )
    if value == EXT_ONLY:
        about = {"stage1": {"rho1": INFINITE}}
        return EXT_ONLY, VariantSpec(
            description="stage 1 on external data alone", label="Ext only", pinned=about, **common
        )
    if name == "k":
        return f"k{value}", VariantSpec(
            description=f"top-{value} passages per query", label=f"Top-{value}", pinned={"k": value}, **common
        )
    about = {"stage1": {name: value}}
    label = f"{name} = {value}"
    return f"{name}-{value}", VariantSpec(description=label, label=label, pinned=about, **common)
