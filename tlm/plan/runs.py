"""From names to runs: `scale / task / variant / seed`, resolved to settings and artifacts.

The only place that merges scale, task and variant. The Snakefile's input functions call it, through `tlm.rules`;
`tlm.layout` makes the paths.

Runs with equal settings are built once: `resolve` names the first variant of config/experiments.yaml that has the same
settings for the task (`Run.variant`), and the first with the same stage 1 (`EncoderRun.stage1_variant`). So K = 10 of
Table 4 is the TLM run itself at a scale with K = 10, and "without stage 2" trains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tlm.artifacts import canonical_json
from tlm.config.base import merge, parse
from tlm.config.linear import LINEAR
from tlm.config.retrieval import RetrievalSpec
from tlm.config.training import INFINITE, EmbeddingInitSpec, RunSpec
from tlm.config.variants import ReleasedSpec, Swept, VariantSpec
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan.project import Project
from tlm.plan.run_types import BaselineRun, EncoderRun, Run, as_encoder
from tlm.plan.selections import Selection
from tlm.plan.sweeps import swept

GIVEN = "given"  # the selector of files, and the key that names a selection
RELEASED = "released"  # the method that evaluates the authors' classifiers, and the key that names one
_MERGED = ("model", "embedding_init", "stage1", "stage2")


def resolve(project: Project, task: str, variant: str, seed: int) -> Run:
    """The run `task / variant / seed` of the project's scale.

    Raises TlmError naming the scale, task and variant whose merged settings are not valid.
    """
    run = _resolve(project, task, variant)
    first, first_stage1 = _first(project, task, variant)
    if not isinstance(run, EncoderRun):
        return replace(run, variant=first, seed=seed)
    return replace(
        run,
        variant=first,
        seed=seed,
        spec=run.spec.model_copy(update={"seed": seed}),
        stage1_variant=run.stage1_variant and first_stage1,
        stage1_seed=project.stage1_seed(seed),
    )


def resolve_encoder(project: Project, task: str, variant: str, seed: int) -> EncoderRun:
    """The same. Raises TlmError for a variant that trains no encoder."""
    return as_encoder(resolve(project, task, variant, seed))


def resolve_reference(project: Project, task: str, seed: int) -> EncoderRun:
    """The task's TLM run: the run of the scale's reference variant."""
    return resolve_encoder(project, task, project.reference, seed)


def _first(project: Project, task: str, variant: str) -> tuple[str, str]:
    """The first variant with equal runs, and the first with equal stage 1; for a point of a grid maybe itself."""
    whole, stage1 = _firsts(project, task)
    key, key1 = _keys(project, task, variant)
    return whole.get(key, variant), stage1.get(key1, variant)


@lru_cache(maxsize=8192)
def _firsts(project: Project, task: str) -> tuple[dict[str, str], dict[str, str]]:
    """Settings of a run → the first variant that has them; settings of a stage 1 → the same."""
    whole: dict[str, str] = {}
    stage1: dict[str, str] = {}
    for name, variant in project.variants.items():
        if possible(project, variant, task):
            key, key1 = _keys(project, task, name)
            whole.setdefault(key, name)
            stage1.setdefault(key1, name)
    return whole, stage1


@lru_cache(maxsize=8192)
def _keys(project: Project, task: str, variant: str) -> tuple[str, str]:
    """The settings of a run, and those of its stage 1, as text; the same for a run that trains no encoder."""
    run = _resolve(project, task, variant)
    if isinstance(run, BaselineRun):
        key = canonical_json(run.spec.model_dump(mode="json"))
        return key, key
    run = as_encoder(run)
    start = run.pretraining.folder if run.pretraining else ""
    made_of = f"{run.tokenizer} {run.external_tokens} {start} {run.stage1_variant is None}"
    spec = run.spec.model_dump(mode="json")
    return f"{made_of} {canonical_json(spec)}", f"{made_of} {canonical_json({**spec, 'stage2': None})}"


def possible(project: Project, variant: VariantSpec, task: str | None = None) -> bool:
    """Whether the scale has all that a variant reads, for `task` or all its tasks.

    That is another corpus, a given selection or a released classifier.
    """
    key = RELEASED if variant.method == RELEASED else GIVEN if variant.selector == GIVEN else None
    if key is not None:
        tasks = project.scale.tasks if task is None else [task]
        return all(named_for(project, variant, each, key) is not None for each in tasks)
    if variant.method == "checkpoint" and "pretrained" not in variant.model:
        tasks = project.scale.tasks if task is None else [task]
        return all("pretrained" in checkpoint_model(variant, each) for each in tasks)
    return variant.corpus == "own" or project.scale.other_corpus is not None


def checkpoint_model(variant: VariantSpec, task: str) -> dict[str, Any]:
    """The model of a variant of method checkpoint for a task."""
    return merge(variant.model, variant.per_task.get(task, {}).get("model", {}))


def named_for(project: Project, variant: VariantSpec, task: str, key: str) -> Any:
    """A task's given selection or released classifier: the variant's, or that of the scale's entry for the task."""
    own = variant.per_task.get(task, {}).get(key) or (variant.given if key == GIVEN else None)
    return own or project.scale.per_task.get(task, {}).get(key)


