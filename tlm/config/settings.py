"""config/config.yaml and config/experiments.yaml, as typed models.

Place in the flow: `tlm.plan.project` reads both files, with the data and the scales, into one `Project`.
"""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict
from tlm.config.claims import ClaimSpec
from tlm.config.elasticsearch import ElasticsearchSpec, check_supported
from tlm.config.experiments import ContaminationSpec, ExamplesSpec, TableSpec
from tlm.config.figures import AttentionSpec, FigureSpec
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


class Settings(Strict):
    """config/config.yaml."""

    scale: str
    seeds: list[int] = Field(min_length=1)
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

    @field_validator("beside", "overrides", "local_tasks", "local_corpora", mode="before")
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
