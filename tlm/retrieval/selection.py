"""Selections: the external data of stage 1 (Section 3.1), with where each passage came from.

`bm25` is the union over queries of their top-k passages, best rank kept; `random`, `whole-corpus` and `dsir`
are what it is compared with. All of them write `passages.parquet`, sorted by passage id: passage_id, text, source,
rank (best; 0 where nothing was ranked), score, query_id (of the best rank; the lowest if several; -1),
queries. Each can leave out the passages that audits (`tlm.audit`) found to share text with dev or test rows: nothing
takes their place, so that a selection with a smaller K stays within one with a larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class LeftOut:
    """Passages that no selection may hold: their ids (distinct, ascending), and task → digest of the audit."""

    ids: np.ndarray
    audits: Mapping[str, str]

    def keep(self, ids: np.ndarray) -> np.ndarray:
        """Of each of `ids`, whether it may stay."""
        return np.isin(ids, self.ids, invert=True)


NOTHING = LeftOut(np.zeros(0, np.int64), {})


def read_left_out(audit_dirs: Sequence[Path], corpus_dir: Path) -> LeftOut:
    """What these audits found in the corpus. Raises TlmError if one of them is of another corpus."""
    corpus = read_manifest(corpus_dir, "corpus").digest
    found, digests = [NOTHING.ids], {}
    for folder in audit_dirs:
        audit = read_manifest(folder, "audit")
        if audit.inputs.get("corpus") != corpus:
            raise TlmError(f"{folder}: is no audit of {corpus_dir} as it is now; build it again")
        found.append(
            pq.read_table(folder / "matches.parquet", columns=["passage_id"])["passage_id"].to_numpy()
        )
        digests[audit.parameters["task"]] = audit.digest
    return LeftOut(np.unique(np.concatenate(found)), digests)


def select(
    selector: SelectorSpec,
    corpus_dir: Path,
    destination: Path,
    *,
    retrieval_dir: Path | None = None,
    like: Path | None = None,
    task_dir: Path | None = None,
    without: Sequence[Path] = (),
) -> Manifest:
    """Build the selection that `selector` describes, without what the audits in `without` found.

    Raises TlmError if an input that it needs is not given.
    """
    left_out = read_left_out(without, corpus_dir) if without else NOTHING
    match selector:
        case Bm25Selector():
            if retrieval_dir is None:
                raise TlmError("selector bm25 reads a retrieval: give --retrieval")
            return select_bm25(retrieval_dir, corpus_dir, selector.k, destination, left_out)
        case RandomSelector():
            if like is None:
                raise TlmError("selector random takes another selection's size: give --like")
            return select_random(corpus_dir, like, selector.seed, destination, left_out)
        case DsirSelector():
            if like is None or task_dir is None:
                raise TlmError(
                    "selector dsir takes another selection's size and a task: give --like and --task"
                )
            return select_dsir(
                corpus_dir, task_dir, like, selector.buckets, selector.seed, destination, left_out
            )
        case WholeCorpusSelector():
            return select_whole_corpus(corpus_dir, selector.limit_words, selector.seed, destination, left_out)
        case TaskOnlySelector():
            raise TlmError("selector task-only reads no external data: there is nothing to select")


def select_bm25(
    retrieval_dir: Path, corpus_dir: Path, k: int, destination: Path, left_out: LeftOut = NOTHING
) -> Manifest:
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
    keep = left_out.keep(ids)
    best = order[first_at][keep]
    provenance = {name: values[name][best] for name in ("rank", "score", "query_id")} | {
        "queries": queries[keep]
    }
    parameters = {"selector": "bm25", "k": k}
    inputs = {"retrieval": retrieval.digest}
    return _write(corpus_dir, ids[keep], provenance, destination, parameters, inputs, left_out)


def select_random(
    corpus_dir: Path, like: Path, seed: int, destination: Path, left_out: LeftOut = NOTHING
) -> Manifest:
    """As many passages as the selection `like` holds, drawn without replacement."""
    model = read_manifest(like, "selection")
    total = _passages(corpus_dir)
    size = int(model.counts["passages"])
    drawn = np.random.default_rng(seed).permutation(total)
    ids = np.sort(drawn[left_out.keep(drawn)][:size])
    parameters = {"selector": "random", "seed": seed}
    return _write(corpus_dir, ids, {}, destination, parameters, {"like": model.digest}, left_out)


def select_dsir(
    corpus_dir: Path,
    task_dir: Path,
    like: Path,
    buckets: int,
    seed: int,
    destination: Path,
    left_out: LeftOut = NOTHING,
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
    drawn = np.argsort(-noisy, kind="stable")
    ids = np.sort(drawn[left_out.keep(drawn)][:size])
    parameters = {"selector": "dsir", "buckets": buckets, "seed": seed}
    inputs = {"like": model.digest, "task": queries.task}
    return _write(corpus_dir, ids, {"score": importance[ids]}, destination, parameters, inputs, left_out)


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


def select_whole_corpus(
    corpus_dir: Path, limit_words: int | None, seed: int, destination: Path, left_out: LeftOut = NOTHING
) -> Manifest:
    """Every passage; or, with `limit_words`, passages in a random order until they hold that many words."""
    total = _passages(corpus_dir)
    ids = np.arange(total)
    ids = ids[left_out.keep(ids)]
    if limit_words is not None:
        words = np.concatenate([_words(batch.column("text")) for batch in _batches(corpus_dir, ["text"])])
        order = np.random.default_rng(seed).permutation(total)
        order = order[left_out.keep(order)]
        needed = int(np.searchsorted(np.cumsum(words[order]), limit_words)) + 1
        ids = np.sort(order[:needed])
    parameters = {"selector": "whole-corpus", "limit_words": limit_words, "seed": seed}
    return _write(corpus_dir, ids, {}, destination, parameters, {}, left_out)


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
    left_out: LeftOut,
) -> Manifest:
    """Fetch the texts of `ids` (ascending) from the corpus and write the selection.

    Raises TlmError if none are left, or if the corpus has not all of them.
    """
    corpus = read_manifest(corpus_dir, "corpus")
    if left_out.audits:
        if not len(ids):
            raise TlmError(
                f"{corpus_dir}: every selected passage shares text with dev or test; nothing is left"
            )
        parameters = {**parameters, "exclude": "contaminated"}
        inputs = {**inputs, **{f"audit/{task}": digest for task, digest in left_out.audits.items()}}
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
