"""Scales: parameters, corpus and training tokens (the paper's word, Section 4.1), with values per task as in Table B.1.

Place in the flow: config/scales/ → here → `tlm.plan.runs`. A scale's settings are partial and merged in this order:
scale, the scale's entry for the task, the variant (`tlm.config.variants`), `overrides` of config.yaml.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt, model_validator

from tlm.config.base import Strict
from tlm.config.grid import GridSpec
from tlm.config.training import TokenizerSpec
from tlm.config.variants import Swept, SweptValue

_PER_TASK = {
    "given",
    "released",
    "k",
    "corpus",
    "other_corpus",
    "model",
    "embedding_init",
    "stage1",
    "stage2",
}


class PlmSpec(Strict):
    """The pretrained baseline of a scale: the same model, trained once by MLM on passages of the whole corpus."""

    compute: float = Field(2.0, ge=1)
    """Its stage-1 budget as a multiple of the mean TLM run's budget at this scale."""
    adaptation: float = Field(0.1, gt=0)
    """Further MLM on the task's own text (Tables 8 and A.2), as a multiple of the task's TLM budget. The paper does not
    say how long it trained; a tenth of the small scale's 150,000 steps is near DAPT's 12,500."""


class ScaleSpec(Strict):
    """One file of config/scales/. `stage1`, `stage2` and `model` are partial: see `tlm.config.training`."""

    description: str
    corpus: str
    tasks: list[str] = Field(min_length=1)
    """The tasks of tables with `tasks: all`, and of averages over tasks."""
    more_tasks: list[str] = []
    """Tasks for tables that name them (GLUE, Table 10)."""
    seeds: list[int] | None = None
    """Overrides `seeds` of config.yaml."""
    threads: PositiveInt = 1
    """Threads of one training job. With 1 the bits do not depend on the number of cores, and jobs run side by side."""
    tokenizer: TokenizerSpec
    model: dict[str, Any]
    embedding_init: dict[str, Any] = {}
    k: PositiveInt
    """K of the top-K passages per query."""
    stage1: dict[str, Any]
    stage2: dict[str, Any]
    plm: PlmSpec = PlmSpec()
    baselines: list[str] = Field(["plm"], min_length=1)
    """Variants of pretrained baselines: `plm` is trained by this project, `bert-base` and others are checkpoints."""
    rival: str | None = None
    """The baseline that Section 4.2 compares this scale with; by default the first of `baselines`."""
    other_corpus: str | None = None
    """The second corpus of Table 3, ten times smaller or larger than `corpus`."""
    sweeps: dict[Swept, list[SweptValue]] = {}
    """Values of K, rho1 and rho2 for Tables 4 to 6, in place of the paper's (config/experiments.yaml)."""
    grid: GridSpec | None = None
    """The grid search over rho1 and rho2, in place of the paper's values (config/experiments.yaml)."""
    per_task: dict[str, dict[str, Any]] = {}
    """Per-task values of k, corpus, other_corpus, given (a selection of corpora.yaml), released
    (a classifier of the authors: keys of ReleasedSpec), model, stage1 and stage2, as the
    columns of Table B.1."""

    @model_validator(mode="after")
    def _known_tasks(self) -> ScaleSpec:
        if double := sorted(set(self.tasks) & set(self.more_tasks)):
            raise ValueError(f"{double[0]!r} is in both tasks and more_tasks")
        unknown = sorted(set(self.per_task) - set(self.all_tasks))
        if unknown:
            raise ValueError(
                f"per_task names {unknown}, which are not among this scale's tasks {self.all_tasks}"
            )
        if self.rival is not None and self.rival not in self.baselines:
            raise ValueError(f"rival {self.rival!r} is not among the baselines {self.baselines}")
        for task, changes in self.per_task.items():
            if wrong := sorted(set(changes) - _PER_TASK):
                raise ValueError(
                    f"per_task.{task}: unknown key {wrong[0]!r}; there are {', '.join(sorted(_PER_TASK))}"
                )
        return self

    @property
    def compared_with(self) -> str:
        """The baseline that Section 4.2 compares this scale with."""
        return self.rival or self.baselines[0]

    @property
    def all_tasks(self) -> list[str]:
        """Every task that can be run at this scale."""
        return [*self.tasks, *self.more_tasks]
