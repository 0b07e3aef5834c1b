"""Every shipped scale resolves; the paper's scales are Table B.1, number by number, and give Table 2's FLOPs."""

import re

import pytest
from conftest import ROOT
from training_toy import Toy
from transformers import AutoModelForSequenceClassification

from tlm.config.reported import load_reported
from tlm.config.training import RunSpec, paper_tokens
from tlm.evaluation.flops import paper_flops
from tlm.plan import runs, tables
from tlm.plan.project import load_project
from tlm.plan.shared_artifacts import largest_k, tokenizers
from tlm.results.evidence import PAPER_HIGH_RESOURCE
from tlm.training.execution import Execution
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2

SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))
PAPER = ("small", "medium", "large")
CPU = Execution(threads=1, cpu=True)
REPORTED = load_reported(ROOT / "config/reported.yaml")


def project(scale: str):
    return load_project({"scale": scale, "seeds": [1, 2, 3]}, ROOT / "config")


def run(scale: str, task: str) -> tuple[RunSpec, int]:
    """The resolved TLM run of a task, and its K."""
    resolved = runs.resolve_reference(project(scale), task, 1)
    return resolved.spec, resolved.passages.size


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
    corpus = column.corpus.lower().replace("_", "-")
    resolved = runs.resolve(project(scale), task, "tlm", 1)
    assert (
        resolved.corpus == resolved.selection.corpus == (corpus if column.length == 128 else f"{corpus}-512")
    )
    assert (stage.optimizer.learning_rate, stage.optimizer.weight_decay) == (1e-4, 0.01)
    assert (stage.optimizer.warmup_steps, stage.optimizer.decay_fraction) == (10_000, 1.0)


@pytest.mark.parametrize("scale", PAPER)
def test_the_papers_scales_use_the_authors_optimizer(scale):
    """Their code never clips gradients, and its AdamW has an epsilon of 1e-6."""
    for task in project(scale).scale.all_tasks:
        spec, _ = run(scale, task)
        for stage in (spec.stage1, spec.stage2):
            assert (stage.optimizer.epsilon, stage.optimizer.max_grad_norm) == (1e-6, None)
            assert stage.optimizer.betas == (0.9, 0.999)


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


def twin(spec: RunSpec) -> RunSpec:
    """The same run with its sizes cut to seconds: an eighth of each length, a model of 2 x 32, a handful of steps."""
    values = spec.model_dump()
    values["precision"] = "fp32"
    values["embedding_init"]["tokens"] = 2000
    lengths = {"internal_length", "external_length", "length"}
    model = {"hidden_size": 32, "layers": 2, "heads": 2, "intermediate_size": 48}
    values["model"] |= {**model, "max_length": values["model"]["max_length"] // 8}
    for name, budget in (("stage1", {"steps": 6}), ("stage2", {"steps": 5})):
        stage = values[name]
        stage |= {key: max(8, stage[key] // 8) for key in lengths & set(stage)}
        stage |= {"batch_size": 4, "evaluations": 2}
        if name == "stage1":
            whole = "steps" if stage["budget"]["steps"] else "tokens"
            stage["budget"] = budget if whole == "steps" else {"tokens": 400}
            stage["rho1"] = min(stage["rho1"], 3)
            stage["held_out_rows"] = 8
        elif stage["steps"]:
            stage |= budget
        else:
            stage["epochs"] = 0.2
        if stage["optimizer"]["warmup_steps"] is not None:
            stage["optimizer"]["warmup_steps"] = 2
    return RunSpec.model_validate(values)


def twins(scale: str) -> list[RunSpec]:
    """The twins of a scale's runs, those that come to the same once; what remains differs in kind, not in size."""
    found = {}
    for task in project(scale).scale.all_tasks:
        spec = twin(run(scale, task)[0])
        stage = spec.stage1
        found.setdefault((stage.internal_length, stage.external_length, stage.accumulation), spec)
    return list(found.values())


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize(
    ("scale", "number"), [(s, number) for s in SCALES for number in range(len(twins(s)))]
)
def test_every_shipped_scale_has_a_twin_that_runs(scale, number, toy, tmp_path):
    spec = twins(scale)[number]
    stage1, stage2 = tmp_path / "stage1", tmp_path / "stage2"
    run_stage1(spec, toy.task, toy.external, toy.tokenizer, stage1, execution=CPU)
    run_stage2(spec, stage1, toy.task, toy.tokenizer, stage2, execution=CPU)
    assert AutoModelForSequenceClassification.from_pretrained(stage2 / "model").config.num_labels == 3


@pytest.mark.parametrize("scale", PAPER)
def test_each_number_has_its_source_beside_it(scale):
    text = (ROOT / f"config/scales/{scale}.yaml").read_text()
    for section in ("model:", "stage2:", "per_task:", "corpus:"):
        line = re.search(rf"^{section}.*$", text, re.M)
        assert line and "#" in line[0], section


def test_imdb_reads_longer_passages_where_its_sequences_are_longer():
    medium = project("medium")
    other = {task: runs.resolve(medium, task, "tlm-other", 1).corpus for task in ("imdb", "scierc")}
    assert other == {"imdb": "c-roberta-512", "scierc": "c-roberta"}
    assert largest_k(medium, "c-bert-512", "imdb") >= 500
    spec = medium.data.corpora["c-bert-512"]
    assert spec.parts == medium.data.corpora["c-bert"].parts and spec.max_words == 4 * 96


def test_long_reviews_become_queries_by_their_key_phrases():
    small = project("small")
    for task in ("helpfulness", "imdb", "hyperpartisan"):  # 100 words on average or more
        query = runs.retrieval_spec(small, task, 50).query
        assert (query.mode, query.phrases, query.mean_words, query.stop_words) == ("rake", 20, 100, "nltk")
    assert runs.retrieval_spec(small, "agnews", 50).query == small.settings.retrieval.query


@pytest.mark.parametrize("scale", PAPER)
def test_table_a2_has_the_rows_of_gururangan_et_al(scale):
    shipped = project(scale)
    rows = {row.id: row.variant for row in tables.table(shipped, "tableA.2").rows}
    assert {"roberta-base-reported", "dapt-tapt", "tlm"} <= set(rows)
    assert "roberta-base" in rows or shipped.scale.baselines == ["roberta-base"]
    reported = REPORTED.tables["tableA.1"].rows["reported"].cells
    for task in shipped.scale.tasks:
        stage = runs.resolve_encoder(shipped, task, "roberta-base-reported", 1).spec.stage2
        assert (stage.steps, stage.patience) == (None, reported["patience"].mean)
        assert stage.epochs == stage.evaluations == (3 if task in PAPER_HIGH_RESOURCE else 10)
        assert stage.batch_size == reported["batch_size"].mean
        assert stage.optimizer.weight_decay == reported["weight_decay"].mean
        assert stage.optimizer.max_grad_norm == reported["max_grad_norm"].mean
        spec = runs.resolve_encoder(shipped, task, "dapt-tapt", 1).spec
        assert "_dapt_" in spec.model.pretrained and "_tapt_" in spec.model.pretrained
        assert spec.stage2 == runs.resolve_encoder(shipped, task, "roberta-base", 1).spec.stage2
    names = {runs.resolve_encoder(shipped, task, "dapt-tapt", 1).tokenizer for task in shipped.scale.tasks}
    assert names <= set(tokenizers(shipped)) and len(names) == 8


def test_the_demo_shows_no_row_that_needs_the_hub_in_table_a2():
    assert [row.id for row in tables.table(project("demo"), "tableA.2").rows][:3] == ["plm", "tapt", "tlm"]
