"""From names to runs: what `scale / task / variant / seed` means, and where its artifacts live.

The only place that merges scale, task and variant, and the only place that knows paths. The Snakefile's input
functions call it, through `tlm.rules`.

Runs that come to the same are built once: `resolve` names the first variant of config/experiments.yaml that has the
same settings for the task (`Run.variant`), and the first with the same stage 1 (`Run.stage1_variant`). So K = 10 of
Table 4 is the TLM run itself at a scale with K = 10, and "without stage 2" trains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tlm.artifacts import canonical_json
from tlm.config.base import merge, parse
from tlm.config.retrieval import RetrievalSpec
from tlm.config.training import INFINITE, EmbeddingInitSpec, RunSpec
from tlm.config.variants import Swept, VariantSpec
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan.project import Project
from tlm.plan.selections import Selection
from tlm.plan.sweeps import swept

_MERGED = ("model", "embedding_init", "stage1", "stage2")


@dataclass(frozen=True)
class Run:
    """One `scale / task / variant / seed`, resolved."""

    scale: str
    task: str
    variant: str  # the first of equal ones
    seed: int
    method: str
    corpus: str
    tokenizer: str
    selection: Selection | None
    spec: RunSpec | None  # None for tfidf, which trains no encoder
    pretraining: Run | None = None  # the shared stage 1 of a PLM: it is the run's own, or what the run adapts
    stage1_variant: str | None = None  # whose stage 1 this is; None where it is a pretraining or a checkpoint

    @property
    def folder(self) -> str:
        """`runs/<scale>/<task>/<variant>/seed<seed>`."""
        return self._folder(self.variant)

    def _folder(self, variant: str) -> str:
        return f"runs/{self.scale}/{self.task}/{variant}/seed{self.seed}"

    @property
    def stage1(self) -> str | None:
        """Folder of the stage-1 model that this run starts stage 2 from; None for a checkpoint."""
        if self.stage1_variant is not None:
            return f"{self._folder(self.stage1_variant)}/stage1"
        return f"{self.pretraining.folder}/stage1" if self.pretraining else None

    @property
    def start(self) -> str | None:
        """Folder of the pretraining that this run's own stage 1 goes on from; None for random weights."""
        return f"{self.pretraining.folder}/stage1" if self.stage1_variant and self.pretraining else None

    @property
    def model(self) -> str:
        """Folder of the model that is evaluated."""
        assert self.spec is not None
        model = f"{self.folder}/stage2" if self.spec.stage2 else self.stage1
        assert model is not None
        return model

    @property
    def length(self) -> int:
        """Longest input of the model that is evaluated, in tokens."""
        assert self.spec is not None
        return self.spec.stage2.length if self.spec.stage2 else self.spec.stage1.internal_length

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
        return f"data/tokens/{self.tokenizer}/external/{selection.corpus}/{selection.owner}/{selection.name}"


def resolve(project: Project, task: str, variant: str, seed: int) -> Run:
    """What the run `task / variant / seed` of the project's scale is made of.

    Raises TlmError naming the scale, task and variant whose merged settings are not valid.
    """
    run = _resolve(project, task, variant)
    first, first_stage1 = _firsts(project, task)[variant]
    spec = run.spec and run.spec.model_copy(update={"seed": seed})
    return replace(
        run, variant=first, seed=seed, spec=spec, stage1_variant=run.stage1_variant and first_stage1
    )


@lru_cache(maxsize=8192)
def _firsts(project: Project, task: str) -> dict[str, tuple[str, str]]:
    """variant → (the first variant with equal runs, the first with equal stage 1)."""
    whole: dict[str, str] = {}
    stage1: dict[str, str] = {}
    found = {}
    for name, variant in project.variants.items():
        if not possible(project, variant):
            continue
        run = _resolve(project, task, name)
        start = run.pretraining.folder if run.pretraining else ""
        made_of = f"{run.tokenizer} {run.external_tokens} {start} {run.stage1_variant is None}"
        spec = run.spec and run.spec.model_dump(mode="json")
        key = f"{made_of} {canonical_json(spec)}"
        key1 = f"{made_of} {canonical_json(spec and {**spec, 'stage2': None})}"
        found[name] = (whole.setdefault(key, name), stage1.setdefault(key1, name))
    return found


def possible(project: Project, variant: VariantSpec) -> bool:
    """Whether the scale has the corpus that a variant needs."""
    return variant.corpus == "own" or project.scale.other_corpus is not None


