"""Tasks of one's own: `config/own/<name>.yaml` declares labelled texts, a heap of text and how to train on both.

Place in the flow: config/own/ → here → `tlm.config.project`, where each file becomes a task, a corpus and a scale of
its name, so that every rule serves it whatever `scale:` says. Its runs are `runs/<name>/<name>/<variant>/seed<seed>`.
`tlm new` writes such a file; docs/own-data.md explains it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict, load_yaml, merge, parse
from tlm.config.data import CorpusSpec, DataConfig, Metric, Split, TaskSpec, Unit
from tlm.config.retrieval import QuerySpec
from tlm.config.scale import ScaleSpec
from tlm.config.sources import SourceSpec
from tlm.config.variants import TASK_ONLY, VariantSpec
from tlm.errors import TlmError
from tlm.layout import SHARED

OWN_VARIANTS = ("tlm", TASK_ONLY, "random", "tfidf")
"""What every own task has: TLM, and what it must beat to be worth its time."""

Paths = str | list[str]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def _texts(value: Any) -> Any:
    """Numbers in YAML that stand for labels, as text: a file has no other."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    if isinstance(value, dict):
        return {_texts(key): _texts(each) for key, each in value.items()}
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class OwnSplit(Strict):
    """How the splits without a file of their own are made: by hash, the same for everybody."""

    dev: float = Field(0.1, ge=0, lt=1)
    """Share of the rows that chooses the checkpoint."""
    test: float = Field(0.2, ge=0, lt=1)
    """Share of the rows that is scored once, at the end."""
    document: str | None = None
    """Column whose equal values keep rows together in a split (author, patient, thread)."""
    seed: int = 1
    """Another one gives another split."""


class OwnTask(Strict):
    """The labelled texts: .csv, .tsv, .jsonl or .parquet, also compressed."""

    files: Paths | dict[Split, Paths]
    """Paths, folders or globs, from the project's folder; or those of `train`, `dev` and `test`: what is not named is
    taken from train."""
    text: Paths = "text"
    """The column with the text, or several that are joined by a space."""
    text_pair: str | None = None
    """The column with the second text of a pair."""
    label: str = "label"
    """The column with the label, or the number to predict."""
    problem: Literal["classification", "regression"] = "classification"
    """regression: the label is a number."""
    metric: Metric | None = None
    """By default macro-F1, or the mean of Pearson's and Spearman's correlation. It chooses the checkpoint on dev."""
    labels: list[str] | None = None
    """The closed set of labels, in this order; by default those that occur, sorted."""
    label_names: dict[str, str] = {}
    """What labels of the files are called in the model: `{1: bad, 2: good}`. Equal names merge labels."""
    split: OwnSplit = OwnSplit()
    """How splits without a file are made."""
    skip_empty: bool = False
    """Leave out rows without a text or a label, and count them; otherwise they are errors."""
    columns: list[str] | None = None
    """Names of the columns where a CSV or TSV has no header line."""
    kind: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    """By the file's suffix if not given."""
    quoting: bool = True
    """Off for TSV files that use quotation marks as plain characters."""
    encodings: list[str] = ["utf-8"]
    """Tried in this order on each file."""
    limit: dict[Split, PositiveInt] = {}
    """At most so many rows of a split, as a fixed sample."""
    query: QuerySpec | None = None
    """How its texts become queries, if not whole: for very long ones `{mode: top_terms, terms: 50}`."""

    _plain = field_validator("labels", "label_names", mode="before")(_texts)

    @field_validator("files")
    @classmethod
    def _with_train(cls, files: Paths | dict[Split, Paths]) -> Paths | dict[Split, Paths]:
        if isinstance(files, dict) and "train" not in files:
            raise ValueError(
                "there is no file of train; a single file, which is split, stands without a name"
            )
        for path in all_paths(files):
            if "#" in path or "://" in path or not path:
                raise ValueError(f"{path!r}: a path, folder or glob on this machine, without '#'")
        return files

    def spec(self, name: str) -> dict[str, Any]:
        """The same as a `TaskSpec`, as plain values."""
        given = isinstance(self.files, dict)
        parser = self.model_dump(
            include={"text", "text_pair", "label", "label_names", "skip_empty", "columns", "kind", "quoting"}
        )
        parser |= {"format": "delimited", "encodings": self.encodings, "document": self.split.document}
        if given:
            parser["splits"] = {split: f"{split}/**" for split in _SPLITS if split in self.files}
        rule = {
            **self.split.model_dump(exclude={"document"}),
            "by": "document" if self.split.document else "row",
        }
        metric = "macro_f1" if self.problem == "classification" else "pearson_spearman"
        return {
            "source": name,
            "parser": parser,
            "problem": self.problem,
            "metric": self.metric or metric,
            "labels": self.labels,
            "split": "given" if given and len(self.files) == len(_SPLITS) else rule,
            "limit": self.limit,
            "query": self.query.model_dump() if self.query else None,
        }


