"""results/contamination.csv from the counts of audits."""

import csv
import io
import subprocess
import sys

import pytest
from conftest import ROOT

from tlm.artifacts import write_manifest
from tlm.config.experiments import AuditEntry, ContaminationTable
from tlm.errors import TlmError
from tlm.results.contamination import assemble, entries_of

COUNTS = {"rows": 1200, "equal": 1, "verbatim": 2, "half": 3, "run": 4, "contaminated": 5, "short": 6}


def write_audit(folder, **splits):
    folder.mkdir(parents=True)
    counts = {**splits, "others": 725216, "others_contaminated": 7}
    write_manifest(folder, "audit", counts=counts, parameters={"task": "t"})
    return folder


@pytest.fixture
def audits(tmp_path):
    root = tmp_path / "data/audits/t"
    return [
        write_audit(root / "tasks/t", dev={**COUNTS, "rows": 3}, test=COUNTS),
        write_audit(root / "corpora/c", dev=COUNTS),
        write_audit(root / "selections/c/t/bm25-k5", dev=COUNTS),
    ]


def test_the_table_has_a_row_for_each_audit_and_split(audits):
    rendered = assemble(entries_of(audits))
    rows = list(csv.DictReader(io.StringIO(rendered.csv)))
    assert [(row["task"], row["split"], row["against"], row["name"]) for row in rows] == [
        ("t", "dev", "train", ""),
        ("t", "test", "train", ""),
        ("t", "dev", "corpus", "c"),
        ("t", "dev", "selection", "c/bm25-k5"),
    ]
    assert {name: int(rows[1][name]) for name in COUNTS} == COUNTS
    assert (rows[0]["rows"], rows[2]["others"], rows[2]["others_contaminated"]) == ("3", "725216", "7")
    assert "| t | test | 1,200 | training split | 2 | 3 | 4 | 5 | 7 of 725,216 |" in rendered.markdown
    assert "| t | dev | 1,200 | corpus c | 2 |" in rendered.markdown


def test_selections_list_their_readers(audits):
    entry = AuditEntry(
        task="t", folder=str(audits[2]), against="selection", name="c/bm25-k5", read_by=("TLM", "K = 5")
    )
    rendered = assemble(ContaminationTable(audits=(entry,)))
    assert "| selection c/bm25-k5 (TLM; K = 5) |" in rendered.markdown
    assert next(csv.DictReader(io.StringIO(rendered.csv)))["read_by"] == "TLM; K = 5"


def test_mistakes_raise_one_line(audits, tmp_path):
    with pytest.raises(TlmError, match="not the folder of an audit"):
        entries_of([tmp_path / "elsewhere"])
    missing = audits[0].parent / "other"
    with pytest.raises(TlmError, match="no such artifact"):
        assemble(entries_of([missing]))
    command = [sys.executable, ROOT / "scripts/contamination.py", "--audits", missing]
    command += ["--csv", tmp_path / "x.csv", "--markdown", tmp_path / "x.md"]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert result.returncode == 2 and result.stderr.startswith("error:") and not (tmp_path / "x.csv").exists()
