"""Costs of runs: read from their records and benchmark files; empty where a file is missing."""

import pytest

from tlm.artifacts import write_json, write_manifest
from tlm.config.figures import MeasuredRun
from tlm.errors import TlmError
from tlm.results.costs import costs

TSV = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
FLOPS = {
    "parameters": 10,
    "data": None,
    "stage1": {"tokens": {"real": 60}, "paper": 3600.0, "matmul": {"total": 2500}},
    "stage2": {"tokens": {"real": 20}, "matmul": {"total": 700}},
}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "runs/s/t/tlm/seed1/evaluation"
    folder.mkdir(parents=True)
    write_json(folder / "flops.json", FLOPS)
    write_json(folder / "metrics.json", {})
    write_json(folder / "timing.json", {})
    run = {"scale": "s", "task": "t", "variant": "tlm", "seed": 1}
    write_manifest(folder, "evaluation", counts={}, parameters=run, inputs={}, unhashed=("timing.json",))
    for name, line in (
        ("stage1/s-t-tlm-seed1", "12.5\t0:00:12\t100.00\t1\t1\t1\t1\t1\t1\t11.25"),
        ("task/t", "0.1\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA"),
    ):
        path = tmp_path / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(TSV + line + "\n")
    return tmp_path


RUN = MeasuredRun(
    task="t",
    label="TLM",
    seed=1,
    folders={
        "evaluate": "runs/s/t/tlm/seed1/evaluation",
        "stage2": "runs/s/t/tlm/seed1/stage2",
        "stage1": "runs/s/t/tlm/seed1/stage1",
        "task": "data/tasks/t",
    },
)


def test_costs_have_one_row_a_job_in_the_order_of_the_flow(root):
    task, stage1, stage2, evaluate = map(vars, costs([RUN], root))
    assert [line["stage"] for line in (task, stage1, stage2, evaluate)] == [
        "task",
        "stage1",
        "stage2",
        "evaluate",
    ]
    assert (stage1["paper_flops"], stage1["matmul_flops"], stage1["tokens"]) == (3600, 2500, 60)
    assert (stage1["seconds"], stage1["cpu_seconds"], stage1["peak_memory_bytes"]) == (
        12.5,
        11.25,
        100 * 2**20,
    )
    assert (stage2["paper_flops"], stage2["matmul_flops"]) == (None, 700)
    assert stage2["seconds"] is None  # no benchmark file
    assert (task["seconds"], task["peak_memory_bytes"], task["matmul_flops"]) == (0.1, None, None)


def test_a_broken_benchmark_file_raises(root):
    (root / "benchmarks/task/t.tsv").write_text("nonsense\n")
    with pytest.raises(TlmError, match=r"benchmarks/task/t\.tsv: not a benchmark file"):
        costs([RUN], root)
