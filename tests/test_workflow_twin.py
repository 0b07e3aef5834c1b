"""The smoke twin of the paper's scales through the whole workflow: BERT, steps, a sample, hidden test labels."""

import json
from pathlib import Path

import pytest
from compiled import compile_once
from recorded_imports import assert_ran
from workflow_runner import copy_project, planned, snakemake

from tlm.artifacts import read_manifest, verify

RUN = "runs/smoke-bert/toy-pairs/tlm/seed1"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    compile_once()
    return copy_project(tmp_path_factory.mktemp("project"))


def test_a_pair_task_without_test_labels_runs_to_its_metrics(project):
    result = snakemake(project, f"{RUN}/evaluation/manifest.json", scale="smoke-bert")
    assert result.returncode == 0, result.stdout + result.stderr
    metrics = json.loads((project / RUN / "evaluation/metrics.json").read_text())
    assert metrics["metric"] == "pearson_spearman" and "test" not in metrics
    assert -1 <= metrics["dev"]["primary"] <= 1
    verify(project / RUN / "stage2")
    sample, whole = (read_manifest(project / f"data/corpora/{name}") for name in ("toy-tenth", "toy"))
    assert 0.05 < sample.counts["passages"] / whole.counts["passages"] < 0.2
    selection = read_manifest(project / "data/selections/toy-tenth/toy-pairs/bm25-k5")
    assert 0 < selection.counts["passages"] <= sample.counts["passages"]


def test_settings_tables_need_no_run_and_lose_one_cell_at_a_time(project):
    targets = ("results/tableA.1.csv", "results/tableB.1.csv")
    result = snakemake(project, *targets, scale="smoke-bert")
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("setting", "settings")
    assert not planned(project, *targets, "--config", "scale=smoke-bert")
    for table in ("tableA.1", "tableB.1"):
        (project / f"results/cells/{table}/medium/tasks.json").unlink()
        jobs = planned(project, f"results/{table}.csv", "--config", "scale=smoke-bert")
        assert jobs == {"setting": 1, "settings": 1}
    scale = project / "config/scales/medium.yaml"
    scale.write_text(scale.read_text().replace("rho1: 999, rho2: 20,", "rho1: 999, rho2: 21,", 1))
    jobs = planned(project, "results/tableB.1.csv", "--config", "scale=smoke-bert")
    assert jobs == {"setting": 1, "settings": 1}


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
def test_the_papers_scales_plan_every_table_without_a_download(project, scale):
    jobs = planned(project, "--config", f"scale={scale}")
    assert jobs["stage2"] >= 8 * 3
    assert not (project / "data/sources/wikipedia").exists()
