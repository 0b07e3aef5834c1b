"""The ledger on made-up predictions, where the right verdict is plain, and differences between rows of a table."""

import csv
import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from tlm.artifacts import write_json, write_manifest
from tlm.config.claims import Claim, Ledger, Side
from tlm.config.differences import ComparedRow, Differences
from tlm.config.experiments import Column, Score
from tlm.config.figures import SensitivityDrawing
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import AttentionArtifact, Hits
from tlm.results.claims import LedgerSources, ledger_lines, open_sources, records
from tlm.results.claims_page import against_rivals, as_markdown
from tlm.results.differences import all_differences, render, rival_sentence
from tlm.results.evidence import evidence
from tlm.results.figures.sensitivity import draw_sensitivity
from tlm.results.figures.style import styled
from tlm.results.predictions import open_runs
from tlm.results.verdicts import NOT_ENOUGH, NOT_SUPPORTED, SUPPORTED, judge
from tlm.statistics import BootstrapEstimate

REPORTED = load_reported(ROOT / "config/reported.yaml")
ITEMS = 1000


def estimate(value, spread=0.5, seeds=(0.1, -0.1)):
    """Draws whose 95 % interval is about value ± 2 spread; seeds around the value."""
    quantiles = np.random.default_rng(0).standard_normal(2000)
    return BootstrapEstimate(
        value, value + spread * (quantiles - quantiles.mean()), tuple(value + each for each in seeds)
    )


@pytest.mark.parametrize(
    ("direction", "effect", "verdict", "why"),
    [
        ("greater", estimate(2), SUPPORTED, "excludes 0"),
        ("greater", estimate(-2), NOT_SUPPORTED, "on the other side"),
        ("greater", estimate(0.5), NOT_ENOUGH, "contains 0"),
        ("greater", estimate(0, spread=0.2), NOT_SUPPORTED, "practically equal"),
        ("greater", estimate(2, seeds=(4, -4)), NOT_ENOUGH, "the seeds vary more"),
        ("greater", estimate(0, spread=0.2, seeds=(3, -3)), NOT_ENOUGH, "the seeds vary more"),
        ("greater", estimate(2, seeds=(0,)), NOT_ENOUGH, "one training seed"),
        ("less", estimate(-2), SUPPORTED, "excludes 0"),
        ("less", estimate(2), NOT_SUPPORTED, "on the other side"),
        ("at-least", estimate(2), SUPPORTED, "excludes 0"),
        ("at-least", estimate(0, spread=0.2), SUPPORTED, "at most 1 worse"),
        ("at-least", estimate(-0.5, spread=0.1), SUPPORTED, "at most 1 worse"),
        ("at-least", estimate(-3), NOT_SUPPORTED, "on the other side"),
        ("at-least", estimate(-0.5), NOT_ENOUGH, "it may be more than 1 worse"),
        ("at-most", estimate(0.5, spread=0.1), SUPPORTED, "at most 1 worse"),
        ("at-most", estimate(3), NOT_SUPPORTED, "on the other side"),
    ],
)
def test_verdicts_follow_the_documented_rule(direction, effect, verdict, why):
    assert judge(direction, 1.0, effect)[0] == verdict
    assert why in judge(direction, 1.0, effect)[1]


def write_run(
    root, task, variant, seed, right, *, flops=1e12, data=None, digest="data", items=ITEMS, scale="small"
):
    """An evaluation in which the first `right` of a fixed order of items are right, with a few of its own."""
    folder = root / f"runs/{scale}/{task}/{variant}/seed{seed}/evaluation"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(len(task))
    labels = draw.choice(["no", "yes"], size=items)
    own = np.random.default_rng(seed + 100 * len(variant))
    difficulty = draw.random(items) + 0.02 * own.standard_normal(items)
    wrong = np.argsort(difficulty)[round(right * items) :]
    guesses = labels.copy()
    guesses[wrong] = np.where(labels[wrong] == "no", "yes", "no")
    parts = [
        pa.table(
            {
                "split": [split] * items,
                "row_id": np.arange(items),
                "label": labels.tolist(),
                "prediction": guesses.tolist(),
            }
        )
        for split in ("dev", "test")
    ]
    pq.write_table(pa.concat_tables(parts), folder / "predictions.parquet")
    stage1 = None if flops is None else {"paper": flops}
    write_json(folder / "flops.json", {"stage1": stage1, "data": data and {"bytes": data}})
    write_manifest(
        folder,
        "evaluation",
        counts={},
        parameters={
            "scale": scale,
            "task": task,
            "variant": variant,
            "seed": seed,
            "metric": "macro_f1",
            "labels": ["no", "yes"],
        },
        inputs={"task": digest},
    )
    return folder / "manifest.json"


