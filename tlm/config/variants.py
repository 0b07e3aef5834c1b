"""Variants: what a row of a table changes in a scale's TLM run; sweeps: rows that differ in one number.

Place in the flow: `variants:` and `sweeps:` of config/experiments.yaml → here → `tlm.plan.runs`, which merges scale,
the scale's entry for the task, the variant and `overrides` in this order. Sections 4.2 and 4.3.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from tlm.config.base import Strict
from tlm.config.linear import LINEAR
from tlm.config.retrieval import SELECTORS

TASK_ONLY = "task-only"
EXT_ONLY = "ext-only"
Exclude = Literal["contaminated"]
Swept = Literal["k", "rho1", "rho2"]
SweptValue = int | Literal["task-only", "ext-only"]


def _selector_names() -> list[str]:
    """The selectors that select by K, and task-only: no passages at all."""
    return [*(name for name, spec in SELECTORS.items() if spec.size == "k"), TASK_ONLY]


def _known_selector(name: str) -> str:
    if name not in _selector_names():
        raise ValueError(f"must be one of {', '.join(_selector_names())}, got {name!r}")
    return name


SelectorName = Annotated[
    str,
    AfterValidator(_known_selector),
    Field(json_schema_extra=lambda schema: schema.update(enum=_selector_names())),
]


class ReleasedSpec(Strict):
    """A classifier that the paper's authors released for a task at a scale (docs/released.md)."""

    pretrained: str
    """A name on the Hub or a local folder."""
    revision: str | None = None
    """Commit of the Hub's repository."""
    rows: str
    """The source with the authors' rows of the task, whose numbered labels name the classes."""


class VariantSpec(Strict):
    """The runs of a row. `model`, `embedding_init`, `stage1` and `stage2` hold only keys that differ from the scale."""

    description: str
    label: str | None = None
    """Label of its rows unless the table sets one; by default the variant's name."""
    method: Literal["tlm", "plm", "checkpoint", "released", "adapted", "tfidf", "ngram-svm"] = "tlm"
    """tlm: two stages. plm: pretrained once on the whole corpus, then stage 2. checkpoint: stage 2 from the model in
    `model.pretrained`. released: a classifier of the paper's authors, evaluated without training. adapted: stage 1 on
    the task's data from the scale's first baseline, then stage 2. tfidf, ngram-svm: a linear model on n-grams instead
    of an encoder."""
    selector: SelectorName = "bm25"
    exclude: Exclude | None = None
    """contaminated: passages that share text with the task's dev or test rows are left out of the selection."""
    corpus: Literal["own", "other"] = "own"
    """other: the scale's `other_corpus`."""
    k: PositiveInt | None = None
    compute: float | None = Field(None, ge=1)
    """plm only: the stage-1 budget as a multiple of the mean TLM run's, in place of the scale's `plm.compute`."""
    given: str | None = None
    """selector given: the selection's name in config/corpora.yaml, if not the one of the scale's entry for the task."""
    model: dict[str, Any] = {}
    embedding_init: dict[str, Any] = {}
    stage1: dict[str, Any] = {}
    stage2: dict[str, Any] | None = {}
    """`null`: no stage 2."""
    per_task: dict[str, dict[str, Any]] = {}
    """Per-task values of given, released, k, model, stage1 and stage2."""
    pinned: dict[str, Any] = {}
    """Settings that the row's label names; they take precedence over everything, also over `overrides`."""

    @property
    def trains_encoder(self) -> bool:
        """False for linear models, which are also deterministic: one seed is enough."""
        return self.method not in LINEAR

    @model_validator(mode="after")
    def _consistent(self) -> VariantSpec:
        if self.selector == "task-only" and self.stage1.get("rho1", 0) != 0:
            raise ValueError("selector 'task-only' has no external data: rho1 must be 0")
        if self.exclude and (self.method not in ("tlm", "plm") or self.selector == "task-only"):
            raise ValueError(
                "exclude is for variants that read passages: of method tlm or plm, not task-only"
            )
        if self.compute is not None and self.method != "plm":
            raise ValueError("compute is for variants of method plm")
        if self.selector != "given" and (
            self.given or any("given" in each for each in self.per_task.values())
        ):
            raise ValueError("given names the selection of selector 'given': set the selector")
        named = [self.model, *(each.get("model", {}) for each in self.per_task.values())]
        if self.method == "checkpoint" and not any("pretrained" in each for each in named):
            raise ValueError("method 'checkpoint' needs model.pretrained: the checkpoint's name or folder")
        return self


class SweepSpec(Strict):
    """Rows that differ in one number. A scale can set other values (`sweeps:` in its file)."""

    description: str
    values: list[SweptValue] = Field(min_length=1)
    """The paper's values."""
    stage1: dict[str, Any] = {}
    """Further settings that all rows share."""
    per_task: dict[str, dict[str, Any]] = {}
