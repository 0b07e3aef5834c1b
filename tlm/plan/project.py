"""The whole configuration, seen from one scale: config.yaml, the data files, experiments.yaml and every scale.

Place in the flow: the Snakefile passes its `config` dictionary (config.yaml with `--config` overrides) to
`load_project`; everything else reads parameters from the `Project`. All scales are read: a retrieval serves every scale
that uses the corpus, and a table that this scale lacks names the scales that have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tlm.config.base import Strict, load_yaml, parse
from tlm.config.data import CorpusSpec, DataConfig, GivenSpec, TaskSpec, load_data_config
from tlm.config.experiments import TableSpec
from tlm.config.figures import FigureSpec
from tlm.config.grid import GridSpec
from tlm.config.own import OwnSpec
from tlm.config.params import FILE, read_params
from tlm.config.scale import ScaleSpec
from tlm.config.settings import Experiments, Settings
from tlm.config.variants import Swept, SweptValue, VariantSpec
from tlm.errors import TlmError
from tlm.plan.local_data import with_local_corpora, with_local_tasks
from tlm.plan.own_tasks import own_data, own_scale, own_variants, read_own
from tlm.plan.sweeps import grid_variants, swept


class Project(Strict):
    """All of config/, seen from one scale. Compared by identity, so that results can be cached."""

    folder: Path
    settings: Settings
    scale: ScaleSpec
    scales: dict[str, ScaleSpec]
    """All that config/scales/ holds."""
    own: dict[str, OwnSpec]
    """Own tasks: the files of config/own/. Each is a task, a corpus and a scale of its name."""
    own_scales: dict[str, ScaleSpec]
    data: DataConfig
    experiments: Experiments

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def seeds(self) -> list[int]:
        """Training seeds in force."""
        return self.scale.seeds or self.settings.training_seeds

    def seeds_of(self, variant: str) -> list[int]:
        """The seeds of a variant's runs: all, or only the first if all runs would be the same."""
        spec = self.variant(variant)
        same = (
            not spec.trains_encoder
            or spec.method == "released"
            or (spec.stage2 is None and self.settings.one_stage1)
        )
        return self.seeds[:1] if same else self.seeds

    def stage1_seed(self, seed: int) -> int:
        """The seed of the stage 1 that a run with this seed starts from."""
        return self.seeds[0] if self.settings.one_stage1 else seed

    @property
    def reference(self) -> str:
        """The variant that is the scale's TLM run: the first of method `tlm` in config/experiments.yaml."""
        return next(name for name, spec in self.experiments.variants.items() if spec.method == "tlm")

    @property
    def built(self) -> list[str]:
        """The scales of which runs are built: the chosen one, and those that Table 2 sets beside it."""
        return list(dict.fromkeys([self.settings.scale, *self.settings.beside]))

    @property
    def runnable(self) -> list[str]:
        """Every scale whose runs are valid targets: the built ones, and one for each own task."""
        return [*self.built, *self.own]

    def at(self, scale: str) -> Project:
        """The same project seen from another scale, one object a scale. Raises TlmError listing the known ones."""
        return self if scale == self.settings.scale else _seen_from(self, scale)

    @cached_property
    def variants(self) -> dict[str, VariantSpec]:
        """Every variant of this scale: those declared, then those of its sweeps, in the order of the file."""
        if self.settings.scale in self.own:
            return own_variants(self.experiments.variants, self.own[self.settings.scale])
        found = dict(self.experiments.variants)
        for name, sweep in self.experiments.sweeps.items():
            try:
                rows = swept(name, sweep, self.swept_values(name))
            except ValueError as error:
                raise TlmError(f"{self.folder / 'scales' / self.settings.scale}.yaml: {error}") from None
            found.update({key: spec for key, spec in rows.items() if key not in found})
        return found

    def swept_values(self, name: Swept) -> list[SweptValue]:
        """The values of a sweep: the scale's own, or the paper's."""
        return self.scale.sweeps.get(name) or self.experiments.sweeps[name].values

    @property
    def grid(self) -> GridSpec:
        """The grid search over rho1 and rho2 of this scale."""
        return self.scale.grid or self.experiments.grid

    @cached_property
    def _grid_variants(self) -> dict[str, VariantSpec]:
        return grid_variants(self.grid)

    def variant(self, name: str) -> VariantSpec:
        """The variant of that name, or a point of the grid search. Raises TlmError listing the known variants."""
        if name in self._grid_variants and name not in self.variants:
            return self._grid_variants[name]
        return _lookup(self.variants, name, "variant", "config/experiments.yaml: variants")

    def task(self, name: str) -> TaskSpec:
        """The task of that name. Raises TlmError listing the known ones."""
        return _lookup(self.data.tasks, name, "task", "config/tasks.yaml")

    def corpus(self, name: str) -> CorpusSpec:
        """The corpus of that name. Raises TlmError listing the known ones."""
        return _lookup(self.data.corpora, name, "corpus", "config/corpora.yaml")

    def given(self, name: str) -> GivenSpec:
        """The given selection of that name. Raises TlmError listing the known ones."""
        return _lookup(self.data.selections, name, "selection", "config/corpora.yaml: selections")

    def table(self, name: str) -> TableSpec:
        """The table of that name. Raises TlmError listing the known ones."""
        return _lookup(self.experiments.tables, name, "table", "config/experiments.yaml: tables")

    def figure(self, name: str) -> FigureSpec:
        """The figure of that name. Raises TlmError listing the known ones."""
        return _lookup(self.experiments.figures, name, "figure", "config/experiments.yaml: figures")