def side(variant, weight, tasks=("small-task", "large-task"), seeds=(1, 2), **more):
    return Side(
        label=variant.upper(),
        weight=weight,
        scale="small",
        variants=dict.fromkeys(tasks, variant),
        seeds=seeds,
        **more,
    )


def claim(*sides, **changes):
    values = {
        "id": "a-claim",
        "claim": "One beats the other",
        "place": "Section 9",
        "direction": "greater",
        "margin": 1.0,
        "split": "dev",
        "sides": sides,
    }
    values = {**values, **changes}
    tasks = sides[0].variants if sides and not values.get("heads") and not values.get("fact") else ()
    own = {task: (Score(task=task, metric="primary", split=values["split"]),) for task in tasks}
    return Claim(**{"scores": own, **values})


@pytest.fixture
def sources(tmp_path):
    """Runs of a task of few and one of many training texts: `good`, `bad`, and `grows`, which differs on the first."""
    runs = []
    for seed in (1, 2):
        for task in ("small-task", "large-task"):
            runs.append(write_run(tmp_path, task, "good", seed, 0.9, flops=1e12))
            runs.append(write_run(tmp_path, task, "bad", seed, 0.8, flops=3e12))
        runs.append(write_run(tmp_path, "small-task", "grows", seed, 0.9))
        runs.append(write_run(tmp_path, "large-task", "grows", seed, 0.8))
    runs += [write_run(tmp_path, task, "tfidf", 1, 0.86, flops=None) for task in ("small-task", "large-task")]
    for task, rows in (("small-task", 5000), ("large-task", 5001)):
        folder = tmp_path / "data/tasks" / task
        folder.mkdir(parents=True)
        write_manifest(folder, "task", counts={"rows": {"train": rows}}, parameters={"task": task})
    for corpus, size in (("corpus", 10), ("tenth", 1)):
        folder = tmp_path / "data/corpora" / corpus
        folder.mkdir(parents=True)
        write_manifest(folder, "corpus", counts={"bytes": size}, parameters={})
    return open_sources(
        runs,
        sorted(tmp_path.glob("data/tasks/*/manifest.json")),
        sorted(tmp_path.glob("data/corpora/*/manifest.json")),
        REPORTED,
    )


def lines_of(sources, *claims):
    ledger = Ledger(scale="small", claims=claims)
    return ledger, ledger_lines(ledger, sources)


def test_a_claim_of_scores_over_all_tasks_and_on_each(sources):
    ledger, lines = lines_of(sources, claim(side("good", 1), side("bad", -1)))
    assert [line.task for line in lines] == ["all", "small-task", "large-task"]
    assert all(line.verdict == SUPPORTED for line in lines)
    assert [line.items for line in lines] == [2 * ITEMS, ITEMS, ITEMS]
    over_all, *each = lines
    assert over_all.effect.value == pytest.approx(np.mean([line.effect.value for line in each]))
    assert over_all.effect.value == pytest.approx(10, abs=1)
    # Two tasks give a narrower interval than one.
    width = {line.task: line.effect.interval.high - line.effect.interval.low for line in lines}
    assert width["all"] < min(width["small-task"], width["large-task"])
    rows = records(ledger, lines)
    assert rows[0]["comparison"] == "GOOD − BAD" and rows[0]["verdict"] == "supported"
    assert float(rows[0]["low_seeds"]) <= float(rows[0]["low"]) < float(rows[0]["effect"])
    assert len(rows[0]["by_seed"].split()) == 2


