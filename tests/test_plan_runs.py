"""From names to runs: merging, the inputs of each method, and an own message for each mistake."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import CONFIG, project

from tlm.config.base import added
from tlm.config.reported import load_reported
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan import runs, shared_artifacts, tables
from tlm.plan.run_types import BaselineRun
from tlm.plan.selections import Selection
from tlm.training.optimizer import learning_rate


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of config/ that a test may spoil."""
    for path in CONFIG.rglob("*.yaml"):
        target = tmp_path / path.relative_to(CONFIG)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return tmp_path


@pytest.mark.parametrize("scale", sorted(path.stem for path in (CONFIG / "scales").glob("*.yaml")))
def test_every_shipped_scale_resolves_every_cell(scale):
    tables.check(project(scale=scale))


class _WithNewField(RunSpec):
    gradient_noise: float = added(0.0, ge=0)


@pytest.mark.parametrize("scale", ["smoke", "demo", "small"])
def test_a_new_optional_field_changes_no_shipped_specification(scale, monkeypatch):
    def specifications() -> dict[tuple[str, str], str]:
        shipped = project(scale=scale)
        found = {
            (task, variant): runs.resolve_encoder(shipped, task, variant, 1).spec
            for task in shipped.scale.all_tasks
            for variant, spec in shipped.variants.items()
            if spec.trains_encoder and runs.possible(shipped, spec, task)
        }
        return {name: spec.model_dump_json() for name, spec in found.items()}

    before = specifications()
    monkeypatch.setattr(runs, "RunSpec", _WithNewField)
    assert specifications() == before and len(before) > 5


def test_a_new_optional_field_is_in_the_specification_of_a_run_that_sets_it():
    spec = runs.resolve_encoder(project(scale="smoke"), "toy", "tlm", 1).spec
    changed = _WithNewField(**spec.model_dump(), gradient_noise=0.1)
    assert changed.model_dump(mode="json") == {**spec.model_dump(mode="json"), "gradient_noise": 0.1}


def test_a_tlm_run_is_made_of_its_own_selection_and_both_stages():
    run = runs.resolve_encoder(project(scale="smoke"), "toy", "tlm", 2)
    assert run.folder == "runs/smoke/toy/tlm/seed2"
    assert run.model == "runs/smoke/toy/tlm/seed2/stage2"
    assert run.selection == Selection("bm25", 20, "toy", "toy")
    assert run.external_tokens == "data/tokens/toy-wordpiece-512/external/toy/toy/bm25-k20"
    assert run.spec.seed == 2


def test_a_plm_is_pretrained_once_on_the_whole_corpus_at_the_stated_multiple():
    shipped = project(scale="smoke")
    seeds = [runs.resolve_encoder(shipped, "toy", "plm", seed) for seed in shipped.seeds]
    assert len({run.stage1 for run in seeds}) == 1
    pretraining = seeds[0].pretraining
    assert pretraining is not None and pretraining.task == SHARED
    assert pretraining.spec.stage1.rho1 == "inf"
    assert pretraining.passages.selector == "whole-corpus"
    own = runs.resolve_encoder(shipped, "toy", "tlm", 1).spec
    assert own.stage1.budget.tokens is not None
    multiple = shipped.scale.plm.compute
    assert multiple >= 2
    assert pretraining.spec.stage1.budget.tokens == multiple * own.stage1.budget.tokens


def test_the_budget_of_a_plm_counts_the_tokens_of_table_b1():
    shipped = project(scale="small")  # IMDB's internal batches are longer than its external ones
    stages = [runs.resolve_reference(shipped, task, 1).spec.stage1 for task in shipped.scale.tasks]
    mean = sum(stage.training_tokens for stage in stages) / len(stages)
    pretraining = runs.resolve_pretraining(shipped, "plm")
    assert pretraining.spec.stage1.budget.tokens == math.ceil(shipped.scale.plm.compute * mean)
    imdb = stages[shipped.scale.tasks.index("imdb")]
    assert imdb.training_tokens > imdb.budget.steps * imdb.batch_size * imdb.external_length


