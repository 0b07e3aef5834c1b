"""Tokenize texts once and store the ids on disk, where every run, seed and epoch maps them into memory.

Place in the flow: task, selection or corpus + tokenizer → tokens → batches. An artifact of kind `tokens`
holds one *store* for passages, or one per split (`train/`, `dev/`, `test/`) for a task. A store is a flat
array of ids, without special tokens, and an array of offsets. The batches add the special tokens and cut to
the stage's length, so stage 1 and stage 2 read the same file at different lengths. Neither stage opens `test/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.errors import TlmError
from tlm.layout import UNLABELLED
from tlm.problems import PROBLEMS
from tlm.progress import Progress
from tlm.training.tokenizer import load_tokenizer

SPLITS = ("train", "dev", "test")
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Store:
    """Token ids of many texts. Row r is `tokens[offsets[r]:offsets[r + 1]]`.

    For pairs, `middle[r]` is the index in `tokens` at which the second text begins. `labels` are class ids (int64)
    in the manifest's order, indicators (rows, labels) of several labels a row (bool), or real numbers (float64);
    `row_id` are the task's row ids.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    middle: np.ndarray | None = None
    labels: np.ndarray | None = None
    row_id: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def own_labels(self) -> np.ndarray:
        """The labels. Raises TlmError for a store without labels."""
        if self.labels is None:
            raise TlmError("these tokens have no labels; tokenize the task with its labels")
        return self.labels

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Memory-map a store. Read the artifact's manifest first, which checks its kind."""
        optional = {
            name: np.load(directory / f"{name}.npy")
            for name in ("middle", "labels", "row_id")
            if (directory / f"{name}.npy").is_file()
        }
        tokens = np.load(directory / "tokens.npy", mmap_mode="r")
        return cls(tokens, np.load(directory / "offsets.npy"), **optional)


def open_split(directory: Path, split: str) -> Store:
    """The store of one split of a task's `tokens` artifact."""
    return Store.open(directory / split)


def tokenize_task(task_dir: Path, tokenizer_dir: Path, destination: Path, length: int) -> Manifest:
    """Tokenize a `task` artifact: a store per split, and one of its unlabelled texts.

    Labels become ids in the order of the manifest's `labels`.

    Stores at most `length` tokens of each text and counts the texts that were cut, per split.
    Raises TlmError for a label that the manifest does not list, and for a missing label or text.
    """
    task = read_manifest(task_dir, "task")
    tokenizer = load_tokenizer(tokenizer_dir)
    with staged_directory(destination) as working:
        counts = {}
        for split in (each for each in (*SPLITS, UNLABELLED) if f"{each}.parquet" in task.files):
            source = task_dir / f"{split}.parquet"
            with pq.ParquetFile(source) as file:
                total = file.metadata.num_rows
                columns = ["text"] + ([] if split == UNLABELLED else ["row_id", "label"])
                columns += ["text_pair"] if task.parameters.get("pair") else []
                writer = _Writer(
                    working / split, tokenizer, length, Progress(f"tokens {split}", total, "texts")
                )
                for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                    writer.add(batch, str(source))
            labels = None if split == UNLABELLED else _label_ids(writer.raw_labels, task, str(source))
            counts[split] = writer.close(labels)
        return write_manifest(
            working,
            "tokens",
            counts=counts,
            parameters={**task.parameters, "length": length, "vocabulary": len(tokenizer)},
            inputs={"task": task.digest, "tokenizer": read_manifest(tokenizer_dir).digest},
        )


def tokenize_selection(selection_dir: Path, tokenizer_dir: Path, destination: Path, length: int) -> Manifest:
    """Tokenize the passages of a `selection` artifact, or of a whole `corpus` (for a PLM), into one store.

    Reads and writes in batches, so memory does not grow with the number of passages. Raises TlmError if there are none.
    """
    source = read_manifest(selection_dir)
    if source.kind not in ("selection", "corpus"):
        raise TlmError(
            f"{selection_dir}: holds a {source.kind!r} artifact where a selection or corpus is needed"
        )
    tokenizer = load_tokenizer(tokenizer_dir)
    parts = sorted(selection_dir.glob("part-*.parquet" if source.kind == "corpus" else "passages.parquet"))
    total = sum(pq.read_metadata(part).num_rows for part in parts)
    if total == 0:
        raise TlmError(f"{selection_dir}: no passages; stage 1 has nothing external to learn from")
    with staged_directory(destination) as working:
        writer = _Writer(working, tokenizer, length, Progress("tokens", total, "passages"))
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=["text"]):
                    writer.add(batch, str(part))
        counts = writer.close(None)
        return write_manifest(
            working,
            "tokens",
            counts=counts,
            parameters={"length": length, "vocabulary": len(tokenizer)},
            inputs={source.kind: source.digest, "tokenizer": read_manifest(tokenizer_dir).digest},
        )