def test_a_row_against_itself_is_not_enough_data(sources):
    _, lines = lines_of(sources, claim(side("good", 1), side("good", -1), direction="at-least"))
    assert {line.verdict for line in lines} == {NOT_ENOUGH}
    assert all("both rows give identical predictions" in line.reason for line in lines)


def test_a_single_seed_is_not_enough_data(sources):
    _, lines = lines_of(sources, claim(side("good", 1, seeds=(1,)), side("bad", -1, seeds=(1,))))
    assert {line.verdict for line in lines} == {NOT_ENOUGH}
    assert all("one training seed" in line.reason for line in lines)


def test_a_claim_compares_tasks_with_few_and_many_texts(sources):
    _, lines = lines_of(sources, claim(side("grows", 1), side("bad", -1), resources=True))
    over_all, few, many = lines
    assert over_all.verdict == few.verdict == SUPPORTED and many.verdict is None
    assert over_all.effect.value == pytest.approx(few.effect.value - many.effect.value)
    assert "more than 5,000" in many.reason
    both = [side(name, weight, tasks=("small-task",)) for name, weight in (("grows", 1), ("bad", -1))]
    _, lines = lines_of(sources, claim(*both, resources=True))
    assert lines[0].verdict == NOT_ENOUGH and lines[0].effect is None
    assert "every compared task of scale small has at most 5,000" in lines[0].reason
    assert lines[1].verdict == SUPPORTED


def test_a_claim_of_cost_needs_fewer_flops(sources):
    _, lines = lines_of(sources, claim(side("good", 1), side("bad", -1), cheaper=True, direction="at-least"))
    assert lines[0].verdict == SUPPORTED and lines[0].reason.endswith("at 1/3 of the FLOPs")
    _, lines = lines_of(sources, claim(side("bad", 1), side("good", -1), cheaper=True))
    assert lines[0].verdict == NOT_SUPPORTED and "3 times the FLOPs" in lines[0].reason
    # A checkpoint's FLOPs are those that the paper reports: 2.79e19.
    checkpoint = side("bad", -1, cost="table2/bert-base")
    _, lines = lines_of(sources, claim(side("good", 1), checkpoint, cheaper=True))
    assert lines[0].reason.endswith("at 1/2.79e+07 of the FLOPs")
    with pytest.raises(TlmError, match="has no FLOPs"):
        lines_of(sources, claim(side("good", 1), side("tfidf", -1, seeds=(1,)), cheaper=True))


def test_a_side_can_be_the_best_or_the_worst_row_of_each_task(sources):
    """`grows` is good on the first task and bad on the second."""
    bad = side("bad", 1)
    best = side("grows", 1, choice="best", others=(bad,))
    _, (_, few, many) = lines_of(sources, claim(best, side("good", -1), direction="at-least"))
    _, (_, plain_few, _) = lines_of(sources, claim(side("grows", 1), side("good", -1)))
    assert few.effect.value == plain_few.effect.value
    assert many.effect.value == pytest.approx(-10, abs=1)
    worst = side("good", 1, choice="worst", others=(bad, side("grows", 1)))
    _, (_, few, many) = lines_of(sources, claim(worst, side("bad", -1)))
    assert [few.effect.value, many.effect.value] == pytest.approx([0, 0], abs=0.5)


def test_a_claim_averages_the_scores_of_a_task(sources):
    """As GLUE's tasks of two numbers, of which MNLI's are of two splits."""
    scores = {
        "small-task": (
            Score(task="small-task", metric="accuracy", split="dev"),
            Score(task="small-task", metric="macro_f1", split="test"),
        )
    }
    sides = [side(name, weight, tasks=("small-task",)) for name, weight in (("good", 1), ("bad", -1))]
    _, (_, line) = lines_of(sources, claim(*sides, scores=scores))
    each = []
    for score in scores["small-task"]:
        _, (_, own) = lines_of(sources, claim(*sides, scores={"small-task": (score,)}))
        each.append(own.effect.value)
    assert each[0] != each[1] and line.effect.value == pytest.approx(np.mean(each))