def test_linear_models_are_runs_without_an_encoder():
    shipped = project(scale="smoke")
    run = runs.resolve(shipped, "toy", "tfidf", 1)
    assert isinstance(run, BaselineRun) and run.evaluation == "runs/smoke/toy/tfidf/seed1/evaluation"
    with pytest.raises(TlmError, match="runs/smoke/toy/tfidf/seed1 trains no encoder"):
        runs.resolve_encoder(shipped, "toy", "tfidf", 1)
    svm = runs.resolve(shipped, "toy", "ngram-svm", 1)
    assert isinstance(svm, BaselineRun) and svm.evaluation == "runs/smoke/toy/ngram-svm/seed1/evaluation"
    assert (run.spec.classifier, svm.spec.classifier) == ("logistic-regression", "svm")


def test_overrides_come_last_and_reach_every_run():
    changed = project(scale="smoke", overrides={"stage1": {"rho2": 100}, "k": 7})
    spec = runs.resolve_encoder(changed, "toy", "tlm", 1)
    assert spec.spec.stage1.rho2 == 100
    assert spec.selection is not None and spec.selection.size == 7


def test_overrides_given_as_text_keep_their_types():
    # Snakemake parses `--config 'overrides={"k": 7}'` into text.
    assert project(overrides={"k": "7", "stage2": "null"}).settings.overrides == {"k": 7, "stage2": None}


def test_runs_that_come_to_the_same_are_built_once():
    shipped = project(scale="demo")
    names = {
        name: runs.resolve_encoder(shipped, "bbc-news", name, 1)
        for name in ("tlm", "k10", "rho1-3", "rho2-20", "k50")
    }
    assert {name: run.variant for name, run in names.items()} == {
        **dict.fromkeys(("tlm", "k10", "rho1-3", "rho2-20"), "tlm"),
        "k50": "k50",
    }
    alone = runs.resolve_encoder(shipped, "bbc-news", "no-stage2", 1)
    assert alone.evaluation == "runs/demo/bbc-news/no-stage2/seed1/evaluation"
    assert alone.model == alone.stage1 == names["tlm"].stage1


def test_an_override_leaves_the_value_that_a_row_is_about():
    changed = project(scale="demo", overrides={"stage1": {"rho2": 100}, "k": 7})
    made = {
        name: runs.resolve_encoder(changed, "bbc-news", name, 1)
        for name in ("tlm", "rho2-20", "rho2-100", "k50")
    }
    rho2 = {name: run.spec.stage1.rho2 for name, run in made.items()}
    assert rho2 == {"tlm": 100, "rho2-20": 20, "rho2-100": 100, "k50": 100}
    assert made["rho2-100"].variant == "tlm"
    assert {name: run.selection.size for name, run in made.items()}["k50"] == 50


def test_table_2_sets_scales_and_their_rivals_beside():
    table = tables.table(project(scale="medium", beside=["small", "large"]), "table2")
    shown = {row.id: (row.scale, row.reported) for row in table.rows}
    assert shown == {
        "tlm": ("medium", "tlm-medium"),
        "tlm-small": ("small", "tlm-small"),
        "tlm-large": ("large", "tlm-large"),
        **{
            f"{name}{suffix}": (scale, f"{name}{suffix}")
            for name in ("tlm-given", "tlm-released")
            for scale, suffix in (("medium", ""), ("small", "-small"), ("large", "-large"))
        },
        "roberta-base": ("medium", "roberta-base"),
        "bert-base": ("small", "bert-base"),
        "bert-large": ("small", "bert-large"),
        "roberta-large": ("large", "roberta-large"),
        "tfidf": ("medium", "tfidf"),
        "ngram-svm": ("medium", "ngram-svm"),
    }
    assert [row.pretraining for row in table.rows if row.id == "bert-base"] == ["table2/bert-base"]


def test_glue_counts_a_task_once_and_needs_a_scale_with_its_tasks():
    table = tables.table(project(scale="small"), "table10")
    average = table.columns[-1]
    assert average.tasks == ("cola", "rte", "sts-b", "mrpc", "qqp", "sst-2", "qnli", "mnli")
    assert len(average.scores) == 12 and {each.split for each in average.scores if each.task != "mnli"} == {
        "dev"
    }
    reported = load_reported(CONFIG / "reported.yaml").tables["table10"].rows["bert-base"].cells
    ours = [column.id for column in table.columns if column.kind != "fact"]
    assert ours == list(reported)
    with pytest.raises(
        TlmError,
        match=r"table10: scale demo has no task cola, .*; scales that have it: demo-paper, medium, small",
    ):
        tables.table(project(scale="demo"), "table10")


