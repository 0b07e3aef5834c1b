"""Selections: the external data of stage 1 (Section 3.1), with where each passage came from.

`bm25` is the union over queries of their top-k passages, best rank kept; `random`, `whole-corpus` and `dsir`
are what it is compared with. All of them write `passages.parquet`, sorted by passage id: passage_id, text, source,
rank (best; 0 where nothing was ranked), score, query_id (of the best rank; the lowest if several; -1),
queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import (
    Bm25Selector,
    DsirSelector,
    RandomSelector,
    SelectorSpec,
    TaskOnlySelector,
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
_ROWS = 8192


def select(
    selector: SelectorSpec,
    corpus_dir: Path,
    destination: Path,
    *,
    retrieval_dir: Path | None = None,
    like: Path | None = None,
    task_dir: Path | None = None,
) -> Manifest:
    """Build the selection that `selector` describes. Raises TlmError if an input that it needs is not given."""
    match selector:
        case Bm25Selector():
            if retrieval_dir is None:
                raise TlmError("selector bm25 reads a retrieval: give --retrieval")
            return select_bm25(retrieval_dir, corpus_dir, selector.k, destination)
        case RandomSelector():
            if like is None:
                raise TlmError("selector random takes another selection's size: give --like")
            return select_random(corpus_dir, like, selector.seed, destination)
        case DsirSelector():
            if like is None or task_dir is None:
                raise TlmError(
                    "selector dsir takes another selection's size and a task: give --like and --task"
                )
            return select_dsir(corpus_dir, task_dir, like, selector.buckets, selector.seed, destination)
        case WholeCorpusSelector():
            return select_whole_corpus(corpus_dir, selector.limit_words, selector.seed, destination)
        case TaskOnlySelector():
            raise TlmError("selector task-only reads no external data: there is nothing to select")


def select_bm25(retrieval_dir: Path, corpus_dir: Path, k: int, destination: Path) -> Manifest:
    """The union of every query's first k passages. Raises TlmError if the retrieval holds fewer than k."""
    retrieval = read_manifest(retrieval_dir, "retrieval")
    held = retrieval.parameters["k"]
    if k > held:
        raise TlmError(
            f"{retrieval_dir}: holds the top {held} of each query, {k} are asked for; retrieve again"
        )
    # Bounded memory: only the rows of the first k ranks are kept, as arrays.
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("passage_id", "rank", "score", "query_id")}
    for batch in pq.ParquetFile(retrieval_dir / "topk.parquet").iter_batches():
        first = batch.filter(pc.less_equal(batch.column("rank"), k))
        for name, chunks in columns.items():
            chunks.append(first.column(name).to_numpy())
    values = {name: np.concatenate(chunks) for name, chunks in columns.items() if chunks}
    if not values or not len(values["rank"]):
        raise TlmError(f"{retrieval_dir}: no query shares a word with the corpus; is it the right corpus?")
    order = np.lexsort((values["query_id"], values["rank"], values["passage_id"]))
    ids, first_at, queries = np.unique(values["passage_id"][order], return_index=True, return_counts=True)
    best = order[first_at]
    provenance = {name: values[name][best] for name in ("rank", "score", "query_id")} | {"queries": queries}
    parameters = {"selector": "bm25", "k": k}
    inputs = {"retrieval": retrieval.digest}
    return _write(corpus_dir, ids, provenance, destination, parameters, inputs)


def select_random(corpus_dir: Path, like: Path, seed: int, destination: Path) -> Manifest:
    """As many passages as the selection `like` holds, drawn without replacement."""
    model = read_manifest(like, "selection")
    total = _passages(corpus_dir)
    size = int(model.counts["passages"])
    ids = np.sort(np.random.default_rng(seed).permutation(total)[:size])
    parameters = {"selector": "random", "seed": seed}
    return _write(corpus_dir, ids, {}, destination, parameters, {"like": model.digest})