@pytest.fixture
def sized(tmp_path):
    """TLM and a PLM at two scales, with their FLOPs and their bytes of data."""
    runs = [
        write_run(tmp_path, "task", variant, seed, right, flops=flops, data=data, scale=scale)
        for seed in (1, 2)
        for scale, variant, right, flops, data in (
            ("small", "tlm", 0.9, 1e12, 2e6),
            ("small", "plm", 0.8, 4e12, 8e6),
            ("large", "tlm", 0.9, 1e13, 9e6),
            ("large", "plm", 0.8, 8e13, 8e6),
        )
    ]
    return LedgerSources(open_runs(runs), {}, {}, {}, REPORTED)


def at(scale, variant, weight, **more):
    return side(variant, weight, tasks=("task",), **more).model_copy(update={"scale": scale})


def test_a_claim_of_a_fact_compares_two_rows(sized):
    pair = [at("small", "tlm", 1), at("small", "plm", -1)]
    _, (line,) = lines_of(sized, claim(*pair, fact="data", split=None))
    assert (line.verdict, line.effect) == (SUPPORTED, None)
    assert line.reason == "1/4 of the training data (2e+06 against 8e+06)"
    _, (line,) = lines_of(
        sized, claim(at("large", "tlm", 1), at("large", "plm", -1), fact="data", split=None)
    )
    assert line.verdict == NOT_SUPPORTED
    checkpoint = at("small", "plm", -1, cost="table2/bert-large")  # 16 GB
    _, (line,) = lines_of(sized, claim(pair[0], checkpoint, fact="data", split=None))
    assert line.reason.startswith("1/8e+03 of the training data")
    _, (line, _) = lines_of(sized, claim(*pair, cheaper=True))
    assert line.reason.endswith("at 1/4 of the FLOPs and 1/4 of the training data")


def test_a_claim_across_scales_compares_the_smallest_with_the_largest(sized):
    sides = [
        at(scale, name, weight) for scale in ("large", "small") for name, weight in (("tlm", 1), ("plm", -1))
    ]
    ledger, (line,) = lines_of(sized, claim(*sides, fact="flops", across_scales=True, split=None))
    assert line.verdict == SUPPORTED
    assert line.reason == "1/4 of the FLOPs of PLM at small; 1/8 of the FLOPs of PLM at large"
    assert "**supported**: 1/4 of the FLOPs" in as_markdown(ledger, [line])
    _, (line,) = lines_of(sized, claim(*sides, fact="data", across_scales=True, split=None))
    assert line.verdict == NOT_SUPPORTED


def test_the_larger_corpus_is_found_by_its_size(sources):
    sides = (side("good", 1), side("bad", -1))
    _, (as_written, *_) = lines_of(sources, claim(*sides, corpora=("corpus", "tenth")))
    _, (turned, *_) = lines_of(sources, claim(*sides, corpora=("tenth", "corpus")))
    assert as_written.effect.value == pytest.approx(-turned.effect.value)
    assert (as_written.comparison, turned.comparison) == ("GOOD − BAD", "BAD − GOOD")


def test_an_untested_claim_has_a_reason(sources):
    ledger, lines = lines_of(sources, claim(untested="scale small has no other_corpus"))
    assert [(line.verdict, line.reason) for line in lines] == [
        (NOT_ENOUGH, "scale small has no other_corpus")
    ]
    assert "**not enough data**: scale small has no other_corpus." in as_markdown(ledger, lines)


def test_the_papers_evidence_comes_from_its_own_numbers():
    bm25 = claim(
        side("good", 1),
        reported="table3",
        paper=({"bm25-c-bert": 1, "random-c-bert": -1},),
    )
    found = evidence(bm25, REPORTED)
    assert found["imdb"].short == "+0.75" and found["all"].short == "+2.00"  # 94.40 - 93.65; mean of three
    assert found["all"].words.startswith("BM25, C_BERT − Random, C_BERT: mean +2.00 (imdb +0.75, ")
    k = claim(side("good", 1), reported="table4", paper=({"k5000": 1, "k50": -1},), resources=True)
    # (8.46 + 6.43) / 2 of SciERC and ChemProt, less -0.09 of AGNews
    assert evidence(k, REPORTED)["all"].short in ("+7.53", "+7.54")  # 7.535
    main = claim(side("good", 1), reported="table2", paper=({"bert-base": -1, "tlm-small": 1},), cheaper=True)
    found = evidence(main, REPORTED)["all"]
    assert found.short == "+0.32" and found.words.startswith("TLM (small scale) − BERT-Base: mean +0.32")
    assert found.words.endswith("at 1/10.2 of the FLOPs and 1/17.6 of the training data")
    best = claim(side("good", 1), reported="table5", paper=({"{best rho1}": 1, "ext-only": -1},))
    found = evidence(best, REPORTED)
    assert [found[task].short for task in ("helpfulness", "scierc", "chemprot")] == [
        "+1.26",
        "+0.41",
        "+1.14",
    ]


