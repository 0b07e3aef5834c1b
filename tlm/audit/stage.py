"""The audit of a task against one body of text: its training split, a corpus, or a selection.

Place in the flow: task and body → here → `results/contamination.csv`; what an audit of a corpus finds is what
`exclude: contaminated` leaves out of a selection. Beyond the paper, which audits nothing.

An audit holds `matches.parquet`, a line for each pair of a dev or test text and a passage (or a training row) that
share a run of 13 words or of which the first stands whole in the second: split, row_id, field, passage_id (or
train_row_id), kind, words (of the longest run) and of_words (of the dev or test text); and `rows.parquet`, a line for
each dev and test row: split, row_id, words, kind (null if nothing was found), longest, covered (its words that lie in
shared runs), matches and short (under 5 words).
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
"""All of the other text; whole within it; a run of 13 words; one text of a pair, whole but too short for a run."""
_LABELS = pa.array([*KINDS, None])


def audit_task(task_dir: Path, body_dir: Path, destination: Path) -> Manifest:
    """Audit the dev and test texts of the task in `task_dir` against the artifact in `body_dir`.

    The body is a corpus, a selection, or a task, of which the training split is read. In passages the texts of a pair
    are looked for one by one, in training rows joined. Raises TlmError for a body of another kind, and for a task with
    neither dev nor test rows.
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
        progress.finish(f"{tally.others:,} share something with dev or test")
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
    """What was found so far of each audited text, and in how many others."""

    def __init__(self, texts: int) -> None:
        self.longest = np.zeros(texts, np.int32)
        self.whole = np.zeros(texts, bool)
        self.equal = np.zeros(texts, bool)
        self.matches = np.zeros(texts, np.int64)
        self.others = 0

    def add(self, shared: Shared) -> None:
        """Count the pairs of some others, each of which is complete."""
        np.maximum.at(self.longest, shared.text, shared.words.astype(np.int32))
        self.whole[shared.text[shared.whole]] = True
        self.equal[shared.text[shared.equal]] = True
        np.add.at(self.matches, shared.text, 1)
        self.others += len(np.unique(shared.other))


def row_table(rows: Rows, audited: Audited, tally: Tally) -> pa.Table:
    """A line for each dev and test row. A pair is equal or verbatim if both its texts are, found if one is."""
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
    """How many rows of a split were found, and how.

    `verbatim` includes `equal`; `run` are the rows with a shared run of 13 words, verbatim or not; `half` those of
    which shared runs cover half of the words; `contaminated` all that were found; `short` those under 5 words, which
    only count when they are equal.
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
