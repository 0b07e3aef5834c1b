"""Tasks (labelled rows in splits) and corpora (passages), as declared in config/.

Place in the flow: read from config/sources.yaml, config/tasks.yaml and config/corpora.yaml; each entry is
handed as JSON to the rule that builds it, so that a changed entry rebuilds exactly that artifact.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict, added, load_yaml, parse
from tlm.config.parser_specs import (
    Botocore,
    Delimited,
    Globs,
    MedlineAbstracts,
    MedlineSentences,
    Mixed,
    Split,
    Text,
    TextFolders,
)
from tlm.config.retrieval import GivenFiles, QuerySpec
from tlm.config.sources import SourceSpec
from tlm.errors import TlmError
from tlm.problems import PROBLEMS, ProblemName


class SplitRule(Strict):
    """How to split rows: deterministic, by hash. Rows that the parser gives to dev or test stay there."""

    dev: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    by: Literal["document", "row"]
    """`document` keeps a document's rows together; `row` stratifies by label, equal texts stay together."""
    seed: int = 1

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitRule:
        if self.dev + self.test >= 1:
            raise ValueError(f"dev {self.dev} and test {self.test} leave no rows to train on")
        return self


Metric = Literal[
    "micro_f1",
    "macro_f1",
    "accuracy",
    "matthews",
    "accuracy_f1",
    "pearson_spearman",
    "mean_average_precision",
]


class Unlabelled(Strict):
    """More texts of the kind of a task, without labels: queries of retrieval, and internal data of stage 1 for masked
    language modelling. They are in no split."""

    files: Globs
    """Files of the task's source: of any format of rows, read as the task's files are; or .txt, one text a line."""
    text: str | list[str] | None = None
    """The column with the text, or several that are joined by a space; by default those of the task."""


class TaskSpec(Strict):
    """A labelled task: the source of its rows, their splits and the metric."""

    source: str
    parser: Annotated[Delimited | TextFolders | MedlineSentences, Field(discriminator="format")]
    problem: ProblemName = "classification"
    """multi_label: a row has any number of labels, also none. regression: the label is a number."""
    metric: Metric
    labels: list[str] | None = Field(None, min_length=2)
    """The closed set of labels, in this order; by default those that occur, sorted."""
    split: Literal["given"] | SplitRule
    query: QuerySpec | None = None
    """How its training texts become queries, if not as config.yaml declares for all tasks."""
    unlabelled: Unlabelled | None = added(None)
    """More texts without labels, for retrieval and masked language modelling."""
    hidden_test: bool = False
    """The labels of the test split are not public (GLUE): the task has no test split, and scores are those of dev."""
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
        problem = PROBLEMS[self.problem]
        if self.metric not in problem.metrics:
            raise ValueError(f"metric {self.metric} does not score a {self.problem} problem")
        if self.labels is not None and not problem.has_labels:
            raise ValueError("a regression problem has no labels")
        self._check_label_columns()
        given = None if isinstance(self.parser, MedlineSentences) else self.parser.splits
        if self.split == "given" and not given:
            raise ValueError("split: given needs parser.splits, which assigns files to splits")
        if self.hidden_test and (self.split != "given" or "test" in (given or {})):
            raise ValueError("hidden_test is for a task with given splits and no test file among them")
        if self.metric == "accuracy_f1" and self.labels is not None and len(self.labels) != 2:
            raise ValueError("metric accuracy_f1 is for two labels; the second is the positive one")
        return self

    def _check_label_columns(self) -> None:
        many = PROBLEMS[self.problem].many
        if not isinstance(self.parser, Delimited):
            if many:
                raise ValueError("problem: multi_label needs a parser with `format: delimited`")
            return
        given = [key for key in ("label_separator", "label_columns") if getattr(self.parser, key)]
        if given and not many:
            raise ValueError(f"parser.{given[0]} is for problem: multi_label")
        if len(given) == 2:
            raise ValueError("parser.label_separator and parser.label_columns exclude each other")


class CorpusPart(Strict):
    """One source's share of a corpus."""

    source: str
    parser: Annotated[Delimited | Text | Mixed | MedlineAbstracts | Botocore, Field(discriminator="format")]
    name: str | None = None
    """Value of the passages' `source` column; by default the source's name."""


