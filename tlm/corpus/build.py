"""The corpus stage: sources → clean passages of about 40 to 120 words → Parquet shards with dense ids.

Place in the flow: sources → here → tokenizer, index and selections. The external data is a selection of its passages
(Section 3.1: the general corpus D).

Files are read in parallel, each unit into a temporary Arrow file, and merged in their order: the result does not
depend on the number of workers. Memory: one document per worker, one shard, and 8 to 16 bytes per passage for the
removal of exact duplicates (`tlm.corpus.seen`). Disk: compressed temporary files beside the result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.data import CorpusPart, CorpusSpec
from tlm.corpus.parsers import documents, units
from tlm.corpus.seen import Seen
from tlm.errors import TlmError
from tlm.formats.files import Input
from tlm.progress import Progress
from tlm.text import passages, sentences, unspaced_passages

SHARD_PASSAGES = 65_536  # about 40 MB of text
_BATCH = 4_096
_SCHEMA = pa.schema([("passage_id", pa.int64()), ("text", pa.string()), ("source", pa.string())])


@dataclass(frozen=True)
class _Unit:
    """Work for one process: cut some files of a part into passages and write them to `output`."""

    part: CorpusPart
    files: Sequence[Input]
    minimum: int
    maximum: int
    spaces: bool
    output: Path

    @property
    def source(self) -> str:
        return self.part.name or self.part.source


@dataclass
class _Tally:
    """Counts of one source."""

    documents: int = 0
    passages: int = 0
    words: int = 0
    bytes: int = 0
    duplicates_removed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "left_out": dict(sorted(self.left_out.items()))}


def build_corpus(
    name: str, spec: CorpusSpec, source_dirs: Mapping[str, Path], destination: Path, *, workers: int = 0
) -> Manifest:
    """Write the corpus `name` to `destination`: `part-00000.parquet`… of `passage_id`, `text`, `source`.

    `source_dirs`: source → its directory. `workers`: number of reading processes (0: one per core). Of identical
    passages the first is kept; the manifest has the number of removed ones. Raises TlmError for an unreadable file,
    and if there is no passage.
    """
    missing = [source for source in spec.sources if source not in source_dirs]
    if missing:
        raise TlmError(f"corpus {name}: no directory given for source {missing[0]!r}")
    inputs = {f"source/{each}": read_manifest(source_dirs[each], "source").digest for each in spec.sources}
    with staged_directory(destination) as staging:
        work = _plan(spec, source_dirs, staging)
        tallies = {unit.source: _Tally() for unit in work}
        writer = Shards(staging, name)
        seen = Seen()
        for unit, (count, left_out) in _run(work, workers):
            tally = tallies[unit.source]
            tally.documents += count
            tally.left_out += left_out
            for texts in _read(unit.output):
                encoded = [text.encode() for text in texts]
                for text, raw, first in zip(texts, encoded, seen.first(encoded), strict=True):
                    if not first:
                        tally.duplicates_removed += 1
                        continue
                    tally.passages += 1
                    tally.words += text.count(" ") + 1
                    tally.bytes += len(raw)
                    writer.add(text, unit.source)
            unit.output.unlink()
        writer.close()
        if writer.passages == 0:
            raise TlmError(f"corpus {name}: empty; its sources {', '.join(spec.sources)} hold no text")
        keys = ("documents", "passages", "words", "bytes", "duplicates_removed")
        counts = {key: sum(getattr(tally, key) for tally in tallies.values()) for key in keys}
        return write_manifest(
            staging,
            "corpus",
            counts={**counts, "sources": {source: tally.as_dict() for source, tally in tallies.items()}},
            parameters={"corpus": name, "spec": spec.model_dump(mode="json")},
            inputs=inputs,
        )


def _plan(spec: CorpusSpec, source_dirs: Mapping[str, Path], staging: Path) -> list[_Unit]:
    grouped = [(part, files) for part in spec.parts for files in units(part, source_dirs[part.source])]
    return [
        _Unit(part, files, spec.min_words, spec.max_words, spec.spaces, staging / f".unit-{number:06d}.arrow")
        for number, (part, files) in enumerate(grouped)
    ]


def _run(work: Sequence[_Unit], workers: int) -> Iterator[tuple[_Unit, tuple[int, Counter[str]]]]:
    """Each unit with the result of `_cut`, in order."""
    processes = min(workers or os.cpu_count() or 1, len(work))
    if processes == 1:
        yield from ((unit, _cut(unit)) for unit in work)
        return
    # Largest first, so that no core idles at the end. Spawned, not forked: pyarrow has threads.
    order = sorted(range(len(work)), key=lambda number: -_size(work[number]))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_let_interrupts_kill) as pool:
        submitted = {number: pool.submit(_cut, work[number]) for number in order}
        try:
            for number, unit in enumerate(work):
                yield unit, submitted.pop(number).result()
        except BrokenProcessPool:
            raise TlmError(
                "corpus: a reading process was killed, most likely because memory ran out; run with --threads 1"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _size(unit: _Unit) -> int:
    return sum(file.path.stat().st_size for file in unit.files)


def _let_interrupts_kill() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _cut(unit: _Unit) -> tuple[int, Counter[str]]:
    """Write the passages of `unit`; return its number of documents, and counts of rows that its parser left out."""
    left_out: Counter[str] = Counter()
    count = 0
    progress = Progress(f"corpus: {unit.source}", None, "documents")
    schema = pa.schema([("text", pa.string())])
    packed = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(unit.output), "wb") as sink, pa.ipc.new_stream(sink, schema, options=packed) as out:
        batch: list[str] = []
        for document in documents(unit.part, unit.files, left_out):
            count += 1
            progress.add()
            batch += cut(document, unit.minimum, unit.maximum, spaces=unit.spaces)
            if len(batch) >= _BATCH:
                out.write_batch(pa.record_batch([pa.array(batch, pa.string())], schema=schema))
                batch.clear()
        out.write_batch(pa.record_batch([pa.array(batch, pa.string())], schema=schema))
    return count, left_out


def cut(document: Sequence[str], minimum: int, maximum: int, *, spaces: bool) -> list[str]:
    """The passages of a document, which is a list of paragraphs; sizes in words, or in characters without `spaces`."""
    if not spaces:
        return unspaced_passages(document, minimum, maximum)
    whole = [sentence for paragraph in document for sentence in sentences(paragraph)]
    return passages(whole, minimum, maximum)


def _read(path: Path) -> Iterator[list[str]]:
    """The passages of a unit, batch by batch."""
    with pa.OSFile(str(path), "rb") as stream, pa.ipc.open_stream(stream) as reader:
        for batch in reader:
            yield batch.column(0).to_pylist()


class Shards:
    """Writes passages with dense ids to shards of SHARD_PASSAGES."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.passages = 0
        self._shard: pq.ParquetWriter | None = None
        self._texts: list[str] = []
        self._sources: list[str] = []
        self._progress = Progress(f"corpus {name}", None, "passages")

    def add(self, text: str, source: str) -> None:
        """Append a passage."""
        self._texts.append(text)
        self._sources.append(source)
        self._progress.add()
        if len(self._texts) == _BATCH:
            self._flush()

    def close(self) -> None:
        """Write the remaining passages and close the last shard."""
        self._flush()
        if self._shard is not None:
            self._shard.close()
        self._progress.finish()

    def _flush(self) -> None:
        """Write one row group. A shard has a whole number of row groups."""
        if not self._texts:
            return
        if self._shard is not None and self.passages % SHARD_PASSAGES == 0:
            self._shard.close()
            self._shard = None
        if self._shard is None:
            path = self.folder / f"part-{self.passages // SHARD_PASSAGES:05d}.parquet"
            self._shard = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        ids = range(self.passages, self.passages + len(self._texts))
        self._shard.write_table(
            pa.table([pa.array(ids, pa.int64()), self._texts, self._sources], schema=_SCHEMA)
        )
        self.passages += len(self._texts)
        self._texts, self._sources = [], []
