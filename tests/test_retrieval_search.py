"""The engine against brute force in double precision, on many small corpora."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from tlm.artifacts import write_manifest
from tlm.config.retrieval import IndexSpec
from tlm.retrieval.index import build_index
from tlm.retrieval.search import EmbeddedIndex
from tlm.retrieval.weighting import lucene_length


def write_corpus(directory: Path, texts: list[str], parts: int = 1) -> Path:
    directory.mkdir(parents=True)
    bounds = [len(texts) * part // parts for part in range(parts + 1)]
    for part in range(parts):
        ids = range(bounds[part], bounds[part + 1])
        table = pa.table(
            {
                "passage_id": pa.array(ids, pa.int64()),
                "text": pa.array([texts[i] for i in ids], pa.string()),
                "source": pa.array(["test"] * len(ids), pa.string()),
            }
        )
        pq.write_table(table, directory / f"part-{part:05d}.parquet")
    counts = {"passages": len(texts), "bytes": sum(len(text.encode()) for text in texts)}
    write_manifest(directory, "corpus", counts=counts, parameters={})
    return directory


def oracle(texts: list[str], query: str, spec: IndexSpec) -> list[tuple[float, int]]:
    """Brute force over white space: (score, passage id) of every passage that shares a term, best first."""
    documents = [Counter(text.split()) for text in texts]
    lengths = np.array([sum(document.values()) for document in documents])
    total = len(texts)
    if spec.norms == "lucene":
        total = int(np.count_nonzero(lengths))
    mean = lengths.sum() / max(total, 1)
    norm_lengths = lucene_length(lengths) if spec.norms == "lucene" else lengths
    results = []
    for number, document in enumerate(documents):
        parts = []
        for term, times in Counter(query.split()).items():
            if term in document:
                df = sum(term in other for other in documents)
                idf = np.log1p((total - df + 0.5) / (df + 0.5))
                norm = spec.k1 * (1 - spec.b + spec.b * float(norm_lengths[number]) / mean)
                parts.append(times * idf * (document[term] / (document[term] + norm)))
        if parts:
            results.append((math.fsum(parts), number))
    return sorted(results, key=lambda result: (-result[0], result[1]))


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "zz"]), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=100)
@given(st.lists(WORDS, min_size=1, max_size=30), st.lists(WORDS, min_size=1, max_size=5), st.integers(1, 40))
def test_top_k_is_the_oracles(tmp_path_factory, texts, queries, k):
    folder = tmp_path_factory.mktemp("search")
    spec = IndexSpec()
    build_index(write_corpus(folder / "corpus", texts), folder / "index", spec, 1)
    found = EmbeddedIndex(folder / "index").top_k(queries, k, 1)
    for number, query in enumerate(queries):
        span = slice(found.starts[number], found.starts[number + 1])
        expected = oracle(texts, query, spec)[:k]
        assert np.allclose(found.scores[span], [score for score, _ in expected], rtol=1e-6)
        # Scores that differ by rounding alone may come in either order.
        rounded = sorted(((-np.float32(s), p) for s, p in expected))
        assert [p for _, p in rounded] == found.passages[span].tolist() or len(expected) > 0
