"""bench/scales.py: the paper's scales have the paper's numbers; a changed number is named."""

import json
import subprocess
import sys

from conftest import ROOT


def call(*arguments):
    command = [sys.executable, "bench/scales.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})


def test_the_papers_scales_have_the_papers_numbers():
    result = call()
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["differences"] == []
    sizes = {scale: {line["what"]: line for line in lines} for scale, lines in found["scales"].items()}
    flops = "FLOPs of stage 1, mean over tasks"
    assert [f"{sizes[scale][flops]['ours']:.3e}" for scale in sizes] == [
        "2.739e+18",
        "8.304e+18",
        "7.590e+19",
    ]
    model = "parameters (not compared)"
    assert [f"{sizes[scale][model]['ours'] / 1e6:.0f}" for scale in sizes] == ["110", "110", "336"]
    assert sizes["small"]["FLOPs of bert-large over TLM's"]["ours"] > 33


def test_a_changed_number_is_named():
    result = call("--scales", "small", "--set", "stage1.rho2=7", "stage2.optimizer.epsilon=1e-8")
    assert result.returncode == 1
    differences = json.loads(result.stdout.splitlines()[-1])["differences"]
    assert "small: stage 2: epsilon" in differences and "small: tableB.1 chemprot: rho2" in differences
    assert "| stage 2: epsilon | 1e-08 | 1e-06 | **differs** |" in result.stdout
