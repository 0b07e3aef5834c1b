"""Which runs each claim is tested by, at every shipped scale."""

import pytest
import yaml
from conftest import ROOT

from tlm.config.base import parse
from tlm.config.claims import ClaimSpec
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.plan import claims, tables
from tlm.plan.differences import compared_tables, differences
from tlm.plan.project import load_project
from tlm.results.evidence import evidence

SETTINGS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))
NINE = {
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
    assert set(found_claims) >= NINE
    for claim in found_claims.values():
        assert bool(claim.sides) != bool(claim.untested), claim.id
        if not claim.heads:
            assert set(claims.run_folders(claim)) <= trained


def test_the_papers_numbers_speak_for_every_claim_that_has_some():
    """In the paper every effect has the direction of the claim: a slip in weights would show here."""
    reported = load_reported(ROOT / "config/reported.yaml")
    for claim in resolved(project("medium")).values():
        for effect in evidence(claim, reported)["all"].short.split("; "):
            assert not effect or effect.startswith("+"), claim.id
        if claim.id in NINE and not claim.heads:
            assert evidence(claim, reported)["all"].short


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


def test_the_reason_names_what_the_scale_lacks():
    spec = {"claim": "c", "place": "p", "table": "table10", "ours": {"tlm": 1, "{baseline}": -1}}
    found = project("demo", glue=spec)
    claims.check_claims(found)  # other scales have it
    assert "scale demo has no task" in resolved(found)["glue"].untested
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
        assert [row.id for row in spec.rows if row.is_tfidf] == ["tfidf"], name
        assert all(set(row.variants) == set(spec.rows[0].variants) for row in spec.rows)
    with pytest.raises(TlmError, match="shows no scores"):
        differences(found, cells, "table1")