@lru_cache(maxsize=8192)
def _resolve(project: Project, task: str, variant: str) -> Run:
    """The run as its variant names it, with the first seed."""
    change = project.variant(variant)
    where = f"scale {project.settings.scale}, task {task}, variant {variant}"
    if not possible(project, change):
        raise TlmError(f"{where}: the scale has no other_corpus")
    common: dict[str, Any] = {
        "scale": project.settings.scale,
        "task": task,
        "variant": variant,
        "seed": project.seeds[0],
        "method": change.method,
        "corpus": corpus_of(project, change, task),
    }
    if change.method == "tfidf":
        return Run(**common, tokenizer=tokenizer_name(project), selection=None, spec=None)
    base = merged(project, task, variant)
    if change.method == "adapted":
        return _adapted(project, task, base, common, where)
    if change.method == "checkpoint":
        # Of the scale it has stage 2 alone: not the shape of its model, nor a task's stage 1, which it does not run.
        base = {**base, "model": change.model, "stage1": project.scale.stage1}
    spec = _spec(project, base, where)
    if change.method == "plm":
        if spec.stage2 is None:
            raise TlmError(f"{where}: a PLM needs stage 2, its stage 1 has seen no labels")
        pretraining = resolve_pretraining(project, variant)
        assert pretraining.spec is not None
        # The stage 1 that it had: nothing of the task's own stage 1 reaches a PLM.
        spec = spec.model_copy(update={"stage1": pretraining.spec.stage1})
        return Run(
            **common, tokenizer=tokenizer_name(project), selection=None, spec=spec, pretraining=pretraining
        )
    if change.method == "checkpoint":
        if spec.stage2 is None:
            raise TlmError(f"{where}: a checkpoint needs stage 2, it has seen no labels")
        return Run(**common, tokenizer=tokenizer_name(project, spec), selection=None, spec=spec)
    return Run(
        **common,
        tokenizer=tokenizer_name(project),
        selection=_selection(project, task, change, base, spec, where),
        spec=spec,
        stage1_variant=variant,
    )


def _selection(
    project: Project, task: str, change: VariantSpec, base: Mapping[str, Any], spec: RunSpec, where: str
) -> Selection | None:
    rho1 = spec.stage1.rho1
    if rho1 == INFINITE and spec.stage2 is None:
        raise TlmError(f"{where}: rho1 is inf and there is no stage 2, so nothing would learn the task")
    if change.selector == "task-only":
        if rho1 != 0:
            raise TlmError(f"{where}: no external data, but rho1 is {rho1}; set stage1.rho1 to 0")
        return None
    if rho1 == 0:
        raise TlmError(f"{where}: rho1 is 0, which reads no external data; use selector task-only")
    clean = _excludes(project, change)
    return Selection(change.selector, base["k"], corpus_of(project, change, task), task, clean)


def _excludes(project: Project, change: VariantSpec) -> bool:
    """Whether a variant leaves contaminated passages out, of itself or because all do."""
    return (change.exclude or project.settings.exclude) == "contaminated"


def _execution(project: Project) -> dict[str, Any]:
    """What config.yaml says of how runs compute, as far as it decides their bits."""
    settings = project.settings
    return {
        "precision": settings.precision,
        "attention": settings.attention,
        "compile": settings.compile,
    }


def _adapted(project: Project, task: str, base: dict[str, Any], common: dict[str, Any], where: str) -> Run:
    """A baseline's further stage 1 on the task's data (Tables 8 and A.2)."""
    name = project.scale.baselines[0]
    baseline = project.variant(name)
    own = _resolve(project, task, "tlm").spec
    assert own is not None
    budget = {
        unit: math.ceil(project.scale.plm.adaptation * amount)
        for unit, amount in own.stage1.budget.model_dump(exclude_none=True).items()
    }
    base = merge(base, {"stage1": {"rho1": 0, "budget": budget}})
    if baseline.method == "checkpoint":
        base["model"] = baseline.model
    spec = _spec(project, base, where)
    return Run(
        **common,
        tokenizer=tokenizer_name(project, spec),
        selection=None,
        spec=spec,
        pretraining=resolve_pretraining(project, name) if baseline.method == "plm" else None,
        stage1_variant=common["variant"],
    )


def _spec(project: Project, base: Mapping[str, Any], where: str) -> RunSpec:
    values = {key: base[key] for key in _MERGED if base.get(key) is not None}
    return parse(RunSpec, {"seed": project.seeds[0], **_execution(project), **values}, where)


