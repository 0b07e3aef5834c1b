"""`tlm train`: it changes single lines of the file, plans the jobs that are needed, and refuses what cannot be done."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy
from workflow_runner import copy_project

from tlm.artifacts import write_json, write_manifest
from tlm.config.base import load_yaml
from tlm.config.forecast import read_forecast
from tlm.cost.jobs import PendingJob, pending
from tlm.cost.machine import Rate
from tlm.errors import TlmError
from tlm.own import command, more_time, train, train_command
from tlm.own.more_time import FinishedStage1, longer

BUILT = FinishedStage1(1000, 600_000, 300.0, 400, 240_000, 110.0, 20)


RUN = "runs/mine/mine/tlm/seed1"
JOBS = [PendingJob(rule, f"{RUN}/{rule}/manifest.json") for rule in ("stage1", "stage2")]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A project with a task `mine` that `tlm new` has declared, and nothing built."""
    folder = copy_project(tmp_path_factory.mktemp("train"))
    toy.write_task(folder / "rows.csv", 200)
    toy.write_corpus(folder / "heap.jsonl", 300)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call(
            command,
            "new",
            "mine",
            "--task",
            "rows.csv",
            "--corpus",
            "heap.jsonl",
            "--gflops",
            "50",
            "--cores",
            "2",
        )
    return folder


@pytest.fixture
def project(shipped, monkeypatch) -> Path:
    """The same project in every test, with two pending jobs; no speed is measured."""
    monkeypatch.chdir(shipped)
    monkeypatch.setattr(train, "measuring", lambda *_: lambda *_: Rate(0.0, 1e10))
    monkeypatch.setattr(train, "pending", lambda *_: JOBS)
    before = {path: path.read_text() for path in (shipped / "config/own").iterdir()}
    yield shipped
    for path, text in before.items():
        path.write_text(text)


def call(module, *words: str) -> None:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    args.run(args)


def plan(*words: str) -> None:
    call(train_command, "train", "mine", "--cores", "2", "--plan", *words)


def settings() -> dict:
    return load_yaml(Path("config/own/mine.yaml"))


def test_a_comparison_and_seeds_are_lines_of_the_file_and_cost_what_is_printed(project, monkeypatch, capsys):
    monkeypatch.setattr(train, "pending", pending)
    plan()
    alone = read_forecast(project / "config/own/mine.forecast.json")
    text = Path("config/own/mine.yaml").read_text()
    plan("--compare", "--seeds", "2")
    printed = capsys.readouterr().out
    assert "compare: true" in printed and "training.seeds: [1, 2]" in printed
    assert settings()["compare"] is True and settings()["training"]["seeds"] == [1, 2]
    assert len(set(text.splitlines()) - set(Path("config/own/mine.yaml").read_text().splitlines())) == 1
    found = read_forecast(project / "config/own/mine.forecast.json")
    count = {
        name: [job.rule for job in each.jobs].count("stage1") for name, each in (("a", alone), ("b", found))
    }
    assert count == {"a": 1, "b": 6} and found.wall > 2 * alone.wall


def test_more_time_is_a_larger_budget_that_reads_the_kept_tokens_once(project, monkeypatch, capsys):
    monkeypatch.setattr(train, "finished_stage1", lambda run: BUILT)
    monkeypatch.setattr(
        train,
        "seconds_after",
        lambda outputs, root=Path(): dict.fromkeys([o for _, o in outputs if "stage2" in o], 60.0),
    )
    plan("--budget", "+11m")
    stage1 = settings()["training"]["stage1"]
    assert stage1["budget"] == {"tokens": 1_440_000}  # 240,000 kept and 600 s of half a millisecond a token
    assert "seconds" not in stage1["budget"] and stage1["optimizer"]["warmup_steps"] > 0
    jobs = {job.rule: job.seconds for job in read_forecast(project / "config/own/mine.forecast.json").jobs}
    assert jobs["stage1"] == 600.0 and jobs["stage2"] == 60.0
    plan("--budget", "+11m", "--stop-at-budget")
    assert settings()["training"]["stage1"]["budget"] == {"tokens": 1_440_000, "seconds": 710}
    assert "about" in capsys.readouterr().out