def test_a_scale_with_some_of_glue_shows_those():
    table = tables.table(project(scale="demo-paper"), "table10")
    assert [column.id for column in table.columns if column.kind == "score"] == [
        "cola", "rte", "sts-b.pearson", "sts-b.spearman", "mrpc.accuracy", "mrpc.f1", "sst-2",
    ]  # fmt: skip
    assert table.columns[-1].tasks == ("cola", "rte", "sts-b", "mrpc", "sst-2")


def test_adaptations_start_from_the_first_baseline():
    demo = runs.resolve_encoder(project(scale="demo"), "bbc-news", "tapt", 2)
    assert demo.start == "runs/demo/shared/plm/seed1/stage1"
    assert (demo.spec.stage1.rho1, demo.spec.stage1.rho2) == (0, "inf")
    assert demo.external_tokens is None
    medium = runs.resolve_encoder(project(scale="medium"), "chemprot", "plm-mlm", 1)
    assert medium.start is None
    assert medium.spec.model.pretrained == "FacebookAI/roberta-base"
    assert medium.tokenizer == "FacebookAI--roberta-base"
    assert medium.spec.stage1.budget.steps == 30_000


def test_one_stage_1_can_serve_all_seeds():
    """As in the authors' scripts; the scale's own seeds are kept."""
    small = project(scale="small", seeds={"stage1": "one"})
    assert small.seeds == [1, 2, 3]
    found = [runs.resolve_encoder(small, "rct", "tlm", seed) for seed in small.seeds]
    assert {run.stage1 for run in found} == {"runs/small/rct/tlm/seed1/stage1"}
    assert [run.stage2 for run in found] == [f"runs/small/rct/tlm/seed{seed}/stage2" for seed in (1, 2, 3)]
    assert [run.spec.seed for run in found] == [1, 2, 3]
    # Without stage 2 all seeds would be the same run.
    assert (small.seeds_of("no-stage2"), small.seeds_of("tlm")) == ([1], [1, 2, 3])
    adapted = runs.resolve_encoder(small, "rct", "plm-mlm", 3)
    assert adapted.stage1 == "runs/small/rct/plm-mlm/seed1/stage1"
    demo = project(scale="demo", seeds={"stage1": "one", "stage2": [7, 8, 9]})
    assert demo.seeds == [1, 2] and demo.stage1_seed(2) == 1
    each = project(scale="small", seeds={"stage2": [4, 5]})
    assert runs.resolve_encoder(each, "rct", "tlm", 5).stage1 == "runs/small/rct/tlm/seed5/stage1"


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({"stage1": "once"}, "seeds.stages.stage1: Input should be 'each' or 'one', got 'once'"),
        ({"stage3": [1]}, "seeds.stages.stage3: unknown key"),
        ([], "seeds.numbers: List should have at least 1 item"),
    ],
)
def test_invalid_seeds_raise_one_line(seeds, message):
    with pytest.raises(TlmError, match=message) as error:
        project(scale="small", seeds=seeds)
    assert "\n" not in str(error.value)