def merged(project: Project, task: str, variant: str) -> dict[str, Any]:
    """K, model, stage1 and stage2 of a run, as plain values, not yet validated."""
    change = project.variant(variant)
    scale = project.scale
    base: dict[str, Any] = {
        "k": scale.k,
        "model": scale.model,
        "embedding_init": scale.embedding_init,
        "stage1": scale.stage1,
        "stage2": scale.stage2,
    }
    changes = {"model": change.model, "embedding_init": change.embedding_init, "stage1": change.stage1}
    for each in (
        scale.per_task.get(task, {}),
        {"k": change.k} if change.k else {},
        changes,
        {"stage2": change.stage2} if change.stage2 else {},
        change.per_task.get(task, {}),
    ):
        base = merge(base, each)
    unknown = sorted(set(project.settings.overrides) - set(base))
    if unknown:
        raise TlmError(f"overrides: unknown key {unknown[0]!r}; there are {', '.join(sorted(base))}")
    base = merge(merge(base, project.settings.overrides), change.pinned)
    if not isinstance(base["k"], int) or base["k"] < 1:
        where = f"scale {project.settings.scale}, task {task}, variant {variant}"
        raise TlmError(f"{where}: k: must be a whole number above 0, got {base['k']!r}")
    return {**base, "stage2": None} if change.stage2 is None else base


@lru_cache(maxsize=8192)
def resolve_pretraining(project: Project, variant: str) -> Run:
    """The stage 1 that all tasks and seeds of a PLM variant share: MLM on the whole corpus in random order."""
    scale = project.scale
    seed = project.seeds[0]  # trained once: the seeds of its row are those of stage 2
    base = merged(project, SHARED, variant)
    budgets = [_token_budget(_resolve(project, task, "tlm")) for task in scale.tasks]
    tokens = math.ceil(scale.plm.compute * sum(budgets) / len(budgets))
    stage1 = merge(base["stage1"], {"rho1": INFINITE, "rho2": 0, "budget": {"tokens": tokens}})
    init = EmbeddingInitSpec(**base["embedding_init"])
    # A word is at least one token: so many words hold at least the tokens that training and the start will read.
    words = max(tokens, init.tokens if base["model"].get("embedding_init") == "cooccurrence" else 0)
    where = f"scale {project.settings.scale}, variant {variant} (pretraining)"
    return Run(
        scale=project.settings.scale,
        task=SHARED,
        variant=variant,
        seed=seed,
        method="plm",
        corpus=scale.corpus,
        tokenizer=tokenizer_name(project),
        selection=Selection(
            "whole", words, scale.corpus, SHARED, _excludes(project, project.variant(variant))
        ),
        spec=_spec(project, {**base, "stage1": stage1, "stage2": None}, where),
        stage1_variant=variant,
    )


def _token_budget(run: Run) -> int:
    """Training tokens of stage 1; for budgets in steps the paper's product of steps, batch size and length."""
    assert run.spec is not None
    stage1 = run.spec.stage1
    if stage1.budget.tokens is not None:
        return stage1.budget.tokens
    assert stage1.budget.steps is not None
    return stage1.budget.steps * stage1.batch_size * stage1.accumulation * stage1.external_length


def corpus_of(project: Project, variant: VariantSpec, task: str | None = None) -> str:
    """The corpus that a variant retrieves from: the scale's, or what the scale says of `task`."""
    scale = project.scale
    said = scale.per_task.get(task, {}) if task else {}
    if variant.corpus == "other" and scale.other_corpus is not None:
        return str(said.get("other_corpus", scale.other_corpus))
    return str(said.get("corpus", scale.corpus))


def swept_variants(project: Project, name: Swept) -> list[str]:
    """The variants of a sweep's values at this scale, in order."""
    return list(swept(name, project.experiments.sweeps[name], project.swept_values(name)))


def tokenizer_name(project: Project, spec: RunSpec | None = None) -> str:
    """Name of the tokenizer: a checkpoint's own, or the scale's by what it was trained on, its kind and size."""
    own = spec.model.pretrained if spec else None
    if name := own or project.scale.tokenizer.pretrained:
        return name.strip("./").replace("/", "--")
    tokenizer = project.scale.tokenizer
    cased = "" if tokenizer.lowercase else "-cased"
    return f"{project.scale.corpus}-{tokenizer.kind}-{tokenizer.vocabulary}{cased}"


def retrieval_spec(project: Project, task: str, k: int) -> RetrievalSpec:
    """What a retrieval of top-k passages is told; a task may have a way of its own to become a query."""
    settings = project.settings.retrieval
    query = project.data.tasks[task].query or settings.query
    return RetrievalSpec(k=k, index=settings.index, query=query)


def manifest(folder: str | Path) -> str:
    """The manifest of an artifact's folder: what rules name as input and output."""
    return f"{folder}/manifest.json"
