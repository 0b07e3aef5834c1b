"""Specifications of the index, the queries and the selection of passages (Sections 3 and 4.1).

An index depends on `IndexSpec` alone, a retrieval on all of `RetrievalSpec`: a changed K or query mode leaves
the index as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, RootModel, model_validator

from tlm.config.base import Strict


class IndexSpec(Strict):
    """How passages become terms, and how terms score."""

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
    terms: PositiveInt | None = None
    """`top_terms`: number of distinct terms with the highest qtf · idf."""

    @model_validator(mode="after")
    def _terms(self) -> QuerySpec:
        if (self.mode == "top_terms") != (self.terms is not None):
            raise ValueError("`terms` belongs to mode top_terms, which needs it")
        return self


class RetrievalSpec(Strict):
    """Top-k passages for every training text. `k` is the largest K that any selection reads."""

    k: PositiveInt
    index: IndexSpec = IndexSpec()
    query: QuerySpec = QuerySpec()


class Bm25Selector(Strict):
    """The union of every query's top-k passages (TLM)."""

    selector: Literal["bm25"]
    k: PositiveInt


class RandomSelector(Strict):
    """As many passages as the selection `like`, drawn without replacement (Table 3)."""

    selector: Literal["random"]
    like: str
    seed: int = 0


class DsirSelector(Strict):
    """As many passages as the selection `like`, drawn by importance (Xie et al. 2023, arXiv 2302.03169).

    Passages are weighed by how much more likely their words and pairs of words are in the task's training
    texts than in the corpus.
    """

    selector: Literal["dsir"]
    like: str
    seed: int = 0
    buckets: PositiveInt = 10_000  # the paper's
    """Words and pairs are hashed into so many features."""


class WholeCorpusSelector(Strict):
    """All of the corpus; or, with `limit_words`, passages in a seeded random order until that many words."""

    selector: Literal["whole-corpus"]
    limit_words: PositiveInt | None = None
    seed: int = 0


class TaskOnlySelector(Strict):
    """No external data at all: there is nothing to build."""

    selector: Literal["task-only"]


SelectorSpec = Annotated[
    Bm25Selector | RandomSelector | DsirSelector | WholeCorpusSelector | TaskOnlySelector,
    Field(discriminator="selector"),
]


class Selector(RootModel[SelectorSpec]):
    """Any selector, told apart by its name: what a rule hands to `scripts/selection.py`."""
