"""Selections: the external data of stage 1 (Section 3.1), with the origin of each passage.

A selector's function (`tlm.retrieval.selectors`) chooses passages; here they are read from the corpus and written to
`passages.parquet`, sorted by passage id. Columns: passage_id, text, source, and four that bm25 fills: rank (the best; 0
without a ranking), score, query_id (the query of the best rank; the lowest if several; -1 without queries), queries.

Passages that audits (`tlm.audit`) found to share text with dev or test rows can be excluded. No other passage replaces
them, so a selection with a smaller K is always part of the selection with a larger K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.retrieval import SELECTOR_INPUTS, GivenSelector, SelectorSpec
from tlm.errors import TlmError
from tlm.retrieval.given import build_given, without_contaminated
from tlm.retrieval.selectors import (
    FUNCTIONS,
    SCHEMA,
    ChosenPassages,
    ExcludedPassages,
    SelectorInputs,
    corpus_batches,
    word_counts,
)

_DEFAULTS = {"rank": 0, "score": 0.0, "query_id": -1, "queries": 0}


def read_excluded(audit_dirs: Sequence[Path], body_dir: Path) -> ExcludedPassages:
    """The passages that the audits found in a corpus or selection. Raises TlmError for an audit of another one."""
    body = read_manifest(body_dir)
    ids, digests = [np.zeros(0, np.int64)], {}
    for folder in audit_dirs:
        audit = read_manifest(folder, "audit")
        if audit.inputs.get(body.kind) != body.digest:
            raise TlmError(f"{folder}: does not audit the current {body_dir}; build it again")
        table = pq.read_table(folder / "matches.parquet", columns=["passage_id"])
        ids.append(table["passage_id"].to_numpy())
        digests[audit.parameters["task"]] = audit.digest
    return ExcludedPassages(np.unique(np.concatenate(ids)), digests)


def select(
    spec: SelectorSpec,
    corpus_dir: Path | None,
    destination: Path,
    inputs: Mapping[str, Path],
    *,
    without: Sequence[Path] = (),
) -> Manifest:
    """Build the selection that `spec` describes, without the passages that the audits in `without` found.

    `inputs` maps names of SELECTOR_INPUTS to folders. A given selection reads no corpus; its audits are those of the
    input "whole", the selection with all passages. Raises TlmError if an input of the selector is missing, no passage
    is left, or the corpus lacks a chosen passage.
    """
    given = isinstance(spec, GivenSelector)
    missing = [name for name in (["whole"] if given and without else spec.inputs) if name not in inputs]
    if corpus_dir is None and not given:
        missing.insert(0, "corpus")
    if missing:
        options = " and ".join(f"--{name}" for name in missing)
        raise TlmError(f"selector {spec.selector} needs more inputs: give {options}")
    if isinstance(spec, GivenSelector):
        if without:
            whole = inputs["whole"]
            return without_contaminated(whole, read_excluded(without, whole), destination)
        return build_given(spec, inputs["source"], inputs["task"], destination)
    assert corpus_dir is not None
    folders = {name: inputs[name] for name in spec.inputs}
    excluded = read_excluded(without, corpus_dir)
    chosen = FUNCTIONS[type(spec)](spec, SelectorInputs(corpus_dir, folders, excluded))
    parameters = spec.model_dump(exclude={"like"})
    digests = {
        "corpus": read_manifest(corpus_dir, "corpus").digest,
        **{name: read_manifest(path, SELECTOR_INPUTS[name][0]).digest for name, path in folders.items()},
    }
    if excluded.audits:
        if not len(chosen.ids):
            raise TlmError(
                f"{corpus_dir}: every selected passage shares text with dev or test, so the selection is empty"
            )
        parameters["exclude"] = "contaminated"
        digests |= {f"audit/{task}": digest for task, digest in excluded.audits.items()}
    return _write(corpus_dir, chosen, destination, parameters, digests)


def _write(
    corpus_dir: Path,
    chosen: ChosenPassages,
    destination: Path,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> Manifest:
    """Read the chosen passages from the corpus and write the selection. Raises TlmError if the corpus lacks one."""
    written = size = words = 0
    with staged_directory(destination) as working:
        with pq.ParquetWriter(working / "passages.parquet", SCHEMA, compression="zstd") as writer:
            for batch in corpus_batches(corpus_dir, ["passage_id", "text", "source"]):
                ids = batch.column("passage_id").to_numpy()
                low, high = np.searchsorted(chosen.ids, (ids[0], ids[-1] + 1))
                if low == high:
                    continue
                rows = batch.take(pa.array(chosen.ids[low:high] - ids[0]))
                columns = [rows.column(name) for name in ("passage_id", "text", "source")]
                for name, default in _DEFAULTS.items():
                    values = chosen.provenance.get(name)
                    column = np.full(high - low, default) if values is None else values[low:high]
                    columns.append(pa.array(column, SCHEMA.field(name).type))
                columns = [column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
                written += len(rows)
                size += pc.sum(pc.binary_length(rows.column("text"))).as_py()
                words += int(word_counts(rows.column("text")).sum())
        if written != len(chosen.ids):
            raise TlmError(
                f"{corpus_dir}: lacks {len(chosen.ids) - written} of the selected passages; retrieve again"
            )
        return write_manifest(
            working,
            "selection",
            counts={"passages": written, "bytes": size, "words": words},
            parameters=parameters,
            inputs=inputs,
        )
