"""Which runs each claim is tested by, at every shipped scale."""

import math

import pytest
import yaml
from conftest import ROOT

from tlm.config.base import parse, parse_json
from tlm.config.claims import ClaimSpec, Ledger
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.plan import claims, tables
from tlm.plan.differences import compared_tables, differences
from tlm.plan.project import load_project
from tlm.results.evidence import evidence
from tlm.rules.base import as_json

SETTINGS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))
PAPER = {
    "tlm-plm",
    "bm25-random",
    "larger-corpus",
    "larger-k",
    "larger-rho1",
    "rho2",
    "stage2",
    "task-mlm",
    "positional-heads",
    "vertical-heads",
    "data-size",
    "larger-scale",
    "bm25-low-resource",
    "bm25-larger-corpus",
    "internal-data",
    "rho2-range",
    "plm-mlm-marginal",
    "glue",
    "dapt-tapt",
    "roberta-underestimated",
    "external-reliance",
}


def project(scale="demo", **claims):
    found = load_project({**SETTINGS, "scale": scale}, ROOT / "config")
    if not claims:
        return found
    specs = {name: parse(ClaimSpec, spec, "test") for name, spec in claims.items()}
    return found.model_copy(update={"experiments": found.experiments.model_copy(update={"claims": specs})})


def resolved(found):
    return {claim.id: claim for claim in claims.ledger(found, tables.cells(found)).claims}


@pytest.mark.parametrize("scale", SCALES)
def test_every_claim_resolves_at_every_scale_and_trains_nothing(scale):
    found = project(scale)
    claims.check_claims(found)
    cells = tables.cells(found)
    trained = {
        f"runs/{cell.scale}/{task}/{variant}/seed{seed}/evaluation"
        for cell in cells.values()
        for task, variant in cell.variants.items()
        for seed in cell.seeds
    }
    found_claims = resolved(found)
    assert set(found_claims) >= PAPER
    for claim in found_claims.values():
        assert bool(claim.sides) != bool(claim.untested), claim.id
        if not claim.heads:
            assert set(claims.run_folders(claim)) <= trained


def test_the_papers_numbers_support_every_claim_that_has_some():
    """In the paper every effect has the direction of the claim: a slip in weights would show here."""
    reported = load_reported(ROOT / "config/reported.yaml")
    for claim in resolved(project("demo")).values():
        shown = evidence(claim, reported)["all"]
        for effect in shown.short.split("; ") if shown.short and not claim.fact else ():
            value = float(effect.replace("−", "-"))
            least = {"greater": 0, "at-least": -claim.margin, "at-most": -math.inf}[claim.direction]
            most = claim.margin if claim.direction == "at-most" else math.inf
            assert least < value < most, claim.id
        if claim.id in PAPER and not claim.heads:
            assert shown.short or claim.shows


def test_the_evidence_of_the_claims_is_the_papers():
    """Sections 4.2 to 4.5 and Appendix A: the numbers of the text, from the tables as transcribed."""
    reported = load_reported(ROOT / "config/reported.yaml")
    found = {name: evidence(claim, reported)["all"] for name, claim in resolved(project("demo")).items()}
    assert found["tlm-plm"].short == "−0.04; +0.59; +0.24"  # "by 0.59 and 0.24 points"
    assert (
        "at 1/33.1 of the FLOPs and 1/17.6 of the training data" in found["tlm-plm"].words
    )  # "1/33", "1/16"
    assert found["data-size"].short.startswith("1/17.6 of the training data; 1/132 of")
    assert found["larger-scale"].short == "1/33.1 of the FLOPs; 1/186 of the FLOPs; 1/57.4 of the FLOPs"
    assert found["plm-mlm-marginal"].short == "+0.31"
    assert found["glue"].short == "−0.37"
    assert found["dapt-tapt"].short == "+0.17"
    assert found["roberta-underestimated"].short == "+2.87; +1.88"  # "around 3 points"
    assert "imdb +0.50, scierc +1.34, chemprot +1.35" in found["bm25-larger-corpus"].words
    assert found["rho2-range"].short == "−0.35"


def test_each_scale_of_the_paper_has_its_own_rival():
    rivals = {"small": "BERT-Large", "medium": "RoBERTa-Base", "large": "RoBERTa-Large"}
    for scale, rival in rivals.items():
        claim = resolved(project(scale))["tlm-plm"]
        assert [side.label for side in claim.sides] == ["TLM", rival]
        assert [next(iter(pair)) for pair in claim.paper] == [f"tlm-{scale}"]


def test_scales_are_compared_where_several_are_built():
    found = load_project({**SETTINGS, "scale": "small", "beside": ["medium", "large"]}, ROOT / "config")
    claim = resolved(found)["larger-scale"]
    labels = ["BERT-Large", "RoBERTa-Base", "RoBERTa-Large"]
    assert [side.label for side in claim.sides[1::2]] == labels
    assert [side.scale for side in claim.sides[::2]] == ["small", "medium", "large"]
    assert [side.cost for side in claim.sides[1::2]] == [
        "table2/bert-large",
        "table2/roberta-base",
        "table2/roberta-large",
    ]
    assert "is built alone" in resolved(project("small"))["larger-scale"].untested


