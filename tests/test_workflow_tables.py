"""Every table as its users ask for it: cell by cell, planned at every scale, refused in one line where it cannot be.

The plans are Snakemake's own; the files that they start from are empty ones in the places of a finished build, since a
plan asks only whether they are there, how old they are and what they were made with.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from workflow_runner import copy_project, environment, planned, snakemake

from tlm.plan import tables
from tlm.plan.project import load_project


def project_of(scale: str, **changes: object):
    return load_project(
        {**yaml.safe_load((ROOT / "config/config.yaml").read_text()), "scale": scale, **changes},
        ROOT / "config",
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The places of everything that the smoke scale builds, all up to date."""
    folder = tmp_path_factory.mktemp("finished")
    copy_project(folder)
    plan = snakemake(folder, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    outputs = re.findall(r"^    output: (.*)$", plan.stdout + plan.stderr, re.M)
    assert len(outputs) > 200
    for path in (folder / each for line in outputs for each in line.split(", ")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    touched = snakemake(folder, "--touch")
    assert touched.returncode == 0, touched.stderr
    return folder


def cell_of(table: str) -> str:
    """A cell of each table: one of its middle."""
    if table == "table9":
        return "table9/toy/examples"
    if table in ("tableA.1", "tableB.1"):
        return f"{table}/medium/tasks"
    keys = [key for key in tables.cells(project_of("smoke")) if key[0] == table]
    return "/".join(keys[len(keys) // 2])


SMOKE = [*tables.available(project_of("smoke")), "table9", "tableA.1", "tableB.1"]


def test_all_tables_of_the_paper_are_there():
    paper = {*(f"table{number}" for number in range(1, 10)), "tableA.1", "tableA.2", "tableB.1"}
    assert paper <= set(SMOKE)
    assert all("table10" in tables.available(project_of(scale)) for scale in ("small", "medium"))


@pytest.mark.parametrize("changed", [SMOKE[0::2], SMOKE[1::2]], ids=["every second table", "the others"])
def test_deleted_cells_and_their_tables_are_all_that_is_rebuilt(finished, changed):
    """One deleted cell in each changed table; a table that read another table's cells would be rebuilt, too."""
    targets = [f"results/{table}.csv" for table in SMOKE]
    cells = [f"results/cells/{cell_of(table)}.json" for table in changed]
    assert not planned(finished, *targets)
    for cell in cells:
        (finished / cell).unlink()
    try:
        result = snakemake(finished, "--dry-run", *targets)
    finally:
        for cell in cells:
            (finished / cell).touch()
        assert snakemake(finished, "--touch", *targets).returncode == 0
    assert result.returncode == 0, result.stderr
    outputs = re.findall(r"^    output: ([^,\n]*)", result.stdout + result.stderr, re.M)
    assert sorted(outputs) == sorted([*cells, *(f"results/{table}.csv" for table in changed)])


def test_a_cell_is_a_target(finished):
    jobs = planned(finished, "results/cells/table3/random/toy.json", "--forcerun", "cell")
    assert jobs == {"cell": 1}


def test_claims_differences_and_sensitivity_are_made_from_the_tables_runs(finished):
    jobs = planned(
        finished,
        "results/claims.csv",
        "results/differences/table3.csv",
        "results/sensitivity.pdf",
        "--forcerun",
        "claims",
        "differences",
        "figure",
    )
    assert jobs == {"claims": 1, "differences": 1, "figure": 1}
    assert planned(finished, "results/claims/stage2.csv") == {"claims": 1}
    result = snakemake(finished, "--dry-run", "results/claims/absent.csv")
    assert result.returncode != 0 and "no claim 'absent'" in result.stdout + result.stderr
    result = snakemake(finished, "--dry-run", "results/differences/table10.csv")
    assert result.returncode != 0 and "table10: scale smoke has no task" in result.stdout + result.stderr


def test_a_row_more_in_a_sweep_builds_that_row(finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "copy", copy_function=shutil.copy2, symlinks=True))
    scale = folder / "config/scales/smoke.yaml"
    scale.write_text(scale.read_text().replace("rho2: [0, 20]", "rho2: [0, 20, 50]"))
    jobs = planned(folder, "results/table6.csv")
    seeds = len(project_of("smoke").seeds)
    assert jobs == {"stage1": seeds, "stage2": seeds, "evaluate": seeds, "cell": 2, "table": 1}


def test_a_table_that_the_scale_cannot_have_is_one_line(finished):
    result = snakemake(finished, "--dry-run", "results/table10.csv")
    errors = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if "table10: scale smoke has no task" in line
    ]
    assert result.returncode != 0 and len(errors) == 1
    assert "scales that have it: demo-paper, medium, small" in errors[0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("runs/smoke/toy/absent/seed1/evaluation/manifest.json", "no variant 'absent'"),
        ("runs/smoke/absent/tlm/seed1/stage2/manifest.json", "no task 'absent'"),
        ("data/corpora/absent/manifest.json", "no corpus 'absent'"),
    ],
)
def test_an_unknown_name_raises_in_one_line(finished, target, message):
    result = snakemake(finished, "--dry-run", target)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode != 0 and "Traceback" not in result.stderr + result.stdout
    assert len(errors) == 1 and message in errors[0]


def test_all_tables_plan_fast_at_medium_with_three_seeds(finished):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--quiet",
        "--config",
        "scale=medium",
        "seeds=[1,2,3]",
    ]
    before = os.times()
    result = subprocess.run(command, cwd=finished, env=environment(finished), capture_output=True, text=True)
    after = os.times()
    assert result.returncode == 0, result.stderr
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 20
