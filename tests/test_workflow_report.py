"""A task of one's own, from raw files to its report and its model, by the one command that the documentation names."""

import json
import shutil

import pytest
from test_workflow import copy_project, planned, snakemake

pytestmark = pytest.mark.slow

TARGET = "results/tasks/mine/report.html"
DECLARED = """
description: Places, in the words of those who know them.
task: {files: examples/toy-task.csv}
corpus: {files: examples/toy-corpus.jsonl}
training: {like: smoke, seeds: [1]}
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The task `mine`, built while config.yaml says another scale."""
    folder = copy_project(tmp_path_factory.mktemp("reported"))
    (folder / "config/own").mkdir(exist_ok=True)
    (folder / "config/own/mine.yaml").write_text(DECLARED)
    result = snakemake(folder, TARGET, scale="demo")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_one_command_gives_the_report_and_the_model(reported):
    report = json.loads((reported / "results/tasks/mine/report.json").read_text())
    page = (reported / TARGET).read_text()
    assert [method["name"] for method in report["methods"]] == ["tlm", "task-only", "random", "tfidf"]
    assert report["own"] and report["scale"] == "mine" and report["shown"] == 1
    assert report["verdict"]["sentence"].split(":")[0] in page
    assert report["corpus"]["seconds"].keys() == {"corpus", "index", "retrieval"}
    assert [each["split"] for each in report["contamination"]] == ["dev", "test"]
    model = json.loads((reported / "models/mine/manifest.json").read_text())
    assert model["parameters"]["seed"] == report["shown"]
    assert "tlm predict models/mine" in page


def test_another_look_of_the_page_trains_nothing(reported, tmp_path):
    folder = shutil.copytree(reported, tmp_path / "copy", copy_function=shutil.copy2, symlinks=True)
    assert not planned(folder, TARGET, "--config", "scale=demo")
    for path in [*folder.glob("runs/**/*.*"), *folder.glob("tlm/**/*.*")]:
        path.touch()
    assert not planned(folder, TARGET, "--config", "scale=demo")
    style = folder / "tlm/results/page/page.css"
    style.write_text(style.read_text() + "\n")
    assert planned(folder, TARGET, "--config", "scale=demo") == {"task_report": 1}


def test_a_shipped_task_has_a_report_at_the_scale_that_has_it(reported):
    jobs = planned(reported, "results/tasks/toy/report.html", "--config", "scale=smoke")
    assert jobs["task_report"] == jobs["tfidf"] == jobs["export"] == jobs["audit"] == 1
    assert jobs["stage1"] == jobs["stage2"] == 6  # three methods, two seeds


def test_an_unknown_task_is_one_line(reported):
    result = snakemake(reported, "--dry-run", "results/tasks/nobody/report.html", scale="smoke")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode != 0 and "Traceback" not in result.stderr
    assert len(errors) == 1 and "smoke has toy, mine" in errors[0]
