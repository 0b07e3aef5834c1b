"""From config/own/<name>.yaml to a source, a task, a corpus, a scale and variants, all of the file's name.

Place in the flow: `tlm.config.own` (the declaration) → here → `tlm.plan.project`, so that every rule serves an own task
at any `scale:`. Its runs are `runs/<name>/<name>/<variant>/seed<seed>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tlm.config.base import load_yaml, merge, parse
from tlm.config.data import CorpusSpec, DataConfig, TaskSpec
from tlm.config.own import SPLITS, OwnCorpus, OwnSpec, OwnTask, Paths, all_paths
from tlm.config.scale import ScaleSpec
from tlm.config.sources import SourceSpec
from tlm.config.task_report import LABELLED_ONLY
from tlm.config.variants import TASK_ONLY, VariantSpec
from tlm.errors import TlmError, did_you_mean
from tlm.layout import SHARED, UNLABELLED
from tlm.problems import PROBLEMS

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def corpus_source(name: str) -> str:
    """Name of the source of an own task's corpus; the source of its texts is `name`."""
    return f"{name}-corpus"


def own_file(folder: Path, name: str) -> Path:
    """Where an own task is declared."""
    return folder / "own" / f"{name}.yaml"


def forecast_file(folder: Path, name: str) -> Path:
    """Where `tlm new` and `tlm train` write the forecast of an own task's build."""
    return folder / "own" / f"{name}.forecast.json"


def read_own(
    folder: Path, data: DataConfig, scales: Mapping[str, ScaleSpec], more: Mapping[str, OwnSpec]
) -> dict[str, OwnSpec]:
    """Name → declaration, for each file of `folder`/own; `more` are as if they had files.

    Raises TlmError naming the file and the key, also for a name that is taken, and for an unknown corpus or scale.
    """
    files = sorted((folder / "own").glob("*.yaml"))
    found = {path.stem: parse(OwnSpec, load_yaml(path), str(path)) for path in files if path.stem not in more}
    found = dict(sorted({**found, **more}.items()))
    taken = {SHARED, *data.tasks, *data.corpora, *data.sources, *scales}
    taken |= {corpus_source(name) for name in found}
    corpora = {*data.corpora, *(name for name, spec in found.items() if isinstance(spec.corpus, OwnCorpus))}
    for name, spec in found.items():
        path = own_file(folder, name)
        if not _NAME.fullmatch(name):
            raise TlmError(
                f"{path}: a name consists of small letters, digits, '.', '_' and '-'; choose another name"
            )
        if name in taken or corpus_source(name) in data.sources:
            raise TlmError(
                f"{path}: {name!r} is reserved or is a task, corpus, source or scale of {folder}; choose another name"
            )
        if isinstance(spec.corpus, str) and spec.corpus not in corpora:
            raise TlmError(
                f"{path}: corpus: no corpus {spec.corpus!r}{did_you_mean(spec.corpus, corpora - {name})}; there are"
                f" {', '.join(sorted(corpora - {name}))},"
                " or give `files:`"
            )
        if spec.training.like not in scales:
            like = spec.training.like
            raise TlmError(
                f"{path}: training.like: no scale {like!r}{did_you_mean(like, scales)}; there are {', '.join(scales)}"
            )
    return found


def own_data(data: DataConfig, own: Mapping[str, OwnSpec]) -> DataConfig:
    """`data` with the source, task and corpus of each of `own`."""
    sources, tasks, corpora = dict(data.sources), dict(data.tasks), dict(data.corpora)
    for name, spec in own.items():
        where = f"config/own/{name}.yaml"
        sources[name] = parse(
            SourceSpec, {"files": list(_task_files(spec.task)), "licence": spec.licence}, where
        )
        tasks[name] = task_spec(name, spec.task, where, description=spec.description)
        if isinstance(spec.corpus, OwnCorpus):
            linked = [
                {"uri": f"file://{path}", "to": f"{number}/", "in_place": True}
                for number, path in enumerate(spec.corpus.paths)
            ]
            sources[corpus_source(name)] = parse(
                SourceSpec, {"files": linked, "licence": spec.licence}, where
            )
            corpora[name] = parse(CorpusSpec, _corpus_values(corpus_source(name), spec.corpus), where)
    return data.model_copy(update={"sources": sources, "tasks": tasks, "corpora": corpora})


