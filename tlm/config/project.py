"""The whole configuration, typed once: config.yaml, the data files, experiments.yaml and the chosen scale.

The Snakefile hands over its `config` dictionary (config.yaml after `--config` overrides); everything else in the
project reads parameters from the `Project` returned here and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict, load_yaml, parse
from tlm.config.data import DataConfig, load_data_config
from tlm.config.elasticsearch import ElasticsearchSpec, check_supported
from tlm.config.experiments import TableSpec
from tlm.config.figures import AttentionSpec, FigureSpec
from tlm.config.local import with_local_tasks
from tlm.config.retrieval import IndexSpec, QuerySpec
from tlm.config.scale import ScaleSpec
from tlm.config.training import Attention, Precision, Tracker
from tlm.config.variants import VariantSpec
from tlm.errors import TlmError


class RetrievalSettings(Strict):
    """How passages are indexed and training texts become queries; K belongs to scales and variants."""

    backend: Literal["embedded", "elasticsearch"] = "embedded"
    index: IndexSpec = IndexSpec()
    query: QuerySpec = QuerySpec()
    shares: PositiveInt = 1
    """Jobs among which the blocks of an index are shared out, to be built and searched. Changes no byte."""
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
    """What starts a training script; several processes: `accelerate launch --num_processes 4`. Reruns nothing."""
    trackers: list[Tracker] = []
    """Who follows training beside its own log. Reruns nothing."""
    selection_seed: int = 1
    """Seed of the selectors that draw at random (one selection serves all training seeds)."""
    retrieval: RetrievalSettings = RetrievalSettings()
    mirrors: dict[str, str] = {}
    """URL prefix → folder whose files stand in for the URLs; digests are checked all the same."""
    local_tasks: dict[str, str] = {}
    """Task → folder with its train, dev and test files, in place of its source (`tlm.config.local`)."""
    overrides: dict[str, Any] = {}
    """Merged over every run's k, model, stage1 and stage2, last: `--config 'overrides={"stage1": {"rho2": 100}}'`."""

    @field_validator("overrides", "local_tasks", mode="before")
    @classmethod
    def _retype(cls, value: Any) -> Any:
        """Snakemake's `--config` hands nested values over as text: `{"k": "10"}`."""
        if isinstance(value, dict):
            return {key: cls._retype(each) for key, each in value.items()}
        return yaml.safe_load(value) if isinstance(value, str) else value


class Experiments(Strict):
    """config/experiments.yaml."""

    variants: dict[str, VariantSpec]
    tables: dict[str, TableSpec]
    attention: AttentionSpec = AttentionSpec()
    figures: dict[str, FigureSpec] = {}


class Project(Strict):
    """Everything that config/ says, for one scale."""

    folder: Path
    settings: Settings
    scale: ScaleSpec
    data: DataConfig
    experiments: Experiments

    @property
    def seeds(self) -> list[int]:
        """Training seeds in force."""
        return self.scale.seeds or self.settings.seeds

    def variant(self, name: str) -> VariantSpec:
        """The variant of that name. Raises TlmError listing the known ones."""
        return _lookup(self.experiments.variants, name, "variant", "config/experiments.yaml: variants")

    def table(self, name: str) -> TableSpec:
        """The table of that name. Raises TlmError listing the known ones."""
        return _lookup(self.experiments.tables, name, "table", "config/experiments.yaml: tables")

    def figure(self, name: str) -> FigureSpec:
        """The figure of that name. Raises TlmError listing the known ones."""
        return _lookup(self.experiments.figures, name, "figure", "config/experiments.yaml: figures")


def _lookup(among: Mapping[str, Any], name: str, what: str, where: str) -> Any:
    if name not in among:
        raise TlmError(f"no {what} {name!r} in {where}; there are {', '.join(sorted(among))}")
    return among[name]


def load_project(config: Mapping[str, Any], folder: Path = Path("config")) -> Project:
    """Validate `config` (config.yaml with overrides) and everything that it names.

    Raises TlmError naming the file and the key of the first thing that is wrong.
    """
    settings = parse(Settings, dict(config), str(folder / "config.yaml"))
    scale_file = folder / "scales" / f"{settings.scale}.yaml"
    if not scale_file.is_file():
        known = ", ".join(sorted(path.stem for path in (folder / "scales").glob("*.yaml")))
        raise TlmError(f"no scale {settings.scale!r}: there is no {scale_file}; there are {known}")
    scale = parse(ScaleSpec, load_yaml(scale_file), str(scale_file))
    data = with_local_tasks(load_data_config(folder), settings.local_tasks)
    experiments = parse(Experiments, load_yaml(folder / "experiments.yaml"), str(folder / "experiments.yaml"))
    for task in scale.all_tasks:
        if task not in data.tasks:
            raise TlmError(f"{scale_file}: tasks: no task {task!r} in {folder / 'tasks.yaml'}")
    if scale.corpus not in data.corpora:
        raise TlmError(f"{scale_file}: corpus: no corpus {scale.corpus!r} in {folder / 'corpora.yaml'}")
    return Project(folder=folder, settings=settings, scale=scale, data=data, experiments=experiments)
