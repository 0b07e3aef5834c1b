"""The selectors' functions: which passages of a corpus become external data (Section 3.1, Table 3).

Place in the flow: `tlm.config.retrieval` declares each selector → here → `tlm.retrieval.selection` writes the passages
that a function chooses. `@selects(Spec)` connects a function with the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.retrieval import (
    Bm25Selector,
    DsirSelector,
    LabelledBm25Selector,
    RandomSelector,
    SelectorSpec,
    WholeCorpusSelector,
)
from tlm.errors import TlmError
from tlm.retrieval.analyser import Analysed, analyse, count_grams, sum_grams
from tlm.retrieval.queries import training_texts

SCHEMA = pa.schema(
    [
        ("passage_id", pa.int64()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("query_id", pa.int64()),
        ("queries", pa.int32()),
    ]
)
"""The columns of a selection's `passages.parquet` (`tlm.retrieval.selection`)."""

_ROWS = 8192  # rows read at a time


@dataclass(frozen=True)
class ExcludedPassages:
    """Passages that no selection may hold: their ids (distinct, ascending), and task → digest of the audit."""

    ids: np.ndarray
    audits: Mapping[str, str]

    def allowed(self, ids: np.ndarray) -> np.ndarray:
        """bool: for each of `ids`, whether a selection may hold the passage."""
        return np.isin(ids, self.ids, invert=True)


@dataclass(frozen=True)
class SelectorInputs:
    """The folders that a selector's function reads, and the passages that it must not choose."""

    corpus: Path
    folders: Mapping[str, Path]  # by the names in the specification's `inputs`
    excluded: ExcludedPassages


@dataclass(frozen=True)
class ChosenPassages:
    """Passages chosen by a selector: ids, ascending, and columns of `SCHEMA` (one value per id)."""

    ids: np.ndarray
    provenance: Mapping[str, np.ndarray] = field(default_factory=dict)


Spec = TypeVar("Spec", bound=SelectorSpec)
SelectorFunction = Callable[[Any, SelectorInputs], ChosenPassages]

FUNCTIONS: dict[type[SelectorSpec], SelectorFunction] = {}


def selects(
    spec: type[Spec],
) -> Callable[[Callable[[Spec, SelectorInputs], ChosenPassages]], SelectorFunction]:
    """Decorator: the function chooses the passages of the selector that `spec` declares."""

    def register(function: Callable[[Spec, SelectorInputs], ChosenPassages]) -> SelectorFunction:
        FUNCTIONS[spec] = function
        return function

    return register


@selects(Bm25Selector)
def select_bm25(spec: Bm25Selector, inputs: SelectorInputs) -> ChosenPassages:
    """The union of every query's first k passages. Raises TlmError if the retrieval holds fewer than k."""
    return _first_passages(spec.k, inputs)


@selects(LabelledBm25Selector)
def select_labelled_bm25(spec: LabelledBm25Selector, inputs: SelectorInputs) -> ChosenPassages:
    """The same, of the queries that are rows of the training split."""
    rows = pq.read_table(inputs.folders["task"] / "train.parquet", columns=["row_id"])["row_id"]
    return _first_passages(spec.k, inputs, rows.combine_chunks())


def _first_passages(k: int, inputs: SelectorInputs, queries: pa.Array | None = None) -> ChosenPassages:
    """The union of the first k passages of all queries, or of `queries`."""
    folder = inputs.folders["retrieval"]
    stored = read_manifest(folder, "retrieval").parameters["k"]
    if k > stored:
        raise TlmError(
            f"{folder}: holds the top {stored} of each query, the selector needs {k}; retrieve again"
        )
    # Bounded memory: only the rows of the first k ranks are kept, as arrays.
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("passage_id", "rank", "score", "query_id")}
    for batch in pq.ParquetFile(folder / "topk.parquet").iter_batches():
        first = batch.filter(pc.less_equal(batch.column("rank"), k))
        if queries is not None:
            first = first.filter(pc.is_in(first.column("query_id"), value_set=queries))
        for name, chunks in columns.items():
            chunks.append(first.column(name).to_numpy())
    values = {name: np.concatenate(chunks) for name, chunks in columns.items() if chunks}
    if not values or not len(values["rank"]):
        raise TlmError(f"{folder}: no query shares a word with the corpus; is it the right corpus?")
    order = np.lexsort((values["query_id"], values["rank"], values["passage_id"]))
    ids, first_at, counts = np.unique(values["passage_id"][order], return_index=True, return_counts=True)
    allowed = inputs.excluded.allowed(ids)
    best = order[first_at][allowed]
    provenance = {name: values[name][best] for name in ("rank", "score", "query_id")}
    return ChosenPassages(ids[allowed], {**provenance, "queries": counts[allowed]})


