"""From names to runs: what `scale / task / variant / seed` means, and where its artifacts live.

The only place that merges scale, task and variant, and the only place that knows paths. The Snakefile's input
functions call it, through `tlm.workflow`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.config.base import parse
from tlm.config.experiments import CellSpec, cell_specs
from tlm.config.project import Project
from tlm.config.retrieval import RetrievalSpec
from tlm.config.selections import SHARED, Selection
from tlm.config.training import INFINITE, EmbeddingInitSpec, RunSpec
from tlm.errors import TlmError

_MERGED = ("model", "embedding_init", "stage1", "stage2")


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, mappings merged key by key.

    A `budget` is replaced whole: a scale that counts tokens may be changed into one that counts steps.
    """
    merged = dict(base)
    for key, value in change.items():
        whole = key == "budget" or not isinstance(value, Mapping) or not isinstance(merged.get(key), Mapping)
        merged[key] = value if whole else merge(merged[key], value)
    return merged


@dataclass(frozen=True)
class Run:
    """One `scale / task / variant / seed`, resolved."""

    scale: str
    task: str
    variant: str
    seed: int
    method: str
    corpus: str
    tokenizer: str
    selection: Selection | None
    spec: RunSpec | None  # None for tfidf, which trains no encoder
    pretraining: Run | None = None  # the shared stage 1 of a PLM

    @property
    def folder(self) -> str:
        """`runs/<scale>/<task>/<variant>/seed<seed>`."""
        return f"runs/{self.scale}/{self.task}/{self.variant}/seed{self.seed}"

    @property
    def stage1(self) -> str:
        """Folder of the stage-1 model that this run starts stage 2 from."""
        return f"{(self.pretraining or self).folder}/stage1"

    @property
    def model(self) -> str:
        """Folder of the model that is evaluated."""
        assert self.spec is not None
        return f"{self.folder}/stage2" if self.spec.stage2 else self.stage1

    @property
    def evaluation(self) -> str:
        """Folder of metrics, predictions and FLOPs."""
        return f"{self.folder}/evaluation"

    @property
    def internal_tokens(self) -> str:
        """Folder of the task's tokens."""
        return f"data/tokens/{self.tokenizer}/internal/{self.task}"

    @property
    def external_tokens(self) -> str | None:
        """Folder of the selection's tokens; None without external data."""
        if self.selection is None:
            return None
        selection = self.selection
        return f"data/tokens/{self.tokenizer}/external/{self.corpus}/{selection.owner}/{selection.name}"


def resolve(project: Project, task: str, variant: str, seed: int) -> Run:
    """What the run `task / variant / seed` of the project's scale is made of.

    Raises TlmError naming the scale, task and variant whose merged settings are not valid.
    """
    change = project.variant(variant)
    base = _merged(project, task, variant)
    common: dict[str, Any] = {
        "scale": project.settings.scale,
        "task": task,
        "variant": variant,
        "seed": seed,
        "method": change.method,
        "corpus": project.scale.corpus,
        "tokenizer": tokenizer_name(project),
    }
    if change.method == "tfidf":
        return Run(**common, selection=None, spec=None)
    where = f"scale {project.settings.scale}, task {task}, variant {variant}"
    values = {key: base[key] for key in _MERGED if base.get(key) is not None}
    spec = parse(RunSpec, {"seed": seed, **_execution(project), **values}, where)
    if spec.stage2 is None and change.method == "plm":
        raise TlmError(f"{where}: a PLM needs stage 2, its stage 1 has seen no labels")
    if change.method == "plm":
        pretraining = resolve_pretraining(project, variant)
        assert pretraining.spec is not None
        # The stage 1 that it had: nothing of the task's own stage 1 reaches a PLM.
        spec = spec.model_copy(update={"stage1": pretraining.spec.stage1})
        return Run(**common, selection=None, spec=spec, pretraining=pretraining)
    k = base["k"]
    selection = {
        "bm25": Selection("bm25", k, project.scale.corpus, task),
        "random": Selection("random", k, project.scale.corpus, task),
        "dsir": Selection("dsir", k, project.scale.corpus, task),
        "task-only": None,
    }[change.selector]
    if selection is None and spec.stage1.rho1 != 0:
        raise TlmError(f"{where}: no external data, but rho1 is {spec.stage1.rho1}; set stage1.rho1 to 0")
    if selection is not None and spec.stage1.rho1 == 0:
        raise TlmError(f"{where}: rho1 is 0, which reads no external data; use selector task-only")
    return Run(**common, selection=selection, spec=spec)


def _execution(project: Project) -> dict[str, Any]:
    """What config.yaml says of how runs compute, as far as it decides their bits."""
    settings = project.settings
    return {
        "precision": settings.precision,
        "attention": settings.attention,
        "compile": settings.compile,
    }