def test_the_trend_of_table_b1_is_as_the_ledger_shows_it():
    columns = load_reported(ROOT / "config/reported.yaml").hyperparameters
    pairs = [(columns["small"][task], columns["large"][task]) for task in columns["small"]]
    assert all(small.rho1 < large.rho1 for small, large in pairs)
    assert [
        task for task, (small, large) in zip(columns["small"], pairs, strict=True) if small.rho2 < large.rho2
    ] == ["imdb", "rct"]
    assert [
        task for task, (small, large) in zip(columns["small"], pairs, strict=True) if small.rho2 > large.rho2
    ] == ["acl-arc"]


def test_the_ledger_reaches_the_script_as_it_was_planned():
    found = project("demo")
    ledger = claims.ledger(found, tables.cells(found))
    read = parse_json(Ledger, as_json(ledger), "the ledger")
    assert as_json(read) == as_json(ledger)
    best = next(claim for claim in read.claims if claim.id == "internal-data").sides[0]
    names = [each.variants["bbc-news"] for each in (best, *best.others)]
    assert (best.choice, names) == ("best", ["rho1-1", "tlm", "rho1-9"])


def test_rows_are_named_by_the_scales_own_values():
    found = resolved(project("demo"))
    assert [side.label for side in found["larger-k"].sides] == ["Top-500", "Top-10"]
    assert [side.variants["bbc-news"] for side in found["larger-k"].sides] == ["k500", "tlm"]
    assert found["larger-corpus"].corpora == ("demo", "demo-tenth")
    assert [side.label for side in found["tlm-plm"].sides] == ["TLM", "PLM"]
    medium = resolved(project("medium"))
    assert [side.label for side in medium["tlm-plm"].sides] == ["TLM", "RoBERTa-Base"]
    assert medium["tlm-plm"].sides[1].cost == "table2/roberta-base"
    assert medium["tlm-plm"].split == "test" and medium["stage2"].split == "dev"


def test_the_reason_names_the_missing_task_row_or_corpus():
    spec = {"claim": "c", "place": "p", "table": "table10", "ours": {"tlm": 1, "{baseline}": -1}}
    found = project("demo", glue=spec)
    claims.check_claims(found)  # other scales have it
    assert "scale demo has no task" in resolved(found)["glue"].untested
    glue = resolved(project("small"))["glue"]
    assert [score.metric for score in glue.scores["sts-b"]] == ["pearson", "spearman"]
    assert [score.split for score in glue.scores["mnli"]] == ["dev", "test"]
    found = project("demo-paper")
    assert "table5 has no row ext-only at scale demo-paper" in resolved(found)["internal-data"].untested


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        (
            {"table": "table3", "ours": {"bm25": 1, "randm": -1}},
            "table table3 has no row 'randm' at any scale",
        ),
        ({"table": "table33", "ours": {"bm25": 1, "random": -1}}, "no table 'table33'"),
        ({"table": "table3", "ours": {"bm25": 1}}, "must add up to 0"),
        ({"table": "table3"}, "gives weights for rows"),
        ({}, "exactly one"),
        ({"untested": "no", "ours": {"bm25": 1, "random": -1}}, "has no `heads` and no `ours`"),
        ({"heads": "positional", "across_scales": True}, "across_scales needs"),
        (
            {"table": "table3", "ours": {"bm25": 1, "random": -1}, "fact": "data", "resources": True},
            "for claims on scores",
        ),
        ({"heads": "positional", "table": "table3", "ours": {"bm25": 1, "random": -1}}, "exactly one"),
        ({"heads": "positional", "resources": True}, "need `table`"),
    ],
)
def test_invalid_claims_raise(spec, match):
    with pytest.raises(TlmError, match=match):
        claims.check_claims(project(wrong={"claim": "c", "place": "p", **spec}))


@pytest.mark.parametrize("scale", SCALES)
def test_every_table_of_scores_has_differences_and_a_row_of_tfidf(scale):
    found = project(scale)
    cells = tables.cells(found)
    compared = compared_tables(found)
    assert {"table2", "table3", "table4", "table5", "table6", "table7", "table8", "tableA.2"} <= set(compared)
    for name in compared:
        spec = differences(found, cells, name)
        svm = ["ngram-svm"] if name in ("table2", "table2-clean", "table2-released", "alternatives") else []
        assert [row.id for row in spec.rows if row.is_linear] == ["tfidf", *svm], name
        assert all(set(row.variants) == set(spec.rows[0].variants) for row in spec.rows)
    with pytest.raises(TlmError, match="shows no scores"):
        differences(found, cells, "table1")
