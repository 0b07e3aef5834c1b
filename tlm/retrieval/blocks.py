"""Blocks of an index: the postings of up to 65,536 passages in one memory-mapped file.

A block does not depend on the rest of the corpus: it has its own terms, and a search sums the corpus statistics of
BM25 (document frequencies, mean length) over the blocks. So blocks can be built in any order, by any number of jobs,
and a corpus that grew keeps its full blocks.

File: 8 bytes of magic, the header's length (8 bytes), the header as JSON (`key`: the passages and settings that the
block was built from; `arrays`: name → dtype, offset and length), then the arrays, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numba
import numpy as np

from tlm.artifacts import atomic_file, canonical_json
from tlm.errors import TlmError
from tlm.retrieval.analyser import Analysed, Terms

MAGIC = b"TLMBLK01"
PASSAGES = 1 << 16  # a passage's number within its block fits 16 bits
ESCAPE = 255  # term frequencies of 255 or more are stored in `large`


@dataclass(frozen=True)
class Block:
    """Postings of one block. Term t occurs in passages `documents[starts[t]:starts[t + 1]]`.

    Terms are sorted by hash, the postings of a term by passage.
    """

    hashes: np.ndarray  # uint64 [terms]
    term_ends: np.ndarray  # uint32 [terms]: end of the term in term_bytes
    term_bytes: np.ndarray  # uint8
    frequencies: np.ndarray  # uint32 [terms]: passages of this block that hold the term
    documents: np.ndarray  # uint16 [postings]
    counts: np.ndarray  # uint8 [postings]: occurrences in the passage; ESCAPE: see large
    large_at: np.ndarray  # int64: postings whose count is ESCAPE
    large: np.ndarray  # uint32: their counts
    lengths: np.ndarray  # uint32 [passages]: words of each passage

    @property
    def terms(self) -> Terms:
        """The block's terms."""
        return Terms(self.hashes, self.term_ends, self.term_bytes)

    @property
    def starts(self) -> np.ndarray:
        """int64 [terms + 1]: where each term's postings begin."""
        return np.concatenate(([0], np.cumsum(self.frequencies, dtype=np.int64)))


def build_block(analysed: Analysed) -> Block:
    """Invert up to 65,536 analysed passages."""
    order = np.argsort(analysed.terms.hashes, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    frequencies, documents, counts = _invert(analysed.stream, analysed.starts, rank)
    terms = analysed.terms.take(order)
    large_at = np.flatnonzero(counts >= ESCAPE)
    return Block(
        hashes=terms.hashes,
        term_ends=terms.ends.astype(np.uint32),
        term_bytes=terms.data,
        frequencies=frequencies.astype(np.uint32),
        documents=documents,
        counts=np.minimum(counts, ESCAPE).astype(np.uint8),
        large_at=large_at,
        large=counts[large_at],
        lengths=np.diff(analysed.starts).astype(np.uint32),
    )


@numba.njit(nogil=True, cache=True)
def _invert(stream, starts, rank):  # type: ignore[no-untyped-def]
    """Postings by counting sort: count the passages per term, then put each posting in its place."""
    terms, passages = len(rank), len(starts) - 1
    frequencies = np.zeros(terms, np.int64)
    last = np.full(terms, -1, np.int32)
    for passage in range(passages):
        for i in range(starts[passage], starts[passage + 1]):
            term = rank[stream[i]]
            if last[term] != passage:
                last[term] = passage
                frequencies[term] += 1
    place = np.empty(terms, np.int64)
    total = 0
    for term in range(terms):
        place[term] = total - 1
        total += frequencies[term]
    documents = np.empty(total, np.uint16)
    counts = np.empty(total, np.uint32)
    last[:] = -1
    for passage in range(passages):
        for i in range(starts[passage], starts[passage + 1]):
            term = rank[stream[i]]
            if last[term] != passage:
                last[term] = passage
                place[term] += 1
                documents[place[term]] = passage
                counts[place[term]] = 1
            else:
                counts[place[term]] += 1
    return frequencies, documents, counts


def write_block(path: Path, block: Block, key: dict[str, Any]) -> None:
    """Write atomically; `key` names the passages and settings that the block was built from."""
    arrays = {field.name: getattr(block, field.name) for field in fields(Block)}
    layout, offset = {}, 0
    for name, array in arrays.items():
        layout[name] = [array.dtype.str, offset, len(array)]
        offset += -(-array.nbytes // 64) * 64
    header = canonical_json({"key": key, "arrays": layout}).encode()
    begin = -(-(16 + len(header)) // 64) * 64
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        stream.write(MAGIC + len(header).to_bytes(8, "little") + header)
        stream.write(bytes(begin - 16 - len(header)))
        for array in arrays.values():
            stream.write(np.ascontiguousarray(array).data)
            stream.write(bytes(-array.nbytes % 64))


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a block file and where its arrays begin."""
    with path.open("rb") as stream:
        if stream.read(8) != MAGIC:
            raise TlmError(f"{path}: not a block of an index; delete the index and build it again")
        size = int.from_bytes(stream.read(8), "little")
        return json.loads(stream.read(size)), -(-(16 + size) // 64) * 64


def block_key(path: Path) -> dict[str, Any] | None:
    """The `key` of the block at `path`; None if the file is missing or not a block."""
    try:
        return _header(path)[0]["key"]
    except (FileNotFoundError, TlmError, ValueError, KeyError):
        return None


def open_block(path: Path) -> Block:
    """Map a block into memory, read-only. Raises TlmError if the file is truncated or not a block."""
    header, begin = _header(path)
    raw = np.memmap(path, np.uint8, mode="r")
    arrays = {}
    for name, (dtype, offset, length) in header["arrays"].items():
        end = begin + offset + length * np.dtype(dtype).itemsize
        if end > len(raw):
            raise TlmError(
                f"{path}: {len(raw)} bytes where {end} are needed; delete the index and build it again"
            )
        arrays[name] = np.asarray(raw[begin + offset : end]).view(dtype)
    return Block(**arrays)
