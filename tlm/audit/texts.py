"""The inputs of an audit: a task's dev and test rows, and the texts of a body in batches.

Place in the flow: task, corpus and selection artifacts → here → `tlm.audit.stage`. Apart from evaluation, only this
module opens a test split; it reads texts, never labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest
from tlm.errors import TlmError
from tlm.layout import UNLABELLED

SPLITS = ("dev", "test")
FIELDS = ("text", "text_pair")
BOTH = "both"  # the two texts of a pair, joined
IDS = {"corpus": "passage_id", "selection": "passage_id", "task": "train_row_id"}
"""Kind of a body → column with the ids of its texts."""
_BATCH = 8192


@dataclass(frozen=True)
class Rows:
    """Dev and test rows, and their texts: text i is the field `field[i]` of row number `row_of[i]`."""

    split: np.ndarray  # str, a row
    row_id: np.ndarray  # int64, a row
    row_of: np.ndarray  # int64, a text
    field: np.ndarray  # str, a text
    texts: pa.Array  # large_string


def read_rows(task_dir: Path, *, joined: bool) -> Rows:
    """The dev and test rows of a task; the texts of a pair one by one, or joined by a space.

    Raises TlmError if there are none.
    """
    present = [split for split in SPLITS if f"{split}.parquet" in read_manifest(task_dir, "task").files]
    splits, ids, texts = [], [], []
    for split in present:
        table = pq.read_table(task_dir / f"{split}.parquet")
        splits.append(np.full(table.num_rows, split))
        ids.append(table["row_id"].to_numpy())
        texts.append(_texts(table, joined=joined))
    if not sum(map(len, ids)):
        raise TlmError(f"{task_dir}: neither dev nor test rows to audit")
    fields = list(texts[0])
    total = sum(map(len, ids))
    return Rows(
        split=np.concatenate(splits),
        row_id=np.concatenate(ids),
        row_of=np.tile(np.arange(total), len(fields)),
        field=np.repeat(fields, total),
        texts=pa.concat_arrays([each[field] for field in fields for each in texts]),
    )


def _texts(table: pa.Table, *, joined: bool) -> dict[str, pa.Array]:
    """Field → texts."""
    found = {
        field: table[field].cast(pa.large_string()).combine_chunks()
        for field in FIELDS
        if field in table.column_names
    }
    if joined and len(found) > 1:
        return {BOTH: pc.binary_join_element_wise(*found.values(), pa.scalar(" ", pa.large_string()))}
    return found


def body_texts(body_dir: Path, body: Manifest) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Ids and texts of a body, in order, in small batches.

    A body is a corpus, a selection, or a task's training rows and unlabelled texts (pairs joined).
    """
    if body.kind == "task":
        table = pq.read_table(body_dir / "train.parquet")
        if f"{UNLABELLED}.parquet" in body.files:
            more = pq.read_table(body_dir / f"{UNLABELLED}.parquet")
            table = pa.concat_tables([table.select(more.column_names), more])
        (texts,) = _texts(table, joined=True).values()
        for begin in range(0, len(texts), _BATCH):
            yield table["row_id"][begin : begin + _BATCH].to_numpy(), texts[begin : begin + _BATCH]
        return
    for name in sorted(each for each in body.files if each.endswith(".parquet")):
        for batch in pq.ParquetFile(body_dir / name).iter_batches(_BATCH, columns=["passage_id", "text"]):
            yield batch.column("passage_id").to_numpy(), batch.column("text")


def body_size(body: Manifest) -> int:
    """Number of texts that `body_texts` yields."""
    if body.kind != "task":
        return int(body.counts["passages"])
    return int(body.counts["rows"]["train"]) + int(body.counts.get("unlabelled", {}).get("rows", 0))
