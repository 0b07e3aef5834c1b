"""Build an index: the corpus streams past, and every 65,536 passages become a block on disk.

Stage 3 of the flow (corpus → index). Memory is that of the few blocks under way, whatever the corpus's size.
A build that was killed goes on from its finished blocks, and a corpus that was appended to keeps its full
ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import MANIFEST, Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.analyser import analyse_with
from tlm.retrieval.blocks import PASSAGES, block_key, build_block, open_block, write_block

ENGINE = "embedded 1"
_ROWS = 8192  # rows read at a time


def corpus_parts(corpus: Path, manifest: Manifest) -> list[tuple[Path, str, int]]:
    """Path, sha256 and rows of every part of a corpus, in order."""
    names = sorted(name for name in manifest.files if name.endswith(".parquet"))
    return [
        (corpus / name, manifest.files[name]["sha256"], pq.read_metadata(corpus / name).num_rows)
        for name in names
    ]


def _plan(parts: list[tuple[Path, str, int]], spec: IndexSpec) -> list[dict[str, Any]]:
    """The key of every block: which rows of which parts (by digest), read how."""
    analysis = {"engine": ENGINE, **spec.model_dump(include={"analyser", "stop_words", "stemmer"})}
    keys: list[dict[str, Any]] = []
    segments: list[list[Any]] = []
    room = PASSAGES
    for _, digest, rows in parts:
        begin = 0
        while begin < rows:
            taken = min(room, rows - begin)
            segments.append([digest, begin, begin + taken])
            begin, room = begin + taken, room - taken
            if room == 0:
                keys.append(analysis | {"segments": segments})
                segments, room = [], PASSAGES
    if segments:
        keys.append(analysis | {"segments": segments})
    return keys


def _block_texts(parts: list[tuple[Path, str, int]], wanted: list[bool]) -> Iterator[tuple[int, pa.Array]]:
    """The texts of every wanted block, with its number. Row groups of other blocks are not read."""
    held: list[pa.Array] = []
    first = 0  # passage id of the next row
    for path, _, rows in parts:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            blocks = range(first // PASSAGES, (first + size - 1) // PASSAGES + 1)
            if not any(wanted[block] for block in blocks):
                first += size
                continue
            for batch in file.iter_batches(_ROWS, row_groups=[group], columns=["passage_id", "text"]):
                ids = batch.column(0).to_numpy()
                if ids[0] != first or np.any(np.diff(ids) != 1):
                    raise TlmError(f"{path}: passage ids are not dense from {first}; build the corpus again")
                texts = batch.column(1).cast(pa.large_string())
                while len(texts):
                    block, room = first // PASSAGES, PASSAGES - first % PASSAGES
                    if wanted[block]:
                        held.append(texts[:room])
                    first += min(room, len(texts))
                    texts = texts[room:]
                    if first % PASSAGES == 0 and held:
                        yield block, pa.concat_arrays(held)
                        held = []
    if held:
        yield first // PASSAGES, pa.concat_arrays(held)


def block_name(number: int) -> str:
    """File name of block `number`."""
    return f"block-{number:06d}.bin"


def build_index(corpus_dir: Path, destination: Path, spec: IndexSpec, threads: int) -> Manifest:
    """Index the corpus artifact at `corpus_dir`.

    Finished blocks of an interrupted build, and those of an index that stands at `destination` for a shorter
    form of the same corpus, are kept. Raises TlmError if the corpus is empty or its ids are not dense.
    """
    corpus = read_manifest(corpus_dir, "corpus")
    parts = corpus_parts(corpus_dir, corpus)
    total = sum(rows for _, _, rows in parts)
    if total == 0:
        raise TlmError(f"{corpus_dir}: the corpus holds no passages; there is nothing to index")
    keys = _plan(parts, spec)
    with staged_directory(destination, resume=True) as working:
        wanted = [not _kept(working, destination, number, key) for number, key in enumerate(keys)]
        progress = Progress("index", total, "passages")
        progress.skip(sum(min(PASSAGES, total - n * PASSAGES) for n, build in enumerate(wanted) if not build))

        def one(number: int, texts: pa.Array) -> int:
            write_block(working / block_name(number), build_block(analyse_with(texts, spec)), keys[number])
            return len(texts)

        with ThreadPoolExecutor(threads) as pool:
            waiting: set[Future[int]] = set()
            for number, texts in _block_texts(parts, wanted):
                waiting.add(pool.submit(one, number, texts))
                while len(waiting) > threads:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        progress.add(future.result())
            for future in waiting:
                progress.add(future.result())
        progress.finish()
        return _finish(working, keys, spec, corpus.digest)


def _kept(working: Path, previous: Path, number: int, key: dict[str, Any]) -> bool:
    """Whether the block exists already: in the working directory, or, linked from there, in the previous index."""
    path = working / block_name(number)
    if block_key(path) == key:
        return True
    path.unlink(missing_ok=True)
    old = previous / block_name(number)
    if block_key(old) != key:
        return False
    os.link(old, path)
    return True


def _finish(working: Path, keys: list[dict[str, Any]], spec: IndexSpec, corpus: str) -> Manifest:
    """Remove what does not belong, count, and write the manifest."""
    names = [block_name(number) for number in range(len(keys))]
    for path in working.iterdir():
        if path.name not in names and path.name != MANIFEST:
            path.unlink()
    passages = words = postings = worded = 0
    for name in names:
        block = open_block(working / name)
        passages += len(block.lengths)
        words += int(block.lengths.sum(dtype=np.int64))
        worded += int(np.count_nonzero(block.lengths))
        postings += len(block.documents)
    return write_manifest(
        working,
        "index",
        counts={"passages": passages, "words": words, "passages_with_words": worded, "postings": postings},
        parameters={"backend": "embedded", "engine": ENGINE, **spec.model_dump()},
        inputs={"corpus": corpus},
    )
