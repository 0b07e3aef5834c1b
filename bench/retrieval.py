"""Index and search the same corpus with this engine, bm25s (numba) and tantivy, side by side.

    python bench/retrieval.py --corpus 'corpus/*.jsonl.zst' --queries train.jsonl.zst [--threads 1] [--grow]

Needs the `bench` extra (bm25s, tantivy). Rounds alternate between the engines, so that other
work on the machine affects all of them alike; the best round of each engine counts. Timed:

- build: text in memory to a finished index. Ours reads the text from Parquet and writes its index to disk, with
  checksums; tantivy keeps no text and no positions; bm25s splits words, indexes, and stays in memory.
- search: queries in memory to ids and scores. tantivy gets finished query objects, bm25s tokenized queries; ours
  gets texts. Ours gets all queries, since it is built for batches; the others get the first `--sample` queries,
  since their rate does not depend on the number.

Memory is the peak of a separate process that builds and searches at k = 50. `--grow` also measures a corpus four times
as large, to show that memory does not grow with it. The last line is JSON, name → number.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import io
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tlm.artifacts import write_manifest
from tlm.config.retrieval import IndexSpec
from tlm.retrieval.index import build_index
from tlm.retrieval.search import EmbeddedIndex

WORD = re.compile(r"\w+")
KS = (50, 5000)


def read_texts(pattern: str) -> Iterator[str]:
    """The field `text` of every row of the files: JSON lines, plain or zstd, or Parquet."""
    # Path.glob takes no absolute pattern.
    names = sorted(glob.glob(pattern))  # noqa: PTH207
    if not names:
        raise SystemExit(f"{pattern}: no such file")
    for name in names:
        if name.endswith(".parquet"):
            for batch in pq.ParquetFile(name).iter_batches(columns=["text"]):
                yield from batch.column(0).to_pylist()
            continue
        with open(name, "rb") as raw:  # noqa: PTH123
            stream = zstandard.ZstdDecompressor().stream_reader(raw) if name.endswith(".zst") else raw
            for line in io.TextIOWrapper(stream, encoding="utf-8"):
                yield json.loads(line)["text"]


def write_corpus(texts: list[str], directory: Path, times: int = 1) -> Path:
    """Write a corpus artifact with the texts repeated `times` times."""
    directory.mkdir()
    rows = 50_000
    first = part = 0
    for _ in range(times):
        for start in range(0, len(texts), rows):
            chunk = texts[start : start + rows]
            ids = pa.array(range(first, first + len(chunk)), pa.int64())
            table = pa.table({"passage_id": ids, "text": pa.array(chunk, pa.string())})
            pq.write_table(table, directory / f"part-{part:05d}.parquet", compression="zstd")
            first, part = first + len(chunk), part + 1
    write_manifest(directory, "corpus", counts={"passages": first}, parameters={})
    return directory


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the progress lines of the engines."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result of `work`."""
    start = time.perf_counter()
    with quiet():
        result = work()
    return time.perf_counter() - start, result


class Ours:
    """This engine."""

    def __init__(self, corpus: Path, scratch: Path, threads: int) -> None:
        self.corpus, self.index, self.threads = corpus, scratch / "index", threads

    def build(self) -> None:
        """Text to index."""
        if self.index.exists():
            for path in self.index.iterdir():
                path.unlink()
        build_index(self.corpus, self.index, IndexSpec(), self.threads)

    def search(self, queries: list[str], k: int) -> Any:
        """Ids and scores."""
        return EmbeddedIndex(self.index).top_k(queries, k, self.threads)

    def prepare(self, queries: list[str]) -> list[str]:
        """The queries in the form that `search` takes."""
        return queries


class Bm25s:
    """bm25s with its numba backend and Lucene's scores."""

    def __init__(self, texts: list[str], threads: int) -> None:
        self.texts, self.threads = texts, threads

    def _tokens(self, texts: list[str]) -> Any:
        import bm25s

        return bm25s.tokenize(texts, token_pattern=r"(?u)\b\w+\b", stopwords=None, show_progress=False)

    def build(self) -> None:
        """Text to index."""
        import bm25s

        self.engine = bm25s.BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
        self.engine.index(self._tokens(self.texts), show_progress=False)

    def prepare(self, queries: list[str]) -> Any:
        """The queries in the form that `search` takes."""
        return self._tokens(queries)

    def search(self, queries: Any, k: int) -> Any:
        """Ids and scores."""
        return self.engine.retrieve(queries, k=k, n_threads=self.threads, show_progress=False)


