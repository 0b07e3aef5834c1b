"""`tlm cost` on the command line: it plans as snakemake does, skips what is built, and prints errors in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_runner import copy_project, environment, snakemake

from tlm.cli import main
from tlm.snakemake_adapter import error_line


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cost")
    return copy_project(folder)


def cost(folder: Path, *arguments: str, scale: str = "smoke"):
    command = [sys.executable, "-m", "tlm", "cost", *arguments, "--config", f"scale={scale}"]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300
    )


def planned(folder: Path, *arguments: str, scale: str = "smoke") -> dict:
    result = cost(folder, *arguments, "--json", "--gflops", "50", scale=scale)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_jobs_are_snakemakes(project):
    found = {line["rule"]: line["jobs"] for line in planned(project, "results/table2.csv")["rules"]}
    assert found["table"] == 1 and found["stage2"] == 4
    result = snakemake(project, "--dry-run", "results/table2.csv")
    for rule, jobs in found.items():
        assert any(line.split() == [rule, str(jobs)] for line in result.stdout.splitlines()), rule


def test_built_artifacts_cost_nothing(project):
    targets = ("data/tasks/toy/manifest.json", "data/corpora/toy/manifest.json")
    before = planned(project, *targets)
    assert {line["rule"] for line in before["rules"]} == {"fetch", "task", "corpus"}
    assert snakemake(project, *targets).returncode == 0
    after = planned(project, *targets)
    assert after["rules"] == [] and after["total"]["seconds"] == 0
    assert "nothing to do" in cost(project, *targets).stdout


def test_this_machine_is_measured(project):
    result = cost(project, "runs/smoke/toy/tlm/seed1/stage1/manifest.json", "--cores", "1")
    assert result.returncode == 0, result.stderr
    assert "measured now: modernbert" in result.stdout and "GFLOP/s" in result.stdout


@pytest.mark.parametrize(
    ("target", "scale", "message"),
    [
        ("results/tabel2.csv", "smoke", "no table 'tabel2'"),
        ("no-such-file", "smoke", "no rule builds no-such-file; docs/targets.md lists the targets"),
        ("results/table2.csv", "huge", "no scale 'huge'"),
    ],
)
def test_an_unknown_target_or_scale_prints_one_line(project, target, scale, message):
    result = cost(project, target, scale=scale)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "gpu"), "there are here, cpu"),
        (("--cores", "0"), "positive"),
        (("--gflops", "-1"), "positive"),
    ],
)
def test_an_invalid_option_prints_one_line(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["tlm", "cost", "results/table2.csv", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in (printed := capsys.readouterr().err) and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            "Building DAG of jobs...\nerror: config.yaml: skale: unknown key\n",
            "config.yaml: skale: unknown key",
        ),
        (
            "InputFunctionException in rule table in file x, line 25:\nError:\n  TlmError: no table 'x'\nWildcards:",
            "no table 'x'",
        ),
        ("Error:\n  KeyError: 'foo'\nWildcards:\n  task=foo\nTraceback:", "KeyError: 'foo'"),
        (
            "MissingRuleException:\nNo rule to produce x (if",
            "no rule builds x; docs/targets.md lists the targets",
        ),
        ("ValueError: Invalid config definition", "ValueError: Invalid config definition"),
    ],
)
def test_the_error_is_found_in_snakemakes_report(report, line):
    assert error_line(report) == line
