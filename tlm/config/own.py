"""Your own tasks: `config/own/<name>.yaml` declares labelled texts, unlabelled text and how to train on both.

Place in the flow: config/own/ → here → `tlm.plan.own_tasks`, which makes a task, a corpus and a scale of each file.
`tlm new` writes such a file; docs/own-data.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict, added
from tlm.config.data import Metric
from tlm.config.parser_specs import Split, Unit
from tlm.config.retrieval import QuerySpec
from tlm.problems import ProblemName

Paths = str | list[str]
Files = TypeVar("Files", bound=Paths | Mapping[Split, Paths])
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def _texts(value: Any) -> Any:
    """Labels that YAML reads as numbers, as text."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    if isinstance(value, dict):
        return {_texts(key): _texts(each) for key, each in value.items()}
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class OwnSplit(Strict):
    """How to split rows whose split has no file: by hash, the same on every machine."""

    dev: float = Field(0.1, ge=0, lt=1)
    """Share of the rows for choosing the checkpoint."""
    test: float = Field(0.2, ge=0, lt=1)
    """Share of the rows for the final score."""
    document: str | None = None
    """Column whose equal values keep rows together in a split (author, patient, thread)."""
    seed: int = 1
    """Another seed gives another split."""


class OwnTask(Strict):
    """The labelled texts: .csv, .tsv, .jsonl, .json, .parquet, .xlsx or fastText lines, also compressed or zipped."""

    files: Paths | dict[Split, Paths]
    """Paths, folders or globs, relative to the project's folder; or separately for `train`, `dev` and `test`. A split
    without files is taken from train."""
    text: Paths = "text"
    """The column with the text, or several that are joined by a space; `a.b` is the key b of objects in column a."""
    text_pair: str | None = None
    """The column with the second text of a pair."""
    label: str = "label"
    """The column with the label, or the number to predict."""
    label_separator: str | None = added(None, min_length=1)
    """For multi_label: what separates the labels in the text of column `label`; by default the column holds lists."""
    label_columns: list[str] | None = added(None, min_length=2)
    """For multi_label: one column per label, which holds 0 or 1, instead of the column `label`."""
    problem: ProblemName = "classification"
    """multi_label: a row has any number of labels, also none. regression: the label is a number."""
    metric: Metric | None = None
    """Default: macro-F1, or for regression the mean of Pearson's and Spearman's correlation. Chooses the checkpoint."""
    unlabelled: Paths | None = None
    """More texts of the same kind without labels: queries of retrieval, and internal data of stage 1 for masked
    language modelling. Read as `files`; a .txt has one text a line."""
    unlabelled_text: Paths | None = None
    """The column with the text in the files of `unlabelled`; by default `text`."""
    labels: list[str] | None = None
    """The closed set of labels, in this order; by default those that occur, sorted."""
    label_names: dict[str, str] = {}
    """Label in the files → name in the model: `{1: bad, 2: good}`. Equal names merge labels."""
    split: OwnSplit = OwnSplit()
    """How splits without a file are made."""
    skip_empty: bool = False
    """Leave out rows without a text or a label, and count them; otherwise they are errors."""
    columns: list[str] | None = None
    """Names of the columns where a CSV, TSV or sheet has no header line."""
    kind: str | None = None
    """Format of the files (csv, tsv, jsonl, json, parquet, excel, fasttext); by default their suffix decides."""
    quoting: bool = True
    """Off for TSV files that use quotation marks as plain characters."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """The character between the fields of a CSV or TSV; by default recognised (comma, semicolon, tab, vertical bar)."""
    sheet: str | None = None
    """The sheet of a workbook; by default its only sheet with cells."""
    encodings: list[str] = ["utf-8"]
    """Tried in this order on each file."""
    limit: dict[Split, PositiveInt] = {}
    """At most so many rows of a split, as a fixed sample."""
    query: QuerySpec | None = None
    """How its texts become queries; by default whole. For very long texts `{mode: top_terms, terms: 50}`."""

    _plain = field_validator("labels", "label_names", mode="before")(_texts)

    @field_validator("files")
    @classmethod
    def _with_train(cls, files: Paths | dict[Split, Paths]) -> Paths | dict[Split, Paths]:
        if isinstance(files, dict) and "train" not in files:
            raise ValueError(
                "files of train are missing; to split a single file, give it without a split's name"
            )
        return _local(files)

    @field_validator("unlabelled")
    @classmethod
    def _local_texts(cls, files: Paths | None) -> Paths | None:
        return files if files is None else _local(files)


class OwnCorpus(Strict):
    """The unlabelled text, read in place: .txt, .md, .html, and the formats of a task, also compressed or zipped."""

    files: Paths
    """Paths, folders and globs, from the project's folder."""
    text: Paths = "text"
    """The column with the text in files with columns, or several that are joined by a space."""
    unit: Unit = "paragraph"
    """A document of a .txt file: text between blank lines, one line, `lines` consecutive lines, or the whole file."""
    lines: PositiveInt = 100
    """For `unit: lines`."""
    quoting: bool = True
    """Off for TSV files that use quotation marks as plain characters."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """The character between the fields of a CSV or TSV; by default recognised."""
    sheet: str | None = None
    """The sheet of a workbook; by default its only sheet with cells."""
    encodings: list[str] = ["utf-8"]
    """Tried in this order on each file."""
    min_words: PositiveInt = 40
    """Words of a passage, at least, unless its document is shorter."""
    max_words: PositiveInt = 120
    """Words of a passage, at most; `stage1.external_length` tokens hold about three quarters as many words."""
    spaces: bool = True
    """Off for writing without spaces between words (Chinese, Japanese, Thai): a character then counts as a word."""

    @field_validator("files")
    @classmethod
    def _plain_paths(cls, files: Paths) -> Paths:
        return _local(files)

    @property
    def paths(self) -> list[str]:
        """The patterns as a list."""
        return [self.files] if isinstance(self.files, str) else self.files

    @property
    def parser(self) -> dict[str, Any]:
        """How its files are read, as plain values."""
        keys = {"text", "unit", "lines", "quoting", "delimiter", "sheet", "encodings"}
        return {"format": "mixed", **self.model_dump(include=keys)}


class OwnTraining(Strict):
    """How to train: a scale of config/scales/, and changes to it. `tlm new` fills it from the data."""

    like: str = "demo"
    """The scale for all settings that are not given here."""
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
    """One line for readers: the meaning of the labels."""
    language: str | None = None
    """For people and the model card, as ISO 639-1: en, de, zh."""
    licence: str = ""
    """Licence of the data, for the model card."""
    task: OwnTask
    """The labelled texts."""
    corpus: OwnCorpus | str
    """Files, or the name of a declared corpus: of config/corpora.yaml or of another own task."""
    training: OwnTraining = OwnTraining()
    """Settings of the runs."""
    compare: bool = False
    """Also train the encoder on the task's data alone and with random passages, to show the effect of retrieval."""

    @model_validator(mode="after")
    def _apart(self) -> OwnSpec:
        corpus = set(self.corpus.paths) if isinstance(self.corpus, OwnCorpus) else set()
        if twice := sorted(set(all_paths(self.task.files)) & corpus):
            raise ValueError(
                f"{twice[0]} is both task and corpus: its test texts would be trained on; take it out of the corpus"
            )
        if twice := sorted(set(all_paths(self.task.unlabelled or [])) & corpus):
            raise ValueError(
                f"{twice[0]} is both unlabelled text and corpus: each text would retrieve itself; take it out of one"
            )
        return self


def _local(files: Files) -> Files:
    """`files`. Raises ValueError for a path that is not one of this machine."""
    for path in all_paths(files):
        if "#" in path or "://" in path or not path:
            raise ValueError(f"{path!r}: a path, folder or glob on this machine, without '#'")
    return files


def all_paths(files: Paths | Mapping[Split, Paths]) -> list[str]:
    """Every path, folder and glob of a `files:`, in order."""
    if isinstance(files, str):
        return [files]
    if isinstance(files, list):
        return files
    return [path for each in files.values() for path in all_paths(each)]
