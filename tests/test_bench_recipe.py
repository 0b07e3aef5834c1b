"""bench/recipe.py trains a trial on the smoke scale, keeps its stages, and logs one row."""

import json
import subprocess
import sys

from conftest import ROOT
from workflow_runner import environment


def test_a_trial_is_trained_once_and_logged(copy):
    command = [sys.executable, ROOT / "bench/recipe.py", "one epoch", "--scale", "smoke", "--seeds", "1"]
    command += ["--set", "stage2.epochs=1", "--log", "log.md"]
    options = {"cwd": copy, "env": environment(copy), "capture_output": True, "text": True}
    results = [subprocess.run(command, **options) for _ in range(2)]
    assert [result.returncode for result in results] == [0, 0], results[0].stderr + results[1].stderr
    first, second = (json.loads(result.stdout.splitlines()[-1]) for result in results)
    assert first == second and 0 <= first["average"][0] <= 100
    assert "stage 1" in results[0].stdout + results[0].stderr
    assert "step" not in results[1].stdout, "the second call trains nothing"
    rows = (copy / "log.md").read_text().splitlines()
    assert rows[0] == rows[1] and rows[0].startswith("| one epoch | `'one epoch' --scale smoke")
