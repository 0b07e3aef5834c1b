"""Every shipped scale resolves; the paper's scales are Table B.1, number by number, and give Table 2's FLOPs."""

import re

import pytest
from conftest import ROOT

from tlm.config import runs
from tlm.config.project import load_project
from tlm.config.training import RunSpec
from tlm.evaluation.flops import paper_flops, paper_tokens
from tlm.results.reported import load_reported

SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))
PAPER = ("small", "medium", "large")
REPORTED = load_reported(ROOT / "config/reported.yaml")


def project(scale: str):
    return load_project({"scale": scale, "seeds": [1, 2, 3]}, ROOT / "config")


def run(scale: str, task: str) -> tuple[RunSpec, int]:
    """The resolved TLM run of a task, and its K."""
    resolved = runs.resolve(project(scale), task, "tlm", 1)
    assert resolved.spec is not None and resolved.selection is not None
    return resolved.spec, resolved.selection.size


@pytest.mark.parametrize("scale", SCALES)
def test_every_task_of_every_scale_resolves(scale):
    for task in project(scale).scale.all_tasks:
        spec, _ = run(scale, task)
        lengths = [spec.stage1.internal_length, spec.stage1.external_length, spec.stage2.length]
        assert max(lengths) <= spec.model.max_length


@pytest.mark.parametrize(
    ("scale", "task"), [(s, task) for s in PAPER for task in REPORTED.hyperparameters[s]]
)
def test_the_papers_scales_are_table_b1(scale, task):
    column = REPORTED.hyperparameters[scale][task]
    spec, k = run(scale, task)
    stage = spec.stage1
    assert (k, stage.rho1, stage.rho2) == (column.k, column.rho1, column.rho2)
    assert stage.budget.steps == column.steps
    assert stage.batch_size * stage.accumulation == column.batch_size
    assert stage.external_length == column.length
    assert stage.internal_length == (column.internal_length or column.length)
    assert project(scale).scale.corpus == column.corpus.lower().replace("_", "-")
    assert (stage.optimizer.learning_rate, stage.optimizer.weight_decay) == (1e-4, 0.01)
    assert (stage.optimizer.warmup_steps, stage.optimizer.decay_fraction) == (10_000, 1.0)


@pytest.mark.parametrize("scale", PAPER)
def test_finetuning_is_table_a1(scale):
    ours = REPORTED.tables["tableA.1"].rows["ours"].cells
    for task in project(scale).scale.all_tasks:
        stage = run(scale, task)[0].stage2
        assert stage.steps == ours["training_steps"].mean
        assert stage.batch_size == ours["batch_size"].mean
        assert stage.optimizer.learning_rate == ours["learning_rate"].mean
        assert stage.optimizer.weight_decay == ours["weight_decay"].mean


@pytest.mark.parametrize(("scale", "exact"), [("small", 2.739e18), ("medium", 8.304e18), ("large", 7.590e19)])
def test_the_configuration_gives_the_papers_flops(scale, exact):
    """Golden rows: 6 x tokens x parameters, mean over the eight tasks, from config/scales/ alone."""
    printed = REPORTED.tables["table2"].rows[f"tlm-{scale}"].cells
    tasks = project(scale).scale.tasks
    assert sorted(tasks) == sorted(REPORTED.hyperparameters[scale])
    tokens = [
        paper_tokens(
            steps=stage.budget.steps,
            batch_size=stage.batch_size * stage.accumulation,
            length=stage.external_length,
            internal_length=stage.internal_length,
            rho1=stage.rho1,
        )
        for stage in (run(scale, task)[0].stage1 for task in tasks)
    ]
    flops = paper_flops(sum(tokens) / len(tasks), printed["parameters"].mean)
    assert float(f"{flops:.3e}") == exact
    assert float(f"{flops:.2e}") == printed["flops"].mean


def test_glue_follows_the_rule_of_k_at_the_small_scale():
    train_rows = {  # of nyu-mll/glue and, for CoLA, of its authors' files
        "cola": 8551,
        "rte": 2490,
        "sts-b": 5749,
        "mrpc": 3668,
        "qqp": 363846,
        "sst-2": 67349,
        "qnli": 104743,
        "mnli": 392702,
    }
    assert list(train_rows) == project("small").scale.more_tasks
    for task, rows in train_rows.items():
        assert run("small", task)[1] == (5000 if rows < 5000 else 50 if rows > 100_000 else 500)


@pytest.mark.parametrize("scale", PAPER)
def test_each_number_has_its_source_beside_it(scale):
    text = (ROOT / f"config/scales/{scale}.yaml").read_text()
    for section in ("model:", "stage2:", "per_task:", "corpus:"):
        line = re.search(rf"^{section}.*$", text, re.M)
        assert line and "#" in line[0], section