class OwnCorpus(Strict):
    """The unlabelled text, used where it lies: .txt, .md, .jsonl, .csv, .tsv, .parquet, also compressed or zipped."""

    files: Paths
    """Paths, folders and globs, from the project's folder."""
    text: Paths = "text"
    """The column of .jsonl, .csv, .tsv and .parquet with the text, or several that are joined by a space."""
    unit: Unit = "paragraph"
    """What is a document of a .txt: what stands between blank lines, a line, `lines` lines in a row, the whole file."""
    lines: PositiveInt = 100
    """For `unit: lines`."""
    encodings: list[str] = ["utf-8"]
    """Tried in this order on each file."""
    min_words: PositiveInt = 40
    """Of a passage, unless its document is shorter."""
    max_words: PositiveInt = 120
    """Of a passage: as many as `stage1.external_length` tokens hold, about three words in four tokens."""
    spaces: bool = True
    """Off for writing without spaces between words (Chinese, Japanese, Thai): a character then counts as a word."""

    @field_validator("files")
    @classmethod
    def _plain_paths(cls, files: Paths) -> Paths:
        for path in all_paths(files):
            if "#" in path or "://" in path or not path:
                raise ValueError(f"{path!r}: a path, folder or glob on this machine, without '#'")
        return files

    @property
    def paths(self) -> list[str]:
        """The patterns as a list."""
        return [self.files] if isinstance(self.files, str) else self.files

    @property
    def parser(self) -> dict[str, Any]:
        """How its files are read, as plain values."""
        return {"format": "mixed", **self.model_dump(include={"text", "unit", "lines", "encodings"})}

    def spec(self, source: str) -> dict[str, Any]:
        """The same as a `CorpusSpec`, as plain values: a part for each pattern, which passages name as their source."""
        parts = [
            {"source": source, "name": path, "parser": {**self.parser, "files": f"{number}/**"}}
            for number, path in enumerate(self.paths)
        ]
        sizes = self.model_dump(include={"min_words", "max_words", "spaces"})
        return {"parts": parts, **sizes}


class OwnTraining(Strict):
    """How to train: a scale of config/scales/, and what differs from it. `tlm new` fills it from the data."""

    like: str = "demo"
    """What is not said here is as in this scale."""
    seeds: list[int] | None = Field(None, min_length=1)
    """Training seeds: each variant is trained once with each."""
    threads: PositiveInt | None = None
    """Threads of one training job."""
    tokenizer: dict[str, Any] = {}
    """Trained on the corpus."""
    model: dict[str, Any] = {}
    """The encoder's shape."""
    embedding_init: dict[str, Any] = {}
    """The co-occurrence start."""
    k: PositiveInt | None = None
    """Passages that each training text retrieves."""
    stage1: dict[str, Any] = {}
    """Language and task together; `budget` is replaced whole."""
    stage2: dict[str, Any] = {}
    """The task alone."""