def test_missing_runs_raise(sources, tmp_path):
    with pytest.raises(TlmError, match="run small/small-task/absent/seed1 is missing"):
        lines_of(sources, claim(side("absent", 1), side("bad", -1)))
    other = open_runs([write_run(tmp_path, "small-task", "other", seed, 0.9, items=10) for seed in (1, 2)])
    mixed = LedgerSources({**sources.runs, **other}, {}, {}, {}, REPORTED)
    with pytest.raises(TlmError, match="other texts than"):
        lines_of(
            mixed, claim(*(side(name, w, tasks=("small-task",)) for name, w in (("other", 1), ("bad", -1))))
        )
    no_test = open_runs([write_run(tmp_path / "x", "secret", "good", seed, 0.9) for seed in (1, 2)])
    for run in no_test.values():
        table = pq.read_table(run.folder / "predictions.parquet").slice(0, ITEMS)
        pq.write_table(table, run.folder / "predictions.parquet")
    with pytest.raises(TlmError, match="task secret has no test split"):
        lines_of(
            LedgerSources(no_test, {}, {}, {}, REPORTED),
            claim(side("good", 1, tasks=("secret",)), side("good", -1, tasks=("secret",)), split="test"),
        )


def model(variant, seed, positional, texts=50, heads=(2, 4)):
    """Heads read on `texts` texts of ten queries, of which the first `positional` always look at a neighbour."""
    queries = np.full(texts, 10.0)
    share = np.zeros((texts, *heads))
    share.reshape(texts, -1)[:, :positional] = 10
    share.reshape(texts, -1)[:, positional:] = 2 + seed % 2
    return AttentionArtifact(
        folder=ROOT,
        task="task",
        task_digest="data",
        variant=variant,
        seed=seed,
        spec={"seed": 1, "resamples": 200},
        hits=Hits(queries, {"previous": share, "next": 0 * share, "vertical": 0 * share}),
        examples={},
    )


def test_a_claim_of_heads():
    models = [model("tlm", seed, 3) for seed in (1, 2)] + [model("plm", seed, 1) for seed in (1, 2)]
    sources = LedgerSources({}, {(one.task, one.variant, one.seed): one for one in models}, {}, {}, REPORTED)
    sides = (side("tlm", 1, tasks=("task",)), side("plm", -1, tasks=("task",)))
    _, (line, _) = lines_of(sources, claim(*sides, heads="positional", split=None, margin=0.5))
    assert (line.effect.value, line.unit, line.verdict) == (2, "heads", SUPPORTED)
    _, (line, _) = lines_of(sources, claim(*sides, heads="vertical", split=None, margin=0.5))
    assert line.verdict == NOT_ENOUGH and "no difference in any resample" in line.reason
    _, (line, _) = lines_of(sources, claim(*sides, heads="positional_share", split=None))
    assert line.unit == "points" and 10 < line.effect.value < 25 and line.verdict == SUPPORTED
    with pytest.raises(TlmError, match="attention of task/tlm/1 is missing"):
        lines_of(LedgerSources({}, {}, {}, {}, REPORTED), claim(*sides, heads="positional"))


