"""Build an index: read the corpus in order and write every 65,536 passages as a block.

Stage 3 of the flow (corpus → index). Memory holds only the few blocks in progress, whatever the size of the corpus.
A killed build continues after its finished blocks, and a corpus that grew keeps its full blocks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, atomic_file, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.analyser import analyse_with
from tlm.retrieval.blocks import PASSAGES, block_key, build_block, open_block, write_block

ENGINE = "embedded 1"
_ROWS = 8192  # rows read at a time

Parts = list[tuple[Path, str, int]]


def corpus_parts(corpus: Path, manifest: Manifest) -> Parts:
    """Path, sha256 and rows of every part of a corpus, in order."""
    names = sorted(name for name in manifest.files if name.endswith(".parquet"))
    return [
        (corpus / name, manifest.files[name]["sha256"], pq.read_metadata(corpus / name).num_rows)
        for name in names
    ]


def _plan(parts: Parts, spec: IndexSpec) -> list[dict[str, Any]]:
    """The key of every block: the rows of each part (by digest), and the analyser's settings."""
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


def block_texts(parts: Parts, wanted: list[bool], size: int) -> Iterator[tuple[int, pa.Array]]:
    """Number and texts of every wanted block of `size` passages. Row groups of other blocks are not read.

    Raises TlmError if passage ids are not dense and in order.
    """
    held: list[pa.Array] = []
    first = 0  # passage id of the next row
    for path, _, _ in parts:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            blocks = range(first // size, (first + rows - 1) // size + 1)
            if not any(wanted[block] for block in blocks):
                first += rows
                continue
            for batch in file.iter_batches(_ROWS, row_groups=[group], columns=["passage_id", "text"]):
                ids = batch.column(0).to_numpy()
                if ids[0] != first or np.any(np.diff(ids) != 1):
                    raise TlmError(f"{path}: passage ids are not dense from {first}; build the corpus again")
                texts = batch.column(1).cast(pa.large_string())
                while len(texts):
                    block, room = first // size, size - first % size
                    if wanted[block]:
                        held.append(texts[:room])
                    first += min(room, len(texts))
                    texts = texts[room:]
                    if first % size == 0 and held:
                        yield block, pa.concat_arrays(held)
                        held = []
    if held:
        yield first // size, pa.concat_arrays(held)


def block_name(number: int) -> str:
    """File name of block `number`."""
    return f"block-{number:06d}.bin"


def parse_share(text: str) -> tuple[int, int]:
    """`2/8` → (2, 8): share 2, counted from 0, of 8. Raises TlmError."""
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise TlmError(f"share {text!r}: give I/N with I from 0 to N - 1")
    return int(number), int(of)


def build_index(
    corpus_dir: Path, destination: Path, spec: IndexSpec, threads: int, shares: Sequence[Path] = ()
) -> Manifest:
    """Index the corpus artifact at `corpus_dir`.

    Finished blocks are reused: those of an interrupted build, of an index at `destination` of the same corpus before
    it grew, and of `shares`. Raises TlmError if the corpus is empty or its ids are not dense.
    """
    corpus, parts, keys = _blocks(corpus_dir, spec)
    with staged_directory(destination, resume=True) as working:
        _build(working, [destination, *shares], parts, keys, range(len(keys)), spec, threads)
        return _finish(working, keys, spec, corpus.digest)


def build_share(
    corpus_dir: Path, destination: Path, spec: IndexSpec, threads: int, share: tuple[int, int]
) -> Manifest:
    """Build only blocks i, i + n, …: the work of one job of n, whose blocks `build_index` reuses."""
    corpus, parts, keys = _blocks(corpus_dir, spec)
    numbers = range(share[0], len(keys), share[1])
    with staged_directory(destination, resume=True) as working:
        _build(working, [destination], parts, keys, numbers, spec, threads)
        parameters = {"backend": "embedded", "engine": ENGINE, **spec.model_dump(), "share": list(share)}
        return write_manifest(
            working,
            "index-share",
            counts={"blocks": len(numbers)},
            parameters=parameters,
            inputs={"corpus": corpus.digest},
        )


def _blocks(corpus_dir: Path, spec: IndexSpec) -> tuple[Manifest, Parts, list[dict[str, Any]]]:
    """The corpus, its parts, and the key of every block."""
    corpus = read_manifest(corpus_dir, "corpus")
    parts = corpus_parts(corpus_dir, corpus)
    keys = _plan(parts, spec)
    if not keys:
        raise TlmError(f"{corpus_dir}: the corpus holds no passages; there is nothing to index")
    return corpus, parts, keys


def _build(
    working: Path,
    previous: Sequence[Path],
    parts: Parts,
    keys: list[dict[str, Any]],
    numbers: range,
    spec: IndexSpec,
    threads: int,
) -> None:
    """Put the blocks `numbers` into `working`, reused or built; remove all other files there."""
    names = {block_name(number) for number in numbers}
    for path in working.iterdir():
        if path.name not in names:
            path.unlink()
    wanted = [False] * len(keys)
    for number in numbers:
        wanted[number] = not _kept(working, previous, number, keys[number])
    rows = [sum(last - first for _, first, last in key["segments"]) for key in keys]
    progress = Progress("index", sum(rows[number] for number in numbers), "passages")
    progress.skip(sum(rows[number] for number in numbers if not wanted[number]))

    def one(number: int, texts: pa.Array) -> int:
        write_block(working / block_name(number), build_block(analyse_with(texts, spec)), keys[number])
        return len(texts)

    with ThreadPoolExecutor(threads) as pool:
        waiting: set[Future[int]] = set()
        for number, texts in block_texts(parts, wanted, PASSAGES):
            waiting.add(pool.submit(one, number, texts))
            while len(waiting) > threads:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    progress.add(future.result())
        for future in waiting:
            progress.add(future.result())
    progress.finish()


def _kept(working: Path, previous: Sequence[Path], number: int, key: dict[str, Any]) -> bool:
    """Whether a finished block exists: in `working`, or in a folder of `previous`, from which it is linked."""
    path = working / block_name(number)
    if block_key(path) == key:
        return True
    path.unlink(missing_ok=True)
    for directory in previous:
        if block_key(directory / path.name) == key:
            _link(directory / path.name, path)
            return True
    return False


def _link(source: Path, target: Path) -> None:
    """Hard-link a file that is never rewritten; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with atomic_file(target) as temporary:
            shutil.copyfile(source, temporary)


def _finish(working: Path, keys: list[dict[str, Any]], spec: IndexSpec, corpus: str) -> Manifest:
    """Write the manifest with the counts."""
    names = [block_name(number) for number in range(len(keys))]
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