class Tantivy:
    """tantivy, with at least one segment per writer thread."""

    def __init__(self, texts: list[str], threads: int) -> None:
        self.texts, self.threads = texts, threads

    def build(self) -> None:
        """Text to index."""
        import tantivy

        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", stored=False, index_option="freq")
        self.schema = builder.build()
        self.scratch = tempfile.TemporaryDirectory()
        self.index = tantivy.Index(self.schema, path=self.scratch.name)
        writer = self.index.writer(heap_size=500_000_000, num_threads=self.threads)
        for text in self.texts:
            writer.add_document(tantivy.Document(text=text))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def prepare(self, queries: list[str]) -> list[Any]:
        """The queries in the form that `search` takes."""
        import tantivy

        made = []
        for text in queries:
            clauses = []
            for term, times in Counter(WORD.findall(text.lower())).items():
                query = tantivy.Query.term_query(self.schema, "text", term)
                query = tantivy.Query.boost_query(query, float(times)) if times > 1 else query
                clauses.append((tantivy.Occur.Should, query))
            made.append(tantivy.Query.boolean_query(clauses))
        return made

    def search(self, queries: list[Any], k: int) -> Any:
        """Ids and scores."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda query: self.searcher.search(query, k, count=False), queries))


def _peak(corpus: Path, queries: list[str], threads: int, out: Any) -> None:
    """Runs in a separate process: build, search, and report the peak memory in MB."""
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    with tempfile.TemporaryDirectory() as scratch:
        engine = Ours(corpus, Path(scratch), threads)
        engine.build()
        engine.search(queries, KS[0])
    out.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak_memory(corpus: Path, queries: list[str], threads: int) -> float:
    """Peak resident memory of building and searching, in MB."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=_peak, args=(corpus, queries, threads, out))
    process.start()
    value = out.get()
    process.join()
    return float(value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", required=True, help="files with a field `text` (glob)")
    parser.add_argument("--queries", required=True, help="files with the queries, likewise")
    parser.add_argument("--passages", type=int, help="most passages to read")
    parser.add_argument("--sample", type=int, default=300, help="queries for the other engines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grow", action="store_true", help="also measure memory at four times the corpus")
    args = parser.parse_args()
    texts = list(read_texts(args.corpus))[: args.passages]
    queries = list(read_texts(args.queries))
    size = sum(len(text.encode()) for text in texts) / 1e6
    ks = [k for k in KS if k <= len(texts)]
    print(
        f"{len(texts):,} passages, {size:.0f} MB; {len(queries):,} queries; {args.threads} threads",
        flush=True,
    )
    numbers: dict[str, float] = {"passages": len(texts), "threads": args.threads}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = write_corpus(texts, Path(scratch) / "corpus")
        numbers["peak_rss_mb"] = round(peak_memory(corpus, queries, args.threads))
        if args.grow:
            larger = write_corpus(texts, Path(scratch) / "larger", times=4)
            numbers["peak_rss_4x_mb"] = round(peak_memory(larger, queries, args.threads))
        engines: dict[str, Any] = {
            "ours": Ours(corpus, Path(scratch), args.threads),
            "tantivy": Tantivy(texts, args.threads),
            "bm25s": Bm25s(texts, args.threads),
        }
        warm = write_corpus(texts[:2000], Path(scratch) / "warm")
        with quiet():  # compiled once, outside the times
            Ours(warm, Path(scratch) / "warmed", 1).build()
        best: dict[str, float] = {}
        for round_ in range(args.rounds):
            for name, engine in engines.items():
                if name == "bm25s" and round_:  # slow, and steady
                    continue
                seconds, _ = timed(engine.build)
                best[f"{name} build"] = max(best.get(f"{name} build", 0.0), size / seconds)
        for name in engines:
            print(f"{name}: build {best[f'{name} build']:.1f} MB/s", flush=True)
        prepared = {
            name: engine.prepare(queries if name == "ours" else queries[: args.sample])
            for name, engine in engines.items()
        }
        for k in ks:
            for name, engine in engines.items():
                timed(
                    lambda e=engine, n=name, k=k: e.search(
                        prepared[n][:20] if n != "bm25s" else prepared[n], k
                    )
                )
            for _ in range(args.rounds):
                for name, engine in engines.items():
                    count = len(queries) if name == "ours" else min(args.sample, len(queries))
                    seconds, _ = timed(lambda e=engine, n=name, k=k: e.search(prepared[n], k))
                    best[f"{name} {k}"] = max(best.get(f"{name} {k}", 0.0), count / seconds)
            for name in engines:
                print(f"{name}: k = {k}: {best[f'{name} {k}']:.1f} queries/s", flush=True)
    numbers["build_mb_s"] = round(best["ours build"], 1)
    numbers["build_vs_tantivy"] = round(best["ours build"] / best["tantivy build"], 2)
    numbers["build_vs_bm25s"] = round(best["ours build"] / best["bm25s build"], 2)
    for k in ks:
        numbers[f"k{k}_queries_s"] = round(best[f"ours {k}"], 1)
        for rival in ("bm25s", "tantivy"):
            numbers[f"k{k}_vs_{rival}"] = round(best[f"ours {k}"] / best[f"{rival} {k}"], 2)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