def test_a_continued_build_keeps_the_forecast_of_its_start(project, monkeypatch):
    file = project / "config/own/mine.forecast.json"
    first = file.read_text()
    monkeypatch.setattr(train, "pending", lambda *_: [PendingJob("stage2", f"{RUN}/stage2/manifest.json")])
    plan()
    assert file.read_text() == first
    monkeypatch.setattr(
        train, "pending", lambda *_: [PendingJob("stage2", f"{RUN[:-1]}2/stage2/manifest.json")]
    )
    plan("--seeds", "2")
    assert file.read_text() != first


def test_the_limit_of_a_slow_build_is_its_share_of_the_granted_time(project):
    found = read_forecast(project / "config/own/mine.forecast.json")
    seconds = next(job.seconds for job in found.jobs if job.rule == "stage1")
    plan("--stop-at-budget")
    limit = settings()["training"]["stage1"]["budget"]["seconds"]
    assert limit == pytest.approx(seconds + found.granted - found.wall, abs=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "2h"], r"write the time to add, such as \+30m.*tlm new mine --force --budget 2h"),
        (["--budget", "+soon"], "write a time such as 45m"),
        (["--budget", "+1h"], "stage1 is not built yet: `tlm train mine` without --budget builds it"),
        (["--seeds", "0"], "must be positive"),
    ],
)
def test_what_cannot_be_done_raises_and_leaves_the_file(project, words, message):
    before = Path("config/own/mine.yaml").read_text()
    with pytest.raises(TlmError, match=message):
        plan(*words)
    assert Path("config/own/mine.yaml").read_text() == before


def test_an_unknown_name_names_the_command_to_use_first(project):
    with pytest.raises(
        TlmError, match=r"no config/own/other\.yaml: declare the task first, with `tlm new other`"
    ):
        call(train_command, "train", "other")


def test_a_time_that_only_repeats_the_decay_is_refused_with_the_least_that_helps():
    with pytest.raises(TlmError, match=r"\+3m0s is too short.*takes more than \+4m3s"):
        longer(BUILT, 180, 60, 1)
    assert longer(BUILT, 246, 60, 1).tokens == 612_000
    twice = longer(BUILT, 1260, 60, 2)  # two trainings, one after the other
    assert twice.tokens == longer(BUILT, 660, 60, 1).tokens and twice.added_seconds == 600


def test_the_record_of_the_last_build_is_read(tmp_path):
    run = SimpleNamespace(
        stage1="runs/m/m/tlm/seed1/stage1", scale="m", task="m", stage1_variant="tlm", seed=1
    )
    for name, kind, counts in (("stage1", "stage1", (100, 600)), ("stable", "stable", (40, 240))):
        folder = tmp_path / f"runs/m/m/tlm/seed1/{name}"
        folder.mkdir(parents=True)
        write_json(folder / "timing.json", {"train_seconds": 3.0})
        write_json(folder / "state.json", {"progress": {"seconds": 1.1}})
        write_manifest(
            folder,
            kind,
            counts=dict(zip(("steps", "tokens"), counts, strict=True)),
            parameters={"warmup_steps": 5},
        )
    assert more_time.finished_stage1(run, tmp_path) == FinishedStage1(100, 600, 3.0, 40, 240, 1.1, 5)
    (tmp_path / "runs/m/m/tlm/seed1/stable/manifest.json").unlink()
    assert more_time.finished_stage1(run, tmp_path).kept_tokens == 0
    (tmp_path / "benchmarks/stage2").mkdir(parents=True)
    (tmp_path / "benchmarks/stage2/m-m-tlm-seed1.tsv").write_text("s\tmax_rss\tcpu_time\n7.5\t1\t2\n")
    output = "runs/m/m/tlm/seed1/stage2/manifest.json"
    assert more_time.seconds_after([("stage2", output), ("export", "models/m/manifest.json")], tmp_path) == {
        output: 7.5
    }


def test_passages_that_are_read_too_often_are_noted():
    run = SimpleNamespace(task="m", spec=SimpleNamespace(stage1=SimpleNamespace(rho1=3)))
    assert more_time.readings_note(run, 1_000_000, {"tokens": 500_000}) is None
    assert "about 6 times" in more_time.readings_note(run, 4_000_000, {"tokens": 500_000})
    assert more_time.readings_note(run, 10, None) is None