def test_the_page_names_tasks_where_tlm_does_not_beat_tfidf(sources):
    own = claim(side("good", 1), side("tfidf", -1, seeds=(1,)), id="tfidf")
    other = claim(side("bad", 1), side("tfidf", -1, seeds=(1,)), id="tfidf")
    ledger, lines = lines_of(sources, own)
    (sentence,) = against_rivals(lines)
    assert sentence.startswith("TLM beats TF-IDF + logistic regression on small-task (+")
    assert "it is worse" not in sentence
    _, lines = lines_of(sources, other)
    (sentence,) = against_rivals(lines)
    assert sentence.startswith("TLM does not beat TF-IDF + logistic regression; it is worse on small-task (−")
    page = as_markdown(ledger, lines)
    assert sentence in page and page.count("| all tasks |") == 1
    assert against_rivals([]) == []


def test_the_sentence_names_every_task():
    effects = [("a", estimate(3)), ("b", estimate(-3)), ("c", estimate(0)), ("d", estimate(0.2))]
    sentence = rival_sentence("TLM", "a rival", effects)
    assert re.sub(r" \(.*?\)", "", sentence) == (
        "TLM beats a rival on a; it is worse on b; the difference is inconclusive on c and d."
    )
    assert re.search(r"on b \(−3\.00 \[−\d\.\d\d, −\d\.\d\d\]\)", sentence)
    # The interval over items excludes 0, but the seeds vary too much.
    assert "the difference is inconclusive on e" in rival_sentence(
        "TLM", "a rival", [("e", estimate(3, seeds=(5, -5)))]
    )


def test_sensitivity_fills_points_that_differ_from_the_own_run(tmp_path):
    """K of 5 and 9 are equal, 20 is the scale's own run and better; the task-only run is as good as that."""
    right = {"task-only": 0.9, "k5": 0.8, "tlm": 0.9, "tfidf": 0.85}
    runs = open_runs(
        write_run(tmp_path, "news", variant, seed, share)
        for variant, share in right.items()
        for seed in ((1,) if variant == "tfidf" else (1, 2))
    )
    column = Column(
        id="news", kind="score", tasks=("news",), scores=(Score(task="news", metric="primary", split="dev"),)
    )
    rows = tuple(
        ComparedRow(
            id=row,
            label=row,
            scale="small",
            variants={"news": variant},
            seeds=(1,) if variant == "tfidf" else (1, 2),
            tlm_tasks=("news",) if variant == "tlm" else (),
            is_linear=variant == "tfidf",
        )
        for row, variant in (("task-only", "task-only"), ("k5", "k5"), ("k20", "tlm"), ("tfidf", "tfidf"))
    )
    spec = Differences(table="table4", title="K", scale="small", rows=rows, columns=(column,))
    figure = {"kind": "sensitivity", "title": "Scores against K", "tables": {"k": "table4"}}
    with styled():
        drawn = draw_sensitivity(SensitivityDrawing(**figure, sweeps={"k": spec}), runs)
        drawn.figure.savefig(tmp_path / "figure.png")
    rows = {row["value"]: row for row in drawn.rows}
    assert set(rows) == {"task only", "5", "20", "TF-IDF"} and rows["20"]["own_run"] == "yes"
    assert rows["20"]["difference"] is None and rows["5"]["difference_high"] < 0
    assert rows["task only"]["difference_low"] <= 0 <= rows["task only"]["difference_high"]
    assert (
        rows["5"]["low"] < rows["5"]["score"] < rows["5"]["high"] and len(rows["5"]["by_seed"].split()) == 2
    )
    (axes,) = drawn.figure.axes
    assert axes.get_ylabel() == "macro-F1, dev (%)"
    fills = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() in ("o", "D")]
    assert [fill == "white" for fill in fills] == [True, False, False]
    with pytest.raises(TlmError, match="run small/news/k5/seed1 is missing"):
        draw_sensitivity(
            SensitivityDrawing(**figure, sweeps={"k": spec}),
            {key: run for key, run in runs.items() if key[2] != "k5"},
        )


