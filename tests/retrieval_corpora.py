"""Corpora, tasks and a brute-force oracle for the tests of retrieval."""

import io
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tlm.artifacts import write_manifest
from tlm.config.retrieval import IndexSpec


def write_corpus(directory: Path, texts: list[str], parts: int = 1) -> Path:
    """A corpus artifact."""
    directory.mkdir(parents=True)
    bounds = [len(texts) * part // parts for part in range(parts + 1)]
    for part in range(parts):
        ids = range(bounds[part], bounds[part + 1])
        table = pa.table(
            {
                "passage_id": pa.array(ids, pa.int64()),
                "text": pa.array([texts[i] for i in ids], pa.string()),
                "source": pa.array([f"source{i % 2}" for i in ids], pa.string()),
            }
        )
        pq.write_table(table, directory / f"part-{part:05d}.parquet", row_group_size=1000)
    counts = {"passages": len(texts), "bytes": sum(len(text.encode()) for text in texts)}
    write_manifest(directory, "corpus", counts=counts, parameters={})
    return directory


def write_task(directory: Path, train: list[str], pairs: list[str] | None = None) -> Path:
    """A task artifact whose dev and test texts must never be queries."""
    directory.mkdir(parents=True)
    first = 0
    for split, texts in (("train", train), ("dev", ["devword"]), ("test", ["testword"])):
        columns = {
            "row_id": pa.array(range(first, first + len(texts)), pa.int64()),
            "text": pa.array(texts, pa.string()),
            "label": pa.array(["x"] * len(texts), pa.string()),
        }
        if pairs is not None:
            columns["text_pair"] = pa.array(pairs if split == "train" else ["b"] * len(texts), pa.string())
        pq.write_table(pa.table(columns), directory / f"{split}.parquet")
        first += len(texts)
    write_manifest(directory, "task", counts={"rows": {"train": len(train)}}, parameters={"task": "t"})
    return directory


def texts_of(path: Path, count: int) -> list[str]:
    """The first texts of a file of JSON lines, packed with zstd."""
    with path.open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        return [json.loads(line)["text"] for _, line in zip(range(count), lines, strict=False)]


def lucene_byte(length: int) -> int:
    """Lucene's SmallFloat, there and back: byte4ToInt(intToByte4(length)), as its documentation has it."""
    if length < 24:
        return length
    value = length - 24
    bits = value.bit_length()
    if bits < 4:
        return length
    shift = bits - 4
    encoded = ((value >> shift) & 0x07) | ((shift + 1) << 3)
    return 24 + (((encoded & 0x07) | 0x08) << ((encoded >> 3) - 1))


class Oracle:
    """BM25 by brute force, over texts split at white space: contributions in float64, summed without error."""

    def __init__(self, texts: list[str], spec: IndexSpec) -> None:
        self.spec = spec
        self.postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = []
        for number, text in enumerate(texts):
            counts = Counter(text.split())
            lengths.append(sum(counts.values()))
            for term, count in counts.items():
                self.postings[term].append((number, count))
        self.total = len(texts) if spec.norms == "exact" else sum(length > 0 for length in lengths)
        self.mean = sum(lengths) / max(self.total, 1) or 1.0
        self.lengths = lengths if spec.norms == "exact" else [lucene_byte(length) for length in lengths]

    def top(self, query: str, k: int) -> list[tuple[float, int]]:
        """(score, passage) of the best k, best first, ties by passage."""
        parts = defaultdict(list)
        for term, times in Counter(query.split()).items():
            df = len(self.postings.get(term, ()))
            weight = times * math.log1p((self.total - df + 0.5) / (df + 0.5))
            for number, count in self.postings.get(term, ()):
                norm = self.spec.k1 * (1 - self.spec.b + self.spec.b * self.lengths[number] / self.mean)
                parts[number].append(weight * (count / (count + norm)))
        scored = [(math.fsum(values), number) for number, values in parts.items()]
        return sorted(scored, key=lambda result: (-result[0], result[1]))[:k]
