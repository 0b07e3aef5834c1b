"""Shipped results: each number of docs/replication/ is that of its shipped cells; what is missing or wrong is named."""

import json

import pytest
from conftest import ROOT

from tlm.config.experiments import Table
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.results.shipped import LIMIT, ShippedResults, rendered, ship

REPORTED = load_reported(ROOT / "config/reported.yaml")
FOLDER = ROOT / "docs/replication"
SHIPPED = sorted(FOLDER.glob("*/*.json"))

TABLE = Table.model_validate(
    {
        "name": "table9x",
        "title": "A table",
        "columns": [{"id": "average", "kind": "average", "tasks": ["a"]}],
        "rows": [{"id": "tlm", "label": "TLM", "variant": "tlm", "scale": "toy", "reported": "none"}],
    }
)


def build(results, scale: str = "toy") -> None:
    cell = {
        "table": "table9x",
        "row": "tlm",
        "column": "average",
        "mean": 71.25,
        "sd": 0.5,
        "values": {"1": 70.75, "2": 71.75},
        "unit": "percent",
        "source": "measured",
        "scale": scale,
        "made_from": [],
    }
    path = results / "cells/table9x/tlm/average.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(cell))


def wanted(**changed) -> ShippedResults:
    return ShippedResults(**{"scale": "toy", "tables": [TABLE], "figures": [], "pages": [], **changed})


def test_every_shipped_table_shows_its_shipped_cells():
    assert SHIPPED
    for file in SHIPPED:
        assert rendered(file, REPORTED) == file.with_suffix(".md").read_text(), file.name


def test_the_table_of_the_readme_shows_the_shipped_cells():
    """Row by row: every number of the README's results is in the row of that label in the demo's Table 2."""
    readme = (ROOT / "README.md").read_text().split("## Results")[1]
    rows = [line.split(" | ") for line in readme.splitlines() if line.startswith("| ")]
    rows = [
        row
        for row in rows
        if row[0].removeprefix("| ") in ("TLM", "PLM", "TF-IDF + logistic regression", "n-gram SVM")
    ]
    shipped = (FOLDER / "demo/table2.md").read_text().splitlines()
    assert len(rows) == 4
    for label, flops, _, *scores, losses in rows:
        shown = next(line for line in shipped if line.startswith(f"{label} |"))
        assert flops.upper() in shown
        for score in scores:
            assert score in shown, (label, score)
        for loss in losses.strip("| ").split(", "):
            assert loss in shown, (label, loss)


def test_the_shipped_folder_is_small_and_holds_no_texts():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) <= LIMIT
    assert not list(FOLDER.rglob("table9*"))


def test_a_table_is_shipped_with_its_cells(tmp_path):
    build(tmp_path / "results")
    assert ship(wanted(pages=["claims"]), tmp_path / "results", tmp_path / "to", REPORTED) == ["claims.md"]
    markdown = (tmp_path / "to/table9x.md").read_text()
    assert "71.25" in markdown and rendered(tmp_path / "to/table9x.json", REPORTED) == markdown
    changed = (tmp_path / "to/table9x.json").read_text().replace("71.25", "99.99")
    (tmp_path / "to/table9x.json").write_text(changed)
    assert rendered(tmp_path / "to/table9x.json", REPORTED) != markdown


def test_a_table_that_is_not_built_is_named(tmp_path):
    assert ship(wanted(), tmp_path, tmp_path / "to", REPORTED) == ["table9x"]


def test_cells_of_another_scale_raise(tmp_path):
    build(tmp_path / "results", scale="demo")
    with pytest.raises(TlmError, match="table9x was built at scale demo, not at toy"):
        ship(wanted(), tmp_path / "results", tmp_path / "to", REPORTED)


def test_a_folder_that_is_too_large_raises(tmp_path):
    (tmp_path / "claims.md").write_text("x" * (LIMIT + 1))
    with pytest.raises(TlmError, match="at most 3,000,000 are shipped"):
        ship(wanted(tables=[], pages=["claims"]), tmp_path, tmp_path / "to", REPORTED)
