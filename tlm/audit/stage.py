"""The audit of a task against one body of text: its training split, a corpus, or a selection.

Place in the flow: task and body → here → `results/contamination.csv`. `exclude: contaminated` removes the passages that
an audit of the corpus finds from a selection. The paper has no audit.

An audit has two files. `matches.parquet` has a row for each pair of a dev or test text and a passage (or training row)
that share a run of 13 words, or whose second text contains the whole first text: split, row_id, field, passage_id (or
train_row_id), kind, words (of the longest run) and of_words (of the dev or test text). `rows.parquet` has a row for
each dev and test row: split, row_id, words, kind (null if not found), longest, covered (number of its words in shared
runs), matches and short (under 5 words).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.audit.overlap import LEAST, RUN, Audited, Shared
from tlm.audit.texts import IDS, SPLITS, Rows, body_size, body_texts, read_rows
from tlm.errors import TlmError
from tlm.progress import Progress

EQUAL, VERBATIM, BY_RUN, PART = KINDS = ("equal", "verbatim", "run", "part")
"""The same words; whole inside the other text; a shared run of 13 words; only one text of a pair, under 13 words."""
_LABELS = pa.array([*KINDS, None])


def audit_task(task_dir: Path, body_dir: Path, destination: Path) -> Manifest:
    """Audit the dev and test texts of the task in `task_dir` against the artifact in `body_dir`.

    The body is a corpus, a selection, or a task (its training split). The two texts of a pair are searched one by one
    in passages, and joined in training rows. Raises TlmError for a body of another kind, and for a task with neither
    dev nor test rows.
    """
    task, body = read_manifest(task_dir, "task"), read_manifest(body_dir)
    if body.kind not in IDS:
        raise TlmError(
            f"{body_dir}: holds a {body.kind!r} artifact; an audit reads a corpus, a selection or a task"
        )
    rows = read_rows(task_dir, joined=body.kind == "task")
    audited = Audited(rows.texts)
    tally = Tally(len(rows.texts))
    schema = _match_schema(IDS[body.kind])
    progress = Progress(f"audit: {body_dir}", body_size(body), "texts")
    with staged_directory(destination) as working:
        with pq.ParquetWriter(working / "matches.parquet", schema, compression="zstd") as writer:
            for ids, texts in body_texts(body_dir, body):
                for shared in audited.find(texts):
                    tally.add(shared)
                    writer.write_table(_matches(rows, audited, ids, shared, schema))
                progress.add(len(texts))
        progress.finish(f"{tally.others:,} share text with dev or test")
        found = row_table(rows, audited, tally)
        pq.write_table(found, working / "rows.parquet", compression="zstd")
        return write_manifest(
            working,
            "audit",
            counts={
                **{split: _counts(found, split) for split in SPLITS if split in rows.split},
                "others": body_size(body),
                "others_contaminated": tally.others,
            },
            parameters={"task": task.parameters["task"], "against": body.kind, "run": RUN, "least": LEAST},
            inputs={"task": task.digest} | ({} if body == task else {body.kind: body.digest}),
        )


class Tally:
    """The matches found so far for each audited text, and the number of other texts with a match."""

    def __init__(self, texts: int) -> None:
        self.longest = np.zeros(texts, np.int32)
        self.whole = np.zeros(texts, bool)
        self.equal = np.zeros(texts, bool)
        self.matches = np.zeros(texts, np.int64)
        self.others = 0

    def add(self, shared: Shared) -> None:
        """Count the pairs of a batch, which holds all pairs of each of its other texts."""
        np.maximum.at(self.longest, shared.text, shared.words.astype(np.int32))
        self.whole[shared.text[shared.whole]] = True
        self.equal[shared.text[shared.equal]] = True
        np.add.at(self.matches, shared.text, 1)
        self.others += len(np.unique(shared.other))


def row_table(rows: Rows, audited: Audited, tally: Tally) -> pa.Table:
    """A row for each dev and test row. A pair is equal or verbatim if both its texts are, found if one of them is."""
    count = len(rows.row_id)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(rows.row_of, values, minlength=count).astype(np.int64)

    texts = total(np.ones(len(rows.row_of)))
    longest = np.zeros(count, np.int32)
    np.maximum.at(longest, rows.row_of, tally.longest)
    kind = np.select(
        [total(tally.equal) == texts, total(tally.whole) == texts, longest >= RUN, longest > 0], range(4), 4
    )
    largest = np.zeros(count, np.int64)
    np.maximum.at(largest, rows.row_of, audited.sizes)
    return pa.table(
        {
            "split": pa.array(rows.split, pa.string()),
            "row_id": pa.array(rows.row_id, pa.int64()),
            "words": pa.array(total(audited.sizes), pa.int32()),
            "kind": _LABELS.take(pa.array(kind)),
            "longest": pa.array(longest, pa.int32()),
            "covered": pa.array(total(audited.coverage()), pa.int32()),
            "matches": pa.array(total(tally.matches), pa.int64()),
            "short": pa.array(largest < LEAST, pa.bool_()),
        }
    )


def _counts(found: pa.Table, split: str) -> dict[str, int]:
    """Numbers of rows of a split by the way in which they were found.

    `verbatim` includes `equal`; `run`: rows with a shared run of 13 words, verbatim or not; `half`: shared runs cover
    at least half of the words; `contaminated`: all rows found; `short`: rows under 5 words, which only count if equal.
    """
    columns = found.filter(pc.equal(found["split"], split)).to_pydict()
    kinds = columns["kind"]
    half = (
        0 < 2 * covered >= words for covered, words in zip(columns["covered"], columns["words"], strict=True)
    )
    return {
        "rows": len(kinds),
        "equal": kinds.count(EQUAL),
        "verbatim": kinds.count(EQUAL) + kinds.count(VERBATIM),
        "half": sum(half),
        "run": sum(longest >= RUN for longest in columns["longest"]),
        "contaminated": len(kinds) - kinds.count(None),
        "short": sum(columns["short"]),
    }


def _match_schema(other: str) -> pa.Schema:
    return pa.schema(
        [
            ("split", pa.string()),
            ("row_id", pa.int64()),
            ("field", pa.string()),
            (other, pa.int64()),
            ("kind", pa.string()),
            ("words", pa.int32()),
            ("of_words", pa.int32()),
        ]
    )


def _matches(rows: Rows, audited: Audited, ids: np.ndarray, shared: Shared, schema: pa.Schema) -> pa.Table:
    row = rows.row_of[shared.text]
    kind = np.select([shared.equal, shared.whole], [EQUAL, VERBATIM], BY_RUN)
    columns = [
        rows.split[row],
        rows.row_id[row],
        rows.field[shared.text],
        ids[shared.other],
        kind,
        shared.words,
        audited.sizes[shared.text],
    ]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema
    )
