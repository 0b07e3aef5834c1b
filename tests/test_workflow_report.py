"""The report of a task as a target: planned from raw files on, left alone when nothing changed, errors of one line.

As in test_workflow_tables.py the plans are Snakemake's own, over empty files in the places of a finished build. What a
report says is tested in test_results_page.py; here its script makes one from artifacts.
"""

import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from page_toy import Toy, write_toy
from recorded_imports import assert_ran
from workflow_runner import copy_project, environment, planned, snakemake

from tlm.artifacts import canonical_json

TARGET = "results/tasks/mine/report.html"
DECLARED = """
task: {files: examples/toy-task.csv}
corpus: {files: examples/toy-corpus.jsonl}
training: {like: smoke, seeds: [1]}
compare: true
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A project with a task of one's own, and what Snakemake says it would run for its report."""
    folder = copy_project(tmp_path_factory.mktemp("report"))
    (folder / "config/own").mkdir(exist_ok=True)
    (folder / "config/own/mine.yaml").write_text(DECLARED)
    result = snakemake(folder, "--dry-run", "--printshellcmds", TARGET, scale="demo")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout + result.stderr


@pytest.fixture(scope="module")
def finished(plan):
    """The places of everything that the report is made from, all up to date."""
    folder, printed = plan
    for line in re.findall(r"^    output: (.*)$", printed, re.M):
        for each in line.split(", "):
            path = folder / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    touched = snakemake(folder, "--touch", TARGET, scale="demo")
    assert touched.returncode == 0, touched.stderr
    return folder


def test_one_command_plans_every_method_the_audit_and_the_model(plan):
    _, printed = plan
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", printed.split("Job stats:")[1].split("Reasons")[0], re.M))
    counts = {name: int(jobs[name]) for name in ("stage1", "stage2", "evaluate", "linear", "audit", "export")}
    assert counts == {"stage1": 3, "stage2": 3, "evaluate": 3, "linear": 2, "audit": 1, "export": 1}


def test_the_rule_gives_its_script_all_inputs(plan):
    command = next(line for line in plan[1].splitlines() if "scripts/task_report.py --spec" in line)
    script = (ROOT / "scripts/task_report.py").read_text()
    options = [f"--{name}" for name in re.findall(r"^    (\w+): ", script, re.M)]
    assert sorted(re.findall(r" (--\w+)", re.sub(r"'[^']*'", "", command))) == sorted(options)
    assert "retrieval=benchmarks/retrieve/mine-mine-top" in command


def test_a_finished_report_has_nothing_to_do_and_another_look_trains_nothing(finished):
    assert not planned(finished, TARGET, "--config", "scale=smoke")  # whatever `scale:` says
    style = finished / "tlm/results/page/page.css"
    style.write_text(style.read_text() + "\n")
    assert planned(finished, TARGET, "--config", "scale=smoke") == {"task_report": 1}


def test_snakemakes_report_holds_the_reports_that_are_built(finished):
    result = snakemake(finished, "--report", "results/report.html", scale="demo")
    assert result.returncode == 0, result.stderr
    page = (finished / "results/report.html").read_text()
    assert "Reports of tasks" in page and "results/tasks/mine/report.html" in page


def test_a_task_that_the_scale_lacks_raises_in_one_line(finished):
    result = snakemake(finished, "--dry-run", "results/tasks/nobody/report.html")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode != 0 and "Traceback" not in result.stderr
    assert len(errors) == 1 and "no report of task 'nobody': scale smoke has toy, mine" in errors[0]


def test_the_script_writes_both_files(tmp_path):
    spec, folders = write_toy(tmp_path, Toy())
    command = [sys.executable, str(ROOT / "scripts/task_report.py")]
    command += ["--spec", canonical_json(spec.model_dump(mode="json"))]
    for name in ("task", "tokens", "corpus", "retrieval", "audit"):
        command += [f"--{name}", str(getattr(folders, name))]
    command += ["--evaluations", *map(str, folders.evaluations), "--stages", *map(str, folders.stages)]
    (tmp_path / "search.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n2.5\t0:00:02\t100.0\t2.0\n")
    command += ["--benchmarks", f"search={tmp_path / 'search.tsv'}", f"index={tmp_path / 'absent.tsv'}"]
    command += ["--json", str(tmp_path / "out/report.json"), "--html", str(tmp_path / "out/report.html")]
    result = subprocess.run(command, env=environment(ROOT), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert_ran("task_report")
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["corpus"]["seconds"] == {"search": 2.5}
    assert report["verdict"]["sentence"].split(":")[0] in (tmp_path / "out/report.html").read_text()
