"""Settings of retrieval: the index, the queries, and the selectors, which choose passages (Sections 3 and 4.1).

An index depends on `IndexSpec` alone, a retrieval on all of `RetrievalSpec`: changing K or the query mode does not
rebuild the index.

A selector is declared here, as a subclass of `SelectorSpec`; its function is in `tlm.retrieval.selectors`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from tlm.config.base import Strict, added, parse, parse_json


class IndexSpec(Strict):
    """How passages are split into terms, and how BM25 scores them."""

    analyser: Literal["standard"] = "standard"
    """Unicode words (UAX #29), lower-cased: Elasticsearch's analyser of that name."""
    stop_words: Literal["none", "english"] = "none"
    """`english`: scikit-learn's list. The paper keeps stop words."""
    stemmer: Literal["none", "english"] = "none"
    """`english`: NLTK's Snowball stemmer, after the stop words."""
    k1: float = Field(1.2, ge=0)  # Elasticsearch's default, which the paper uses
    b: float = Field(0.75, ge=0, le=1)  # likewise
    norms: Literal["exact", "lucene"] = "exact"
    """`lucene` rounds a passage's length to one byte, as Lucene stores it."""


class QuerySpec(Strict):
    """How a training text becomes a query. `text`: the whole text, as in the paper except for Helpfulness."""

    mode: Literal["text", "rake", "top_terms"] = "text"
    phrases: PositiveInt = 20
    """`rake`: number of best phrases to join (the authors' code for Helpfulness)."""
    above_words: int = Field(0, ge=0)
    """`rake`: texts of at most this many words are used whole."""
    mean_words: int = added(0, ge=0)
    """`rake`: the texts of a task are used whole if they have fewer words than this on average."""
    stop_words: Literal["sklearn", "nltk"] = added("sklearn")
    """`rake`: scikit-learn's stop words, or those of NLTK, which are the default of rake-nltk and so the authors'."""
    drop_over: PositiveInt | None = added(None)
    """A query of more words than this finds nothing, with repetitions counted: Elasticsearch refused the authors'
    queries of more than 1,024 clauses, and their code continued without them. For an exact replication: 1024."""
    terms: PositiveInt | None = None
    """`top_terms`: number of distinct terms with the highest qtf · idf."""

    @model_validator(mode="after")
    def _terms(self) -> QuerySpec:
        if (self.mode == "top_terms") != (self.terms is not None):
            raise ValueError("set `terms` with mode top_terms, and with no other mode")
        return self


class RetrievalSpec(Strict):
    """Top-k passages for every training text. `k` is the largest K that any selection reads."""

    k: PositiveInt
    index: IndexSpec = IndexSpec()
    query: QuerySpec = QuerySpec()


SELECTOR_INPUTS = {
    "retrieval": ("retrieval", "the retrieval artifact"),
    "like": ("selection", "the selection whose number of passages is taken"),
    "task": ("task", "the task artifact"),
    "source": ("source", "the source artifact with the selection's files"),
    "whole": ("selection", "the same selection with the passages to leave out"),
}
"""Name → kind of artifact and description of everything that a selector may read besides the corpus."""

SELECTORS: dict[str, type[SelectorSpec]] = {}
"""Name → specification of every selector. Subclasses of `SelectorSpec` enter themselves."""


class SelectorSpec(Strict):
    """Settings of one selector. A subclass declares a selector: its name is the default of the field `selector`.

    `tlm.plan.selections` fills the fields `k` or `limit_words` (the size), `like` and `seed` where they exist; other
    fields keep their defaults.
    """

    selector: str
    inputs: ClassVar[tuple[str, ...]] = ()
    """Names from SELECTOR_INPUTS that the selector's function reads besides the corpus."""
    reads_corpus: ClassVar[bool] = True
    """False: the passages come from elsewhere, and there is no corpus."""
    size: ClassVar[Literal["k", "limit_words"]] = "k"
    """Meaning of a selection's size. Variants may name a selector whose size is K."""
    folder: ClassVar[str] = "{selector}-k{size}"
    """Name of a selection's folder."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        SELECTORS[cls.model_fields["selector"].default] = cls


class Bm25Selector(SelectorSpec):
    """The union of every query's top-k passages (TLM)."""

    selector: Literal["bm25"] = "bm25"
    k: PositiveInt
    inputs = ("retrieval",)


class LabelledBm25Selector(SelectorSpec):
    """The union of the top-k passages of the training texts alone, without those of the task's unlabelled texts."""

    selector: Literal["bm25-labelled"] = "bm25-labelled"
    k: PositiveInt
    inputs = ("retrieval", "task")


class RandomSelector(SelectorSpec):
    """As many passages as the selection `like`, drawn without replacement (Table 3)."""

    selector: Literal["random"] = "random"
    like: str
    seed: int = 0
    inputs = ("like",)


class DsirSelector(SelectorSpec):
    """As many passages as the selection `like`, drawn by importance (Xie et al. 2023, arXiv 2302.03169).

    A passage's importance is the likelihood ratio of its words and pairs of words: in the task's training texts
    against the corpus.
    """

    selector: Literal["dsir"] = "dsir"
    like: str
    buckets: PositiveInt = 10_000  # the value of Xie et al.
    """Number of features that words and pairs are hashed into."""
    seed: int = 0
    inputs = ("like", "task")


class WholeCorpusSelector(SelectorSpec):
    """All of the corpus; or, with `limit_words`, passages in a seeded random order until that many words."""

    selector: Literal["whole-corpus"] = "whole-corpus"
    limit_words: PositiveInt | None = None
    seed: int = 0
    size = "limit_words"
    folder = "whole-{size}w"


class GivenFiles(Strict):
    """Files of a selection that was made elsewhere: CSV, TSV, JSON Lines or Parquet, also compressed."""

    files: str | list[str] = "**/*"
    """Which files of the source; in the order of the globs, then of the names."""
    kind: str | None = None
    """Format of the files (csv, tsv, jsonl, parquet); by default their suffix decides."""
    text: str = "text"
    """The column with the passages."""
    rank: str | None = None
    """The column with a passage's rank for its query; without it, `rank` where the files have that column."""
    first_rank: Literal[0, 1] = 1
    """0: the files count ranks from 0, as the authors' code does."""
    score: str | None = None
    """The column with a passage's score; without it, `score` where the files have that column."""
    query: str | None = None
    """The column with the query, as the `row_id` of a training row or as its text; without it, `query` where the files
    have that column."""
    encodings: list[str] = Field(["utf-8"], min_length=1)
    """Tried in this order on each file."""


class GivenSelector(SelectorSpec, GivenFiles):
    """The passages of files that hold a selection, e.g. the one that the paper's authors released."""

    selector: Literal["given"] = "given"
    name: str
    """Name of the selection in config/corpora.yaml; the passages' `source` column."""
    inputs = ("source", "task")
    reads_corpus = False
    folder = "given"


def _registered(name: str) -> str:
    if name not in SELECTORS:
        raise ValueError(f"must be one of {', '.join(SELECTORS)}, got {name!r}")
    return name


class _Named(BaseModel):
    """A selector's settings, of which only the name has been checked."""

    model_config = ConfigDict(extra="allow")

    selector: Annotated[str, AfterValidator(_registered)]


def parse_selector(text: str, where: str) -> SelectorSpec:
    """The settings of any selector from JSON `text` or `@file`. Raises TlmError naming `where` and the wrong key."""
    named = parse_json(_Named, text, where)
    return parse(SELECTORS[named.selector], named.model_dump(), where)