class SampleSpec(Strict):
    """A corpus that is a part of another: the passages whose hash falls below `share`.

    Samples of one corpus are nested: a tenth lies within a fifth.
    """

    of: str
    share: float = Field(gt=0, lt=1)


class CorpusSpec(Strict):
    """A general corpus, and the sizes of its passages in words; or a sample of another corpus."""

    parts: list[CorpusPart] = []
    sample: SampleSpec | None = None
    """Instead of `parts`."""
    min_words: PositiveInt = 40
    max_words: PositiveInt = 120
    spaces: bool = added(True)
    """Off for writing without spaces between words: a character then counts as a word."""
    description: str = ""

    @property
    def sources(self) -> list[str]:
        """The sources, each once, in order."""
        return list(dict.fromkeys(part.source for part in self.parts))

    @model_validator(mode="after")
    def _room(self) -> CorpusSpec:
        if (self.sample is None) == (not self.parts):
            raise ValueError("give either parts or sample")
        if self.sample is not None and (self.min_words, self.max_words) != (40, 120):
            raise ValueError(
                "the passages of a sample are those of its corpus: leave out min_words and max_words"
            )
        if self.max_words < 2 * self.min_words:
            raise ValueError("max_words must be at least twice min_words, or text could not be cut to size")
        return self


class GivenSpec(GivenFiles):
    """A selection that was made elsewhere (`selections:` of config/corpora.yaml), for the selector `given`."""

    source: str
    """The source with its files."""
    description: str = ""


class DataConfig(Strict):
    """The contents of the three files."""

    sources: dict[str, SourceSpec]
    tasks: dict[str, TaskSpec]
    corpora: dict[str, CorpusSpec]
    selections: dict[str, GivenSpec] = {}


class _Sources(Strict):
    sources: dict[str, SourceSpec]


class _Tasks(Strict):
    tasks: dict[str, TaskSpec]


class PassagesFile(Strict):
    """config/corpora.yaml."""

    corpora: dict[str, CorpusSpec]
    """Corpora by name."""
    selections: dict[str, GivenSpec] = {}
    """Selections that were made elsewhere, by name: the values of `given:` in a variant or in a scale's `per_task`."""


_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def load_data_config(folder: Path) -> DataConfig:
    """Read sources.yaml, tasks.yaml and corpora.yaml of `folder`.

    Raises TlmError naming the file and the key, also for a task or corpus whose source does not exist.
    """
    paths = {name: folder / f"{name}.yaml" for name in ("sources", "tasks", "corpora")}
    sources = parse(_Sources, load_yaml(paths["sources"]), str(paths["sources"])).sources
    tasks = parse(_Tasks, load_yaml(paths["tasks"]), str(paths["tasks"])).tasks
    passages = parse(PassagesFile, load_yaml(paths["corpora"]), str(paths["corpora"]))
    corpora, selections = passages.corpora, passages.selections
    paths["selections"] = paths["corpora"]
    entries: list[tuple[str, dict[str, Any]]] = [
        ("sources", sources),
        ("tasks", tasks),
        ("corpora", corpora),
        ("selections", selections),
    ]
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
    used += [("selections", f"selections.{name}.source", each.source) for name, each in selections.items()]
    for kind, key, source in used:
        if source not in sources:
            raise TlmError(f"{paths[kind]}: {key}: no source {source!r} in {paths['sources']}")
    for name, corpus in corpora.items():
        if corpus.sample is not None and (
            corpus.sample.of not in corpora or corpora[corpus.sample.of].sample is not None
        ):
            whole = ", ".join(sorted(other for other, each in corpora.items() if each.sample is None))
            raise TlmError(
                f"{paths['corpora']}: corpora.{name}.sample.of: no corpus {corpus.sample.of!r} to take a part of; "
                f"there are {whole}"
            )
    if both := sorted(set(selections) & set(corpora)):
        raise TlmError(f"{paths['corpora']}: {both[0]!r} is both a corpus and a selection; rename one")
    return DataConfig(sources=sources, tasks=tasks, corpora=corpora, selections=selections)