@lru_cache(maxsize=256)
def _seen_from(project: Project, scale: str) -> Project:
    known = {**project.scales, **project.own_scales}
    spec = _lookup(known, scale, "scale", str(project.folder / "scales"))
    settings = project.settings.model_copy(update={"scale": scale, "beside": []})
    return Project(
        folder=project.folder,
        settings=settings,
        scale=spec,
        scales=project.scales,
        own=project.own,
        own_scales=project.own_scales,
        data=project.data,
        experiments=project.experiments,
    )


def _lookup(among: Mapping[str, Any], name: str, kind: str, where: str) -> Any:
    if name not in among:
        raise TlmError(f"no {kind} {name!r} in {where}; there are {', '.join(sorted(among))}")
    return among[name]


def load_project(
    config: Mapping[str, Any], folder: Path = Path("config"), own: Mapping[str, OwnSpec] | None = None
) -> Project:
    """Validate `config` (config.yaml with overrides) and everything that it names; `own` are declared beside its files.

    Raises TlmError naming the file and the key of the first thing that is wrong.
    """
    settings = parse(Settings, dict(config), str(folder / "config.yaml"))
    overrides = _with_params(settings.overrides, folder.parent)
    settings = settings.model_copy(update={"overrides": overrides})
    files = {path.stem: path for path in sorted((folder / "scales").glob("*.yaml"))}
    for name in (settings.scale, *settings.beside):
        if name not in files:
            wanted = folder / "scales" / f"{name}.yaml"
            raise TlmError(f"no scale {name!r}: there is no {wanted}; there are {', '.join(files)}")
    data = with_local_tasks(load_data_config(folder), settings.local_tasks)
    data = with_local_corpora(data, settings.local_corpora)
    experiments = parse(Experiments, load_yaml(folder / "experiments.yaml"), str(folder / "experiments.yaml"))
    scales = {name: _scale(path, data, experiments) for name, path in files.items()}
    declared = read_own(folder, data, scales, own or {})
    data = own_data(data, declared)
    return Project(
        folder=folder,
        settings=settings,
        scale=scales[settings.scale],
        scales=scales,
        own=declared,
        own_scales={name: own_scale(name, spec, scales) for name, spec in declared.items()},
        data=data,
        experiments=experiments,
    )


def _with_params(overrides: dict[str, Any], root: Path) -> dict[str, Any]:
    """`overrides` with the values of params.yaml in `root`. Raises TlmError if both set the same key."""
    values = read_params(root)
    stage1 = overrides.get("stage1") or {}
    if twice := sorted(set(values) & set(stage1)):
        raise TlmError(f"{FILE}: {twice[0]} is set in `overrides` too; remove one of them")
    return {**overrides, "stage1": {**stage1, **values}} if values else overrides


def _scale(file: Path, data: DataConfig, experiments: Experiments) -> ScaleSpec:
    """One scale, with every name that it uses looked up."""
    scale = parse(ScaleSpec, load_yaml(file), str(file))
    for task in scale.all_tasks:
        if task not in data.tasks:
            raise TlmError(f"{file}: tasks: no task {task!r} in {file.parents[1] / 'tasks.yaml'}")
    for given in (each.get("given") for each in scale.per_task.values()):
        if given is not None and given not in data.selections:
            raise TlmError(f"{file}: given: no selection {given!r} in {file.parents[1] / 'corpora.yaml'}")
    named = [each.get(key) for each in scale.per_task.values() for key in ("corpus", "other_corpus")]
    for corpus in (scale.corpus, scale.other_corpus, *named):
        if corpus is not None and corpus not in data.corpora:
            raise TlmError(f"{file}: corpus: no corpus {corpus!r} in {file.parents[1] / 'corpora.yaml'}")
    for name in scale.baselines:
        if name not in experiments.variants:
            raise TlmError(
                f"{file}: baselines: no variant {name!r} in {file.parents[1] / 'experiments.yaml'}"
            )
    return scale