class OwnSpec(Strict):
    """One file of config/own/."""

    description: str = ""
    """For people, in one line: what the labels say of the texts."""
    language: str | None = None
    """For people and the model card, as ISO 639-1: en, de, zh."""
    licence: str = ""
    """Of the data: it stands in the model card."""
    task: OwnTask
    """The labelled texts."""
    corpus: OwnCorpus | str
    """Or the name of a corpus that is declared: one of config/corpora.yaml, or another own task's."""
    training: OwnTraining = OwnTraining()
    """Settings of the runs."""

    @model_validator(mode="after")
    def _apart(self) -> OwnSpec:
        corpus = set(self.corpus.paths) if isinstance(self.corpus, OwnCorpus) else set()
        if twice := sorted(set(all_paths(self.task.files)) & corpus):
            raise ValueError(
                f"{twice[0]} is both task and corpus: its test texts would be trained on; take it out of the corpus"
            )
        return self


def all_paths(files: Paths | Mapping[Split, Paths]) -> list[str]:
    """Every path, folder and glob of a `files:`, in order."""
    if isinstance(files, str):
        return [files]
    if isinstance(files, list):
        return files
    return [path for each in files.values() for path in all_paths(each)]


def corpus_source(name: str) -> str:
    """What the source of an own task's corpus is called; the task's is called `name`."""
    return f"{name}-corpus"


def own_file(folder: Path, name: str) -> Path:
    """Where an own task is declared."""
    return folder / "own" / f"{name}.yaml"


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
                f"{path}: a name is made of small letters, digits, '.', '_' and '-'; call it otherwise"
            )
        if name in taken or corpus_source(name) in data.sources:
            raise TlmError(f"{path}: {name!r} is the name of something else in {folder}; call it otherwise")
        if isinstance(spec.corpus, str) and spec.corpus not in corpora:
            raise TlmError(
                f"{path}: corpus: no corpus {spec.corpus!r}; there are {', '.join(sorted(corpora - {name}))},"
                " or give `files:`"
            )
        if spec.training.like not in scales:
            raise TlmError(
                f"{path}: training.like: no scale {spec.training.like!r}; there are {', '.join(scales)}"
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
        tasks[name] = parse(TaskSpec, {**spec.task.spec(name), "description": spec.description}, where)
        if isinstance(spec.corpus, OwnCorpus):
            linked = [
                {"uri": f"file://{path}", "to": f"{number}/", "in_place": True}
                for number, path in enumerate(spec.corpus.paths)
            ]
            sources[corpus_source(name)] = parse(
                SourceSpec, {"files": linked, "licence": spec.licence}, where
            )
            corpora[name] = parse(CorpusSpec, spec.corpus.spec(corpus_source(name)), where)
    return DataConfig(sources=sources, tasks=tasks, corpora=corpora)


def _task_files(task: OwnTask) -> Iterator[dict[str, Any]]:
    named = task.files if isinstance(task.files, dict) else {"rows": task.files}
    for folder, paths in named.items():
        for path in all_paths(paths):
            yield {"uri": f"file://{path}", "to": f"{folder}/"}


def own_scale(name: str, spec: OwnSpec, scales: Mapping[str, ScaleSpec]) -> ScaleSpec:
    """The scale of an own task: that of `training.like`, with what the file says laid over it."""
    training, like = spec.training, scales[spec.training.like]
    said = training.model_dump(exclude={"like"}, exclude_none=True)
    base = like.model_dump(
        include={"seeds", "threads", "model", "embedding_init", "k", "stage1", "stage2", "plm"}
    )
    base["tokenizer"] = like.tokenizer.model_dump(exclude_unset=True)
    merged = {
        "description": spec.description or f"{name}, a task of one's own.",
        "corpus": name if isinstance(spec.corpus, OwnCorpus) else spec.corpus,
        "tasks": [name],
        **merge(base, said),
    }
    return parse(ScaleSpec, merged, f"config/own/{name}.yaml: training")


def own_variants(declared: Mapping[str, VariantSpec]) -> dict[str, VariantSpec]:
    """The variants of an own task: those declared, and the task's data alone with everything else as in its TLM run."""
    task_only = VariantSpec(
        description="stage 1 on the task's data alone",
        label="Only task data",
        selector="task-only",
        pinned={"stage1": {"rho1": 0}},
    )
    return {**declared, TASK_ONLY: task_only}