def select_dsir(
    corpus_dir: Path, task_dir: Path, like: Path, buckets: int, seed: int, destination: Path
) -> Manifest:
    """As many passages as `like` holds, drawn without replacement in proportion to their importance.

    DSIR (Xie et al. 2023): the importance of a passage is how much more likely its words and pairs of adjacent
    words, hashed into `buckets`, are under the task's training texts than under the corpus. Adding Gumbel noise
    to its logarithm (the score) and taking the largest draws without replacement.
    """
    model = read_manifest(like, "selection")
    queries = training_texts(task_dir)
    target = _bucket_counts(analyse(queries.texts), buckets)
    raw = np.zeros(buckets, np.int64)
    for batch in _batches(corpus_dir, ["text"]):
        raw += _bucket_counts(analyse(batch.column("text")), buckets)
    # The constant is the authors' own: it keeps a bucket that the task never uses from having no logarithm.
    ratio = np.log(target / target.sum() + 1e-8) - np.log(raw / raw.sum() + 1e-8)
    weights = [_bucket_sums(analyse(batch.column("text")), ratio) for batch in _batches(corpus_dir, ["text"])]
    importance = np.concatenate(weights)
    size = int(model.counts["passages"])
    noisy = importance + np.random.default_rng(seed).gumbel(size=len(importance))
    ids = np.sort(np.argsort(-noisy, kind="stable")[:size])
    parameters = {"selector": "dsir", "buckets": buckets, "seed": seed}
    inputs = {"like": model.digest, "task": queries.task}
    return _write(corpus_dir, ids, {"score": importance[ids]}, destination, parameters, inputs)


def _bucket_counts(analysed: Analysed, buckets: int) -> np.ndarray:
    """How often each bucket's words and pairs occur in all texts."""
    counts = np.zeros(buckets, np.int64)
    count_grams(analysed.stream, analysed.starts, analysed.terms.hashes, counts)
    return counts


def _bucket_sums(analysed: Analysed, values: np.ndarray) -> np.ndarray:
    """Of every text, the sum of `values` [buckets] over its words and pairs."""
    sums = np.zeros(len(analysed.starts) - 1)
    sum_grams(analysed.stream, analysed.starts, analysed.terms.hashes, values, sums)
    return sums


def select_whole_corpus(corpus_dir: Path, limit_words: int | None, seed: int, destination: Path) -> Manifest:
    """Every passage; or, with `limit_words`, passages in a random order until they hold that many words."""
    total = _passages(corpus_dir)
    ids = np.arange(total)
    if limit_words is not None:
        words = np.concatenate([_words(batch.column("text")) for batch in _batches(corpus_dir, ["text"])])
        order = np.random.default_rng(seed).permutation(total)
        needed = int(np.searchsorted(np.cumsum(words[order]), limit_words)) + 1
        ids = np.sort(order[:needed])
    parameters = {"selector": "whole-corpus", "limit_words": limit_words, "seed": seed}
    return _write(corpus_dir, ids, {}, destination, parameters, {})


def _passages(corpus_dir: Path) -> int:
    total = int(read_manifest(corpus_dir, "corpus").counts["passages"])
    if total == 0:
        raise TlmError(f"{corpus_dir}: the corpus holds no passages; there is nothing to select")
    return total


def _words(texts: pa.Array) -> np.ndarray:
    """Words between white space of each text."""
    return pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))).to_numpy()


def _batches(corpus_dir: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The corpus in order, in small batches."""
    for path in sorted(corpus_dir.glob("*.parquet")):
        yield from pq.ParquetFile(path).iter_batches(_ROWS, columns=columns)


def _write(
    corpus_dir: Path,
    ids: np.ndarray,
    provenance: Mapping[str, np.ndarray],
    destination: Path,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> Manifest:
    """Fetch the texts of `ids` (ascending) from the corpus and write the selection."""
    corpus = read_manifest(corpus_dir, "corpus")
    nothing = {"rank": 0, "score": 0.0, "query_id": -1, "queries": 0}
    written = size = words = 0
    with staged_directory(destination) as working:
        with pq.ParquetWriter(working / "passages.parquet", SCHEMA, compression="zstd") as writer:
            for batch in _batches(corpus_dir, ["passage_id", "text", "source"]):
                here = batch.column("passage_id").to_numpy()
                low, high = np.searchsorted(ids, (here[0], here[-1] + 1))
                if low == high:
                    continue
                chosen = batch.take(pa.array(ids[low:high] - here[0]))
                columns = [chosen.column(name) for name in ("passage_id", "text", "source")]
                for field in list(SCHEMA)[3:]:
                    values = provenance.get(field.name)
                    column = np.full(high - low, nothing[field.name]) if values is None else values[low:high]
                    columns.append(pa.array(column, field.type))
                columns = [column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
                written += len(chosen)
                size += pc.sum(pc.binary_length(chosen.column("text"))).as_py()
                words += int(_words(chosen.column("text")).sum())
        if written != len(ids):
            raise TlmError(
                f"{corpus_dir}: lacks {len(ids) - written} of the selected passages; retrieve again"
            )
        return write_manifest(
            working,
            "selection",
            counts={"passages": written, "bytes": size, "words": words},
            parameters=parameters,
            inputs={"corpus": corpus.digest, **inputs},
        )
