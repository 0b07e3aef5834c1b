"""Sample a corpus: the smaller of two corpora to retrieve from (Section 4.3.1, Table 3).

Place in the flow: corpus → here → corpus, so all later stages treat both alike. Only the text of a passage decides
whether it is in the sample, not its position or a random generator; so the samples of one corpus are nested.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from pathlib import Path

import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.data import CorpusSpec, SampleSpec
from tlm.corpus.build import Shards
from tlm.errors import TlmError


def build_sample(
    name: str, spec: CorpusSpec, sample: SampleSpec, corpus_dir: Path, destination: Path
) -> Manifest:
    """Write the passages of the corpus in `corpus_dir` that `sample` keeps, in order, with new dense ids.

    `spec` is the whole specification, for the manifest. Raises TlmError if the sample is empty.
    """
    corpus = read_manifest(corpus_dir, "corpus")
    words, size, sources = 0, 0, Counter[str]()
    with staged_directory(destination) as staging:
        writer = Shards(staging, name)
        for part in sorted(corpus_dir.glob("part-*.parquet")):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(columns=["text", "source"]):
                    for text, source in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        if place(text) < sample.share:
                            writer.add(text, source)
                            words += text.count(" ") + 1
                            size += len(text.encode())
                            sources[source] += 1
        writer.close()
        if not writer.passages:
            raise TlmError(
                f"corpus {name}: no passage of {sample.of} falls in a share of {sample.share}; raise it"
            )
        return write_manifest(
            staging,
            "corpus",
            counts={
                "passages": writer.passages,
                "words": words,
                "bytes": size,
                "sources": {source: {"passages": count} for source, count in sorted(sources.items())},
            },
            parameters={"corpus": name, "spec": spec.model_dump(mode="json")},
            inputs={f"corpus/{sample.of}": corpus.digest},
        )


def place(text: str) -> float:
    """A uniform number in [0, 1) computed from the passage. Passages below the share are in the sample."""
    digest = blake2b(text.encode(), digest_size=8, person=b"tlm-sample").digest()
    return int.from_bytes(digest, "big") / 2**64