def released_of(project: Project, variant: str, task: str) -> ReleasedSpec:
    """The classifier that the authors released for a task. Raises TlmError if none is named."""
    where = f"scale {project.settings.scale}, task {task}, variant {variant}"
    found = named_for(project, project.variant(variant), task, RELEASED)
    if found is None:
        raise TlmError(
            f"{where}: no classifier is named; the scale's per_task needs `released:` for this task"
        )
    spec = parse(ReleasedSpec, found, f"{where}: released")
    if spec.rows not in project.data.sources:
        raise TlmError(f"{where}: released.rows: no source {spec.rows!r} in config/sources.yaml")
    return spec


@lru_cache(maxsize=8192)
def _resolve(project: Project, task: str, variant: str) -> Run:
    """The run as its variant names it, with the first seed."""
    change = project.variant(variant)
    where = f"scale {project.settings.scale}, task {task}, variant {variant}"
    if change.corpus == "other" and project.scale.other_corpus is None:
        raise TlmError(f"{where}: the scale has no other_corpus")
    common: dict[str, Any] = {
        "scale": project.settings.scale,
        "task": task,
        "variant": variant,
        "seed": project.seeds[0],
        "corpus": corpus_of(project, change, task),
    }
    if not change.trains_encoder:
        return BaselineRun(**common, spec=LINEAR[change.method])
    base = merged(project, task, variant)
    if change.method == "adapted":
        return _adapted(project, task, base, common, where)
    if change.method == "checkpoint":
        # From the scale it takes stage 2 alone: the checkpoint has its own shape and runs no stage 1.
        base = {**base, "model": checkpoint_model(change, task), "stage1": project.scale.stage1}
    if change.method == RELEASED:
        found = released_of(project, variant, task)
        model = {"architecture": "bert", "pretrained": found.pretrained, "revision": found.revision}
        base = {**base, "model": {**model, "finished": True}, "stage1": project.scale.stage1}
        spec = _spec(project, base, where)
        return EncoderRun(**common, tokenizer=tokenizer_name(project), spec=spec)
    spec = _spec(project, base, where)
    if change.method == "plm":
        if spec.stage2 is None:
            raise TlmError(f"{where}: a PLM needs stage 2, its stage 1 has seen no labels")
        pretraining = resolve_pretraining(project, variant)
        # A PLM takes no setting from the task's own stage 1.
        spec = spec.model_copy(update={"stage1": pretraining.spec.stage1})
        return EncoderRun(**common, tokenizer=tokenizer_name(project), spec=spec, pretraining=pretraining)
    if change.method == "checkpoint":
        if spec.stage2 is None:
            raise TlmError(f"{where}: a checkpoint needs stage 2, it has seen no labels")
        return EncoderRun(**common, tokenizer=tokenizer_name(project, spec), spec=spec)
    return EncoderRun(
        **common,
        tokenizer=tokenizer_name(project),
        selection=_selection(project, task, change, base, spec, where),
        spec=spec,
        stage1_variant=variant,
    )


def _reference(project: Project, task: str) -> EncoderRun:
    """The task's TLM run, before equal runs are joined."""
    return as_encoder(_resolve(project, task, project.reference))


