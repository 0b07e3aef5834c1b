"""results/contamination.csv: how many dev and test rows were found in training splits, corpora and selections.

Place in the flow: the counts in the manifests of audits (`tlm.audit.stage`) → here. The audits' `rows.parquet` has the
rows themselves, `matches.parquet` the passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlm.artifacts import read_manifest
from tlm.config.experiments import AuditEntry, ContaminationTable
from tlm.errors import TlmError
from tlm.results.rendering import Record, Rendered, markdown_rows, records_csv

_FOUND = ("equal", "verbatim", "half", "run", "contaminated")
_TITLE = "# Contamination: dev and test texts in training data"
_NOTES = """\
Words are lower-cased sequences of letters and digits; punctuation is dropped. *Verbatim*: one training text or passage
contains all words of the row in sequence (a row under 5 words counts only if it is the whole text). *Half*: sequences
of 13 words that are found elsewhere cover at least half of the row. *Run*: at least one sequence of 13 words is found
elsewhere. *Any*: verbatim or run. *Found in*: training rows or passages that contain a match. More in
docs/contamination.md."""


def entries_of(folders: Sequence[Path]) -> ContaminationTable:
    """The entries of the audits in `folders`, each `…/audits/<task>/<body>`.

    Raises TlmError for a folder with another name.
    """
    return ContaminationTable(audits=tuple(map(_entry_of, folders)))


def _entry_of(folder: Path) -> AuditEntry:
    named = re.fullmatch(r"(?:.*/)?audits/([^/]+)/(.+)", folder.as_posix())
    match (named[1], *named[2].split("/")) if named else ():
        case (task, "tasks", _):
            return AuditEntry(task=task, folder=str(folder), against="train", name="")
        case (task, "corpora", corpus):
            return AuditEntry(task=task, folder=str(folder), against="corpus", name=corpus)
        case (task, "selections", corpus, _, selection):
            return AuditEntry(
                task=task, folder=str(folder), against="selection", name=f"{corpus}/{selection}"
            )
    raise TlmError(f"{folder}: not the folder of an audit; give data/audits/<task>/<body>")


def assemble(table: ContaminationTable) -> Rendered:
    """One row for each audit and split. Raises TlmError if an audit is missing."""
    lines = [line for entry in table.audits for line in _lines(entry)]
    shown = ["Task", "Split", "Rows", "Looked for in", "Verbatim", "Half", "Run", "Any", "Found in"]
    rows = [shown, ["---"] * 4 + ["---:"] * 5]
    for line in lines:
        where = "training split" if line["against"] == "train" else str(line["against"])
        if line["name"]:
            where += f" {line['name']}" + (f" ({line['read_by']})" if line["read_by"] else "")
        found = [str(line[each]) for each in ("verbatim", "half", "run", "contaminated")]
        of = f"{line['others_contaminated']:,} of {line['others']:,}"
        rows.append([line["task"], line["split"], f"{line['rows']:,}", where, *found, of])
    markdown = f"{_TITLE}\n\n{markdown_rows(rows)}\n\n{_NOTES}\n"
    return Rendered(csv=records_csv(lines), markdown=markdown)


def _lines(entry: AuditEntry) -> Iterator[Record]:
    counts = read_manifest(Path(entry.folder), "audit").counts
    for split in (each for each in ("dev", "test") if each in counts):
        yield {
            "task": entry.task,
            "split": split,
            "against": entry.against,
            "name": entry.name,
            "read_by": "; ".join(entry.read_by),
            **{name: counts[split][name] for name in ("rows", "short", *_FOUND)},
            "others": counts["others"],
            "others_contaminated": counts["others_contaminated"],
        }