def test_table_7_repeats_the_top_50_of_table_4_on_agnews():
    small = project(scale="small")
    two, one, top50 = (
        runs.resolve_encoder(small, "agnews", name, 1) for name in ("two-stage", "no-stage2", "k50")
    )
    assert two.folder == top50.folder and (two.spec.stage1.rho1, two.spec.stage1.rho2) == (3, 20)
    assert two.stage1 == one.stage1 and two.passages.size == 50 and one.spec.stage2 is None
    tlm = runs.resolve_reference(small, "agnews", 1)
    assert (tlm.spec.stage1.rho1, tlm.spec.stage1.rho2) == (1, 100)
    for scale, task in (("small", "chemprot"), ("demo", "bbc-news"), ("demo-paper", "agnews")):
        view = project(scale=scale)
        assert runs.resolve(view, task, "two-stage", 1).variant == "tlm"
        assert (
            runs.resolve_encoder(view, task, "no-stage2", 1).stage1
            == runs.resolve_reference(view, task, 1).stage1
        )


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
@pytest.mark.parametrize("variant", ["plm-mlm", "tapt"])
def test_the_warmup_of_an_adaptation_shrinks_with_its_steps(scale, variant):
    """Its share of the steps is that of the TLM run, so every adaptation reaches its learning rate and decays."""
    view = project(scale=scale)
    for task in view.scale.tasks:
        own = runs.resolve_reference(view, task, 1).spec.stage1
        stage = runs.resolve_encoder(view, task, variant, 1).spec.stage1
        assert stage.optimizer.warmup_steps == 1000 and stage.budget.steps == own.budget.steps // 10
        rates = [learning_rate(stage.optimizer, step, stage.budget.steps) for step in (999, 1000, 4999)]
        assert rates[:2] == pytest.approx([1e-4, 1e-4]) and rates[2] < 1e-4


def test_one_retrieval_serves_every_scale_and_table():
    depths = {
        scale: shared_artifacts.largest_k(project(scale=scale), "demo", "bbc-news")
        for scale in ("demo", "mini")
    }
    assert depths == {"demo": 500, "mini": 500}


values = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "budget", "c"]), inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(st.sampled_from(["a", "b", "budget", "c"]), values, max_size=4)


@given(mappings, mappings)
def test_merge_lays_the_change_over_the_base(base, change):
    merged = runs.merge(base, change)
    assert set(merged) == set(base) | set(change)
    assert runs.merge(merged, change) == merged
    for key, value in change.items():
        if not isinstance(value, dict) or key == "budget":
            assert merged[key] == value


@given(st.sampled_from(["bm25", "random", "dsir", "whole-corpus"]), st.integers(1, 10**9))
def test_a_selections_name_is_read_back(selector, size):
    selection = Selection(selector, size, "corpus", "task")
    assert Selection.from_name(selection.name, "corpus", "task") == selection


def test_a_smaller_k_is_made_from_the_largest_retrieval():
    small = Selection("bm25", 50, "c", "t").made_from(largest_k=5000)
    assert small == {"retrieval": "data/retrieval/c/t/top5000"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "huge"}, "no scale 'huge'"),
        ({"sead": [1]}, "sead: unknown key"),
        ({"seeds": []}, "seeds"),
        ({"overrides": {"stage1": {"rho3": 1}}}, "rho3: unknown key"),
        ({"overrides": {"stage3": {}}}, "unknown key 'stage3'"),
        ({"overrides": {"stage1": {"rho1": 0}}}, "rho1 is 0"),
        ({"overrides": {"model": {"heads": 3}}}, "not a multiple of heads"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(TlmError, match=message):
        tables.check(project(**{"scale": "smoke", **change}))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("scales/smoke.yaml", "corpus: toy", "corpus: tay", "no corpus 'tay'"),
        ("scales/smoke.yaml", "tasks: [toy]", "tasks: [tay]", "no task 'tay'"),
        ("scales/smoke.yaml", "k: 20\n", "", "k: missing key"),
        ("experiments.yaml", "variant: no-stage2}", "variant: no-stage3}", "no variant 'no-stage3'"),
        ("scales/smoke.yaml", "plm: {", "baselines: [plmm]\nplm: {", "no variant 'plmm'"),
        ("scales/smoke.yaml", "task-only, 5", "ext-only, 5", "'ext-only' is no value of k"),
        ("experiments.yaml", "method: plm", "method: pml", "method"),
        ("tasks.yaml", "source: toy", "source: tay", "no source 'tay'"),
    ],
)
def test_mistakes_in_files_name_the_file(copy, file, old, new, message):
    path = copy / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TlmError, match=message) as caught:
        tables.check(project(copy, scale="smoke"))
    assert Path(file).name in str(caught.value) or "experiments.yaml" in str(caught.value)


def test_malformed_yaml_raises_one_line(copy):
    (copy / "scales" / "smoke.yaml").write_text("corpus: [toy")
    with pytest.raises(TlmError, match=r"smoke\.yaml: not valid YAML"):
        project(copy, scale="smoke")