def _selection(
    project: Project, task: str, change: VariantSpec, base: Mapping[str, Any], spec: RunSpec, where: str
) -> Selection | None:
    rho1 = spec.stage1.rho1
    if rho1 == INFINITE and spec.stage2 is None:
        raise TlmError(f"{where}: rho1 is inf and there is no stage 2, so the task is never trained")
    if change.selector == "task-only":
        if rho1 != 0:
            raise TlmError(f"{where}: no external data, but rho1 is {rho1}; set stage1.rho1 to 0")
        return None
    if rho1 == 0:
        raise TlmError(f"{where}: rho1 is 0, which reads no external data; use selector task-only")
    clean = _excludes(project, change)
    if change.selector == GIVEN:
        name = named_for(project, change, task, GIVEN)
        if name is None:
            raise TlmError(f"{where}: no selection is given; name one of config/corpora.yaml with `given:`")
        project.given(name)
        return Selection(change.selector, 0, name, task, clean)
    return Selection(change.selector, base["k"], corpus_of(project, change, task), task, clean)


def _excludes(project: Project, change: VariantSpec) -> bool:
    """Whether contaminated passages are left out, by the variant or by config.yaml for all runs."""
    return (change.exclude or project.settings.exclude) == "contaminated"


def _execution(project: Project) -> dict[str, Any]:
    """The settings of config.yaml that change the bits of a run."""
    settings = project.settings
    return {
        "precision": settings.precision,
        "attention": settings.attention,
        "compile": settings.compile,
    }


def _adapted(
    project: Project, task: str, base: dict[str, Any], common: dict[str, Any], where: str
) -> EncoderRun:
    """A baseline's further stage 1 on the task's data (Tables 8 and A.2)."""
    name = project.scale.baselines[0]
    baseline = project.variant(name)
    own, share = _reference(project, task).spec.stage1, project.scale.plm.adaptation
    budget = {
        unit: math.ceil(share * amount) for unit, amount in own.budget.model_dump(exclude_none=True).items()
    }
    base = merge(base, {"stage1": {"rho1": 0, "budget": budget}})
    # A warm-up in steps shrinks with the budget, or a short stage would never reach its learning rate.
    if (warmup := base["stage1"].get("optimizer", {}).get("warmup_steps")) is not None:
        base = merge(base, {"stage1": {"optimizer": {"warmup_steps": math.ceil(share * warmup)}}})
    if baseline.method == "checkpoint":
        base["model"] = baseline.model
    spec = _spec(project, base, where)
    return EncoderRun(
        **common,
        tokenizer=tokenizer_name(project, spec),
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
def resolve_pretraining(project: Project, variant: str) -> EncoderRun:
    """The stage 1 that all tasks and seeds of a PLM variant share: MLM on the whole corpus in random order."""
    scale = project.scale
    seed = project.seeds[0]  # trained once: the seeds of its row are those of stage 2
    base = merged(project, SHARED, variant)
    budgets = [_reference(project, task).spec.stage1.training_tokens for task in scale.tasks]
    compute = project.variant(variant).compute or scale.plm.compute
    tokens = math.ceil(compute * sum(budgets) / len(budgets))
    stage1 = merge(base["stage1"], {"rho1": INFINITE, "rho2": 0, "budget": {"tokens": tokens}})
    init = EmbeddingInitSpec(**base["embedding_init"])
    # A word is at least one token: so many words hold at least the tokens that training and the start will read.
    words = max(tokens, init.tokens if base["model"].get("embedding_init") == "cooccurrence" else 0)
    where = f"scale {project.settings.scale}, variant {variant} (pretraining)"
    return EncoderRun(
        scale=project.settings.scale,
        task=SHARED,
        variant=variant,
        seed=seed,
        corpus=scale.corpus,
        tokenizer=tokenizer_name(project),
        selection=Selection(
            "whole-corpus", words, scale.corpus, SHARED, _excludes(project, project.variant(variant))
        ),
        spec=_spec(project, {**base, "stage1": stage1, "stage2": None}, where),
        stage1_variant=variant,
    )


def corpus_of(project: Project, variant: VariantSpec, task: str | None = None) -> str:
    """The corpus that a variant retrieves from: the scale's entry for `task`, or the scale's."""
    scale = project.scale
    own = scale.per_task.get(task, {}) if task else {}
    if variant.corpus == "other" and scale.other_corpus is not None:
        return str(own.get("other_corpus", scale.other_corpus))
    return str(own.get("corpus", scale.corpus))


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
    """The specification of a top-k retrieval; a task may override how its texts become queries."""
    settings = project.settings.retrieval
    query = project.data.tasks[task].query or settings.query
    return RetrievalSpec(k=k, index=settings.index, query=query)