@selects(RandomSelector)
def select_random(spec: RandomSelector, inputs: SelectorInputs) -> ChosenPassages:
    """As many passages as the selection `like` holds, drawn without replacement."""
    size = _size_of(inputs.folders["like"])
    drawn = np.random.default_rng(spec.seed).permutation(passage_count(inputs.corpus))
    return ChosenPassages(np.sort(drawn[inputs.excluded.allowed(drawn)][:size]))


@selects(DsirSelector)
def select_dsir(spec: DsirSelector, inputs: SelectorInputs) -> ChosenPassages:
    """As many passages as `like` holds, drawn without replacement in proportion to their importance.

    DSIR (Xie et al. 2023): the importance of a passage is how much more likely its words and pairs of adjacent
    words, hashed into buckets, are under the task's training texts than under the corpus. Adding Gumbel noise to its
    logarithm (the score) and taking the largest draws without replacement.
    """
    size = _size_of(inputs.folders["like"])
    target = _bucket_counts(analyse(training_texts(inputs.folders["task"]).texts), spec.buckets)
    raw = np.zeros(spec.buckets, np.int64)
    for batch in corpus_batches(inputs.corpus, ["text"]):
        raw += _bucket_counts(analyse(batch.column("text")), spec.buckets)
    # The constant is from the authors' code: a bucket that the task never uses still has a logarithm.
    ratio = np.log(target / target.sum() + 1e-8) - np.log(raw / raw.sum() + 1e-8)
    batches = corpus_batches(inputs.corpus, ["text"])
    importance = np.concatenate([_bucket_sums(analyse(batch.column("text")), ratio) for batch in batches])
    noisy = importance + np.random.default_rng(spec.seed).gumbel(size=len(importance))
    drawn = np.argsort(-noisy, kind="stable")
    ids = np.sort(drawn[inputs.excluded.allowed(drawn)][:size])
    return ChosenPassages(ids, {"score": importance[ids]})


@selects(WholeCorpusSelector)
def select_whole_corpus(spec: WholeCorpusSelector, inputs: SelectorInputs) -> ChosenPassages:
    """Every passage; or, with `limit_words`, passages in a random order until they hold that many words."""
    total = passage_count(inputs.corpus)
    if spec.limit_words is None:
        ids = np.arange(total)
        return ChosenPassages(ids[inputs.excluded.allowed(ids)])
    batches = corpus_batches(inputs.corpus, ["text"])
    words = np.concatenate([word_counts(batch.column("text")) for batch in batches])
    order = np.random.default_rng(spec.seed).permutation(total)
    order = order[inputs.excluded.allowed(order)]
    needed = int(np.searchsorted(np.cumsum(words[order]), spec.limit_words)) + 1
    return ChosenPassages(np.sort(order[:needed]))


def _bucket_counts(analysed: Analysed, buckets: int) -> np.ndarray:
    """int64 [buckets]: how often the words and pairs of each bucket occur, over all texts."""
    counts = np.zeros(buckets, np.int64)
    count_grams(analysed.stream, analysed.starts, analysed.terms.hashes, counts)
    return counts


def _bucket_sums(analysed: Analysed, values: np.ndarray) -> np.ndarray:
    """float64 [texts]: the sum of `values` [buckets] over each text's words and pairs."""
    sums = np.zeros(len(analysed.starts) - 1)
    sum_grams(analysed.stream, analysed.starts, analysed.terms.hashes, values, sums)
    return sums


def _size_of(selection_dir: Path) -> int:
    return int(read_manifest(selection_dir, "selection").counts["passages"])


def passage_count(corpus_dir: Path) -> int:
    """Passages of a corpus. Raises TlmError if there are none."""
    total = int(read_manifest(corpus_dir, "corpus").counts["passages"])
    if total == 0:
        raise TlmError(f"{corpus_dir}: the corpus holds no passages to select from")
    return total


def word_counts(texts: pa.Array) -> np.ndarray:
    """Number of words (separated by white space) of each text."""
    return pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))).to_numpy()


def corpus_batches(corpus_dir: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The corpus in order, in small batches."""
    for path in sorted(corpus_dir.glob("*.parquet")):
        yield from pq.ParquetFile(path).iter_batches(_ROWS, columns=columns)