def _merged(project: Project, task: str, variant: str) -> dict[str, Any]:
    change = project.variant(variant)
    scale = project.scale
    base: dict[str, Any] = {
        "k": scale.k,
        "model": scale.model,
        "embedding_init": scale.embedding_init,
        "stage1": scale.stage1,
        "stage2": scale.stage2,
    }
    base = merge(base, scale.per_task.get(task, {}))
    base = merge(base, {"k": change.k} if change.k else {})
    base = merge(
        base, {"model": change.model, "embedding_init": change.embedding_init, "stage1": change.stage1}
    )
    base["stage2"] = None if change.stage2 is None else merge(base["stage2"], change.stage2)
    unknown = sorted(set(project.settings.overrides) - set(base))
    if unknown:
        raise TlmError(f"overrides: unknown key {unknown[0]!r}; there are {', '.join(sorted(base))}")
    return merge(base, project.settings.overrides)


def resolve_pretraining(project: Project, variant: str) -> Run:
    """The stage 1 that all tasks and seeds of a PLM variant share: MLM on the whole corpus in random order."""
    scale = project.scale
    seed = project.seeds[0]  # trained once: the seeds of its row are those of stage 2
    base = _merged(project, SHARED, variant)
    budgets = [_token_budget(resolve(project, task, "tlm", seed)) for task in scale.tasks]
    tokens = math.ceil(scale.plm.compute * sum(budgets) / len(budgets))
    stage1 = merge(base["stage1"], {"rho1": INFINITE, "rho2": 0, "budget": {"tokens": tokens}})
    init = EmbeddingInitSpec(**base["embedding_init"])
    # A word is at least one token: so many words hold at least the tokens that training and the start will read.
    words = max(tokens, init.tokens if base["model"].get("embedding_init") == "cooccurrence" else 0)
    where = f"scale {project.settings.scale}, variant {variant} (pretraining)"
    values = {"model": base["model"], "embedding_init": base["embedding_init"], "stage1": stage1}
    return Run(
        scale=project.settings.scale,
        task=SHARED,
        variant=variant,
        seed=seed,
        method="plm",
        corpus=scale.corpus,
        tokenizer=tokenizer_name(project),
        selection=Selection("whole", words, scale.corpus, SHARED),
        spec=parse(RunSpec, {"seed": seed, **_execution(project), **values}, where),
    )


def _token_budget(run: Run) -> int:
    """Training tokens of stage 1; for budgets in steps the paper's product of steps, batch size and length."""
    assert run.spec is not None
    stage1 = run.spec.stage1
    if stage1.budget.tokens is not None:
        return stage1.budget.tokens
    assert stage1.budget.steps is not None
    return stage1.budget.steps * stage1.batch_size * stage1.accumulation * stage1.external_length


def stored_length(project: Project) -> int:
    """Tokens of a text that are stored: no run reads more, and 512 is the longest that the paper trains on."""
    lengths = [
        merge(project.scale.model, each.get("model", {})).get("max_length", 0) for each in _changes(project)
    ]
    return max(512, *lengths)


def _changes(project: Project) -> list[dict[str, Any]]:
    return [{}, *project.scale.per_task.values(), project.settings.overrides]


def tokenizer_name(project: Project) -> str:
    """Name of the scale's tokenizer: what it was trained on, its kind and size."""
    spec = project.scale.tokenizer
    if spec.pretrained:
        return spec.pretrained.replace("/", "--")
    return f"{project.scale.corpus}-{spec.kind}-{spec.vocabulary}"


def largest_k(project: Project, task: str) -> int:
    """The largest K that any variant needs of this task: one retrieval serves all, smaller K are its prefixes."""
    names = [name for name, spec in project.experiments.variants.items() if spec.method == "tlm"]
    runs = (resolve(project, task, name, project.seeds[0]) for name in names)
    return max((run.selection.size for run in runs if run.selection is not None), default=project.scale.k)


def retrieval_spec(project: Project, k: int) -> RetrievalSpec:
    """What a retrieval of top-k passages is told."""
    settings = project.settings.retrieval
    return RetrievalSpec(k=k, index=settings.index, query=settings.query)


def cells(project: Project) -> dict[tuple[str, str, str], CellSpec]:
    """(table, row, column) → cell, for every measured row of every table.

    TF-IDF draws nothing at random: its row has one seed. Raises TlmError if a row names an unknown variant.
    """

    def seeds_of(variant: str) -> list[int]:
        return project.seeds[:1] if project.variant(variant).method == "tfidf" else project.seeds

    found = {}
    for name, table in project.experiments.tables.items():
        specs = cell_specs(
            name, table, scale=project.settings.scale, tasks=project.scale.tasks, seeds_of=seeds_of
        )
        found.update({(name, row, column): spec for (row, column), spec in specs.items()})
    return found


def check(project: Project) -> None:
    """Resolve every run that any table needs. Raises TlmError at the first that is not valid."""
    needed = {
        (task, cell.variant): cell.seeds[0] for cell in cells(project).values() for task in cell.column.tasks
    }
    for (task, variant), seed in needed.items():
        resolve(project, task, variant, seed)


def manifest(folder: str | Path) -> str:
    """The manifest of an artifact's folder: what rules name as input and output."""
    return f"{folder}/manifest.json"