def test_a_task_of_two_numbers_counts_once_in_a_difference(tmp_path):
    """As in Table 10: Pearson and Spearman of a task of numbers, accuracy and F1 of one of two classes."""
    folders = [write_run(tmp_path, "pairs", name, 1, share) for name, share in (("good", 0.9), ("bad", 0.8))]
    for name, noise in (("good", 0.1), ("bad", 1.0)):
        path = write_run(tmp_path, "grades", name, 1, 0.9, items=200)
        draw = np.random.default_rng(1)
        labels = draw.random(400)
        table = pq.read_table(path.parent / "predictions.parquet")
        guesses = labels + noise * draw.standard_normal(400)
        for column, values in (("label", labels), ("prediction", guesses)):
            table = table.set_column(table.column_names.index(column), column, pa.array(values))
        pq.write_table(table, path.parent / "predictions.parquet")
        folders.append(path)
    metrics = {"pairs": ("accuracy", "f1"), "grades": ("pearson", "spearman")}
    found = [
        Score(task=task, metric=metric, split="dev") for task, names in metrics.items() for metric in names
    ]
    columns = [
        Column(id=f"{score.task}.{score.metric}", kind="score", tasks=(score.task,), scores=(score,))
        for score in found
    ]
    columns.append(Column(id="average", kind="average", tasks=tuple(metrics), scores=tuple(found)))
    rows = tuple(
        ComparedRow(id=name, label=name, scale="small", variants=dict.fromkeys(metrics, name), seeds=(1,))
        for name in ("bad", "good")
    )
    spec = Differences(table="t", title="GLUE", scale="small", rows=rows, columns=tuple(columns))
    lines = all_differences(spec, open_runs(folders))
    effects = {line.column.id: line.effect for line in lines}
    assert all(effect.interval.low > 0 for effect in effects.values())
    each = [np.mean([effects[f"{task}.{name}"].value for name in names]) for task, names in metrics.items()]
    assert effects["average"].value == pytest.approx(np.mean(each))
    assert not any(line.against.is_linear for line in lines)
    assert "## Against bad" in render(spec, lines).markdown


def test_differences_between_the_rows_of_a_table(sources):
    tasks = ("small-task", "large-task")
    columns = [
        Column(
            id=task, kind="score", tasks=(task,), scores=(Score(task=task, metric="primary", split="test"),)
        )
        for task in tasks
    ]
    columns.append(
        Column(id="average", kind="average", tasks=tasks, scores=tuple(s for c in columns for s in c.scores))
    )
    rows = [
        ComparedRow(
            id=name,
            label="TF-IDF + logistic regression" if name == "tfidf" else name.upper(),
            scale="small",
            variants=dict.fromkeys(tasks, name),
            seeds=seeds,
            is_linear=name == "tfidf",
        )
        for name, seeds in (("good", (1, 2)), ("bad", (1, 2)), ("tfidf", (1,)))
    ]
    spec = Differences(table="t", title="Numbers", scale="small", rows=tuple(rows), columns=tuple(columns))
    lines = all_differences(spec, sources.runs)
    named = {(line.row.id, line.against.id, line.column.id): line for line in lines}
    assert {key[:2] for key in named} == {
        ("bad", "good"),
        ("tfidf", "good"),
        ("good", "tfidf"),
        ("bad", "tfidf"),
    }
    assert named["bad", "good", "average"].effect.value == pytest.approx(
        np.mean([named["bad", "good", task].effect.value for task in tasks])
    )
    rendered = render(spec, lines)
    assert "| BAD | **−10" in rendered.markdown or "| BAD | **−9" in rendered.markdown
    # No row is TLM here: the sentence is about the best row of each task.
    assert "The best row of each task beats TF-IDF + logistic regression on small-task with GOOD (+" in (
        rendered.markdown
    )
    read = list(csv.DictReader(io.StringIO(rendered.csv)))
    assert len(read) == 12 and all(float(row["low"]) <= float(row["effect"]) for row in read)
    as_tlm = {"variants": dict.fromkeys(tasks, "tlm"), "tlm_tasks": tuple(tasks)}
    renamed = [rows[0].model_copy(update=as_tlm), rows[2]]
    runs = {
        (scale, task, "tlm" if v == "good" else v, seed): run
        for (scale, task, v, seed), run in sources.runs.items()
    }
    markdown = render(spec, all_differences(spec.model_copy(update={"rows": tuple(renamed)}), runs)).markdown
    assert "- GOOD beats TF-IDF + logistic regression on small-task" in markdown