def _label_ids(raw: list[Any], task: Manifest, where: str) -> np.ndarray:
    """Class ids in the manifest's order (int64), indicators of labels (bool), or numbers (float64)."""
    try:
        return PROBLEMS[task.parameters["problem"]].ids(raw, task.parameters["labels"])
    except TlmError as error:
        raise TlmError(f"{where}: {error}") from None


class _Writer:
    """Appends tokenized texts to a store on disk, a batch at a time."""

    def __init__(
        self, directory: Path, tokenizer: PreTrainedTokenizerFast, length: int, progress: Progress
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.length, self.progress = directory, length, progress
        self.encoder = tokenizer.backend_tokenizer
        self.encoder.no_truncation()  # a pretrained tokenizer.json may enable both
        self.encoder.no_padding()
        self.unknown = tokenizer.unk_token_id
        self.dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
        self.stream: IO[bytes] = (directory / "tokens.npy").open("wb")
        _header(self.stream, self.dtype, 0)
        self.lengths: list[np.ndarray] = []
        self.firsts: list[np.ndarray] = []
        self.row_ids: list[np.ndarray] = []
        self.raw_labels: list[Any] = []
        self.truncated = self.unknowns = 0

    def add(self, batch: pa.RecordBatch, where: str) -> None:
        """Encode the rows of `batch` (columns text, and for tasks row_id, label, text_pair)."""
        for name in batch.schema.names:
            if batch.column(name).null_count:
                raise TlmError(f"{where}: a row has no {name}; build its artifact again")
        first = self._encode(batch.column("text").to_pylist())
        if "text_pair" in batch.schema.names:
            second = self._encode(batch.column("text_pair").to_pylist())
            self.firsts.append(np.array([len(ids) for ids in first], np.int64))
            self._append([np.concatenate(pair) for pair in zip(first, second, strict=True)])
        else:
            self._append(first)
        if "label" in batch.schema.names:
            self.raw_labels.extend(batch.column("label").to_pylist())
            self.row_ids.append(batch.column("row_id").to_numpy())
        self.progress.add(batch.num_rows)

    def _encode(self, texts: list[str]) -> list[np.ndarray]:
        encodings = self.encoder.encode_batch_fast(texts, add_special_tokens=False)
        rows = [np.array(encoding.ids, self.dtype) for encoding in encodings]
        self.truncated += sum(len(row) > self.length for row in rows)
        return [row[: self.length] for row in rows]

    def _append(self, rows: list[np.ndarray]) -> None:
        flat = np.concatenate(rows) if rows else np.array([], self.dtype)
        self.unknowns += int((flat == self.unknown).sum())
        self.stream.write(flat.tobytes())
        self.lengths.append(np.array([len(row) for row in rows], np.int64))

    def close(self, labels: np.ndarray | None) -> dict[str, int]:
        """Write offsets, labels and the final header; return the counts for the manifest."""
        lengths = np.concatenate(self.lengths) if self.lengths else np.array([], np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.stream.seek(0)
        _header(self.stream, self.dtype, int(offsets[-1]))
        self.stream.close()
        np.save(self.directory / "offsets.npy", offsets)
        if self.firsts:
            np.save(self.directory / "middle.npy", offsets[:-1] + np.concatenate(self.firsts))
        if labels is not None:
            np.save(self.directory / "labels.npy", labels)
            row_ids = np.concatenate(self.row_ids) if self.row_ids else np.array([], np.int64)
            np.save(self.directory / "row_id.npy", row_ids.astype(np.int64))
        self.progress.finish()
        return {
            "rows": len(lengths),
            "tokens": int(offsets[-1]),
            "longest": int(lengths.max(initial=0)),
            "truncated": self.truncated,
            "unknown": self.unknowns,
            "empty": int((lengths == 0).sum()),
        }


def _header(stream: IO[bytes], dtype: np.dtype, count: int) -> None:
    """Write the .npy header of a flat array. NumPy pads it, so its size stays the same as `count` grows."""
    np.lib.format.write_array_header_1_0(
        stream, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    )
