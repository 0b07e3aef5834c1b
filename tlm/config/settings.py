"""config/config.yaml and config/experiments.yaml, as typed models.

Place in the flow: `tlm.plan.project` reads both files, with the data and the scales, into one `Project`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import Discriminator, Field, PositiveInt, Tag, field_validator, model_validator

from tlm.config.base import Strict
from tlm.config.claims import ClaimSpec
from tlm.config.elasticsearch import ElasticsearchSpec, check_supported
from tlm.config.experiments import ContaminationSpec, ExamplesSpec, TableSpec
from tlm.config.figures import AttentionSpec, FigureSpec
from tlm.config.grid import GridSpec
from tlm.config.retrieval import IndexSpec, QuerySpec
from tlm.config.training import Attention, Precision, Tracker
from tlm.config.variants import Exclude, SweepSpec, Swept, VariantSpec


class RetrievalSettings(Strict):
    """How passages are indexed and training texts become queries. K is set by scales and variants."""

    backend: Literal["embedded", "elasticsearch"] = "embedded"
    index: IndexSpec = IndexSpec()
    query: QuerySpec = QuerySpec()
    shares: PositiveInt = 1
    """Jobs that build and search an index together. The result does not depend on their number."""
    elasticsearch: ElasticsearchSpec = ElasticsearchSpec()

    @model_validator(mode="after")
    def _possible(self) -> RetrievalSettings:
        if self.backend == "elasticsearch":
            check_supported(self.index)
            if self.shares > 1:
                raise ValueError(
                    "shares belong to the embedded engine; with backend elasticsearch set shares to 1, and"
                    " elasticsearch.shards to spread an index over a cluster"
                )
        return self


class Seeds(Strict):
    """Seeds of the two stages. The authors' scripts train stage 1 with its default seed, and stage 2 with `--seed`."""

    stage1: Literal["each", "one"] = "each"
    """one: stage 1 is trained with the first seed alone and serves all; a third of the cost with three seeds. A variant
    without stage 2 then has one seed."""
    stage2: list[int] = Field([1, 2, 3], min_length=1)
    """The training seeds."""


class Settings(Strict):
    """config/config.yaml."""

    scale: str
    seeds: Annotated[
        Annotated[list[int], Field(min_length=1), Tag("numbers")] | Annotated[Seeds, Tag("stages")],
        Discriminator(lambda value: "stages" if isinstance(value, (dict, Seeds)) else "numbers"),
    ]
    precision: Precision = "auto"
    attention: Attention = "auto"
    """auto: our own kernels on CPU, SDPA on a GPU; see docs/training.md."""
    compile: bool = False
    launch: str = "python"
    """Command that starts a training script; 4 processes: `accelerate launch --num_processes 4`. Causes no reruns."""
    trackers: list[Tracker] = []
    """Trackers of training, beside its own log. Causes no reruns."""
    selection_seed: int = 1
    """Seed of the selectors that draw at random (one selection serves all training seeds)."""
    retrieval: RetrievalSettings = RetrievalSettings()
    mirrors: dict[str, str] = {}
    """URL prefix → folder with the same files; digests are checked too."""
    local_tasks: dict[str, str] = {}
    """Task → folder with its train, dev and test files, in place of its source (`tlm.plan.local_data`)."""
    local_corpora: dict[str, str] = {}
    """Corpus → file, folder or glob with its text, in place of its sources: `{general: my-corpus/*.jsonl.zst}`."""
    exclude: Exclude | None = None
    """contaminated: no run reads passages that share text with its dev or test rows (docs/contamination.md)."""
    beside: list[str] = []
    """Further scales whose TLM runs are rows of Table 2: `--config scale=medium 'beside=["small","large"]'`."""
    overrides: dict[str, Any] = {}
    """k, model, stage1 and stage2 of every run, merged last: `--config 'overrides={"stage1": {"rho2": 100}}'`."""
    versioned: list[str] = ["results/table2.csv"]
    """Results that DVC versions, with all their inputs (`scripts/dvc_yaml.py`). Causes no reruns."""

    @property
    def training_seeds(self) -> list[int]:
        """The seeds, unless the scale has its own."""
        return self.seeds.stage2 if isinstance(self.seeds, Seeds) else self.seeds

    @property
    def one_stage1(self) -> bool:
        """Whether one stage 1 serves all seeds."""
        return isinstance(self.seeds, Seeds) and self.seeds.stage1 == "one"

    @field_validator("beside", "seeds", "overrides", "local_tasks", "local_corpora", mode="before")
    @classmethod
    def _retype(cls, value: Any) -> Any:
        """Snakemake's `--config` passes nested values as text: `{"k": "10"}`."""
        if isinstance(value, dict):
            return {key: cls._retype(each) for key, each in value.items()}
        return yaml.safe_load(value) if isinstance(value, str) else value


class Experiments(Strict):
    """config/experiments.yaml."""

    variants: dict[str, VariantSpec]
    sweeps: dict[Swept, SweepSpec] = {}
    grid: GridSpec = GridSpec()
    """The grid search over rho1 and rho2: results/grid.csv and results/grid/<task>.csv."""
    tables: dict[str, TableSpec]
    checkpoint_costs: str | None = None
    """The table of config/reported.yaml with the FLOPs of pretraining each checkpoint; rows are named like variants."""
    examples: dict[str, ExamplesSpec] = {}
    """Tables that show texts instead of numbers (Table 9)."""
    contamination: ContaminationSpec = ContaminationSpec()
    """The audits in results/contamination.csv (docs/contamination.md)."""
    attention: AttentionSpec = AttentionSpec()
    figures: dict[str, FigureSpec] = {}
    claims: dict[str, ClaimSpec] = {}
    """The paper's claims, and ours: results/claims.csv."""