def task_spec(name: str, task: OwnTask, where: str, description: str = "") -> TaskSpec:
    """The task that an own task's labelled texts make. Raises TlmError naming `where` and the key."""
    given = isinstance(task.files, dict)
    keys = {"text", "text_pair", "label", "label_names", "skip_empty", "columns", "kind", "quoting"}
    parser = task.model_dump(include=keys | {"delimiter", "sheet", "label_separator", "label_columns"})
    parser |= {"format": "delimited", "encodings": task.encodings, "document": task.split.document}
    if given:
        parser["splits"] = {split: f"{split}/**" for split in SPLITS if split in task.files}
    elif task.unlabelled is not None:
        parser["files"] = "rows/**"
    rule = {
        **task.split.model_dump(exclude={"document"}),
        "by": "document" if task.split.document else "row",
    }
    values = {
        "source": name,
        "parser": parser,
        "problem": task.problem,
        "metric": task.metric or PROBLEMS[task.problem].metrics[0],
        "labels": task.labels,
        "split": "given" if given and len(task.files) == len(SPLITS) else rule,
        "limit": task.limit,
        "unlabelled": None
        if task.unlabelled is None
        else {"files": f"{UNLABELLED}/**", "text": task.unlabelled_text},
        "description": description,
        "query": task.query.model_dump() if task.query else None,
    }
    return parse(TaskSpec, values, where)


def _task_files(task: OwnTask) -> Iterator[dict[str, Any]]:
    named: dict[str, Paths] = {}
    for split, files in (task.files if isinstance(task.files, dict) else {"rows": task.files}).items():
        named[split] = files
    if task.unlabelled is not None:
        named[UNLABELLED] = task.unlabelled
    for folder, paths in named.items():
        for path in all_paths(paths):
            yield {"uri": f"file://{path}", "to": f"{folder}/"}


def own_scale(name: str, spec: OwnSpec, scales: Mapping[str, ScaleSpec]) -> ScaleSpec:
    """The scale of an own task: that of `training.like`, with the file's settings merged over it."""
    training, like = spec.training, scales[spec.training.like]
    changes = training.model_dump(exclude={"like"}, exclude_none=True)
    base = like.model_dump(
        include={"seeds", "threads", "model", "embedding_init", "k", "stage1", "stage2", "plm"}
    )
    base["tokenizer"] = like.tokenizer.model_dump(exclude_unset=True)
    merged = {
        "description": spec.description or f"{name}, an own task.",
        "corpus": name if isinstance(spec.corpus, OwnCorpus) else spec.corpus,
        "tasks": [name],
        **merge(base, changes),
    }
    return parse(ScaleSpec, merged, f"config/own/{name}.yaml: training")


def own_variants(declared: Mapping[str, VariantSpec], own: OwnSpec) -> dict[str, VariantSpec]:
    """The variants of an own task: those declared, and the task's data alone with everything else as in its TLM run."""
    task_only = VariantSpec(
        description="stage 1 on the task's data alone",
        label="Only task data",
        selector="task-only",
        pinned={"stage1": {"rho1": 0}},
    )
    found = {**declared, TASK_ONLY: task_only}
    if own.task.unlabelled is not None:
        found[LABELLED_ONLY] = VariantSpec(
            description="TLM without the task's unlabelled texts, neither as queries nor in stage 1",
            label="Without unlabelled texts",
            selector="bm25-labelled",
            pinned={"stage1": {"unlabelled": False}},
        )
    return found


def _corpus_values(source: str, corpus: OwnCorpus) -> dict[str, Any]:
    """The keys of the `CorpusSpec`: one part a pattern, named after the pattern."""
    parts = [
        {"source": source, "name": path, "parser": {**corpus.parser, "files": f"{number}/**"}}
        for number, path in enumerate(corpus.paths)
    ]
    sizes = corpus.model_dump(include={"min_words", "max_words", "spaces"})
    return {"parts": parts, **sizes}
