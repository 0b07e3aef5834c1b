"""What is audited at a scale, and what `exclude: contaminated` makes of selections and runs."""

import shutil
from pathlib import Path

import pytest
from projects import CONFIG, project

from tlm.config.base import parse
from tlm.config.variants import VariantSpec
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan import contamination, runs, tables
from tlm.plan.selections import Selection


def test_the_smoke_scale_audits_its_training_split_corpora_and_selections():
    table = contamination.contamination(project(scale="smoke"))
    assert [entry.folder.removeprefix("data/audits/toy/") for entry in table.audits] == [
        "tasks/toy",
        "corpora/toy",
        "corpora/toy-tenth",
        "selections/toy/toy/bm25-k20",
        "selections/toy/toy/bm25-k20-clean",
        "selections/toy/toy/random-k20",
        "selections/toy/shared/whole-126000w",
        "selections/toy-tenth/toy/bm25-k20",
    ]
    assert [entry.against for entry in table.audits] == ["train", "corpus", "corpus", *["selection"] * 5]
    assert table.audits[3].name == "toy/bm25-k20" and table.audits[3].read_by == ("TLM",)


@pytest.mark.parametrize("scale", ["demo", "small", "medium", "large"])
def test_every_task_of_a_scale_is_audited(scale):
    shipped = project(scale=scale)
    table = contamination.contamination(shipped)
    assert list(dict.fromkeys(entry.task for entry in table.audits)) == shipped.scale.tasks
    pretrained = [entry for entry in table.audits if "/shared/" in entry.folder]
    assert bool(pretrained) == ("plm" in shipped.scale.baselines)  # a checkpoint's corpus is nobody's to read
    names = [entry.folder for entry in table.audits]
    assert len(names) == len(set(names))


def test_auditing_a_variant_without_passages_raises(tmp_path):
    copy = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    path = copy / "experiments.yaml"
    path.write_text(path.read_text().replace("variants: [tlm, tlm-clean", "variants: [tfidf, tlm-clean"))
    with pytest.raises(TlmError, match="contamination: tfidf reads no passages"):
        contamination.contamination(project(copy, scale="smoke"))
    path.write_text(path.read_text().replace("variants: [tfidf, tlm-clean", "variants: [tml, tlm-clean"))
    with pytest.raises(TlmError, match="no variant 'tml'"):
        contamination.contamination(project(copy, scale="smoke"))


def test_the_clean_row_differs_from_tlm_in_its_selection_alone():
    shipped = project(scale="smoke")
    plain, clean = (runs.resolve(shipped, "toy", name, 1) for name in ("tlm", "tlm-clean"))
    assert clean.variant == "tlm-clean" and clean.spec == plain.spec
    assert clean.selection == Selection("bm25", 20, "toy", "toy", clean=True)
    assert clean.external_tokens == f"{plain.external_tokens}-clean"
    assert {row.id for row in tables.table(shipped, "table2-clean").rows} == {
        "tlm",
        "tlm-clean",
        "plm",
        "tfidf",
        "ngram-svm",
    }


def test_the_switch_makes_every_run_clean_and_the_two_rows_one():
    switched = project(scale="smoke", exclude="contaminated")
    for name in ("tlm", "tlm-clean", "k20", "random", "dsir", "rho2-0"):
        run = runs.resolve(switched, "toy", name, 1)
        assert run.selection is not None and run.selection.clean
    assert runs.resolve(switched, "toy", "tlm-clean", 1).variant == "tlm"
    pretraining = runs.resolve(switched, "toy", "plm", 1).pretraining
    assert pretraining is not None and pretraining.selection is not None
    assert pretraining.selection.name == "whole-126000w-clean"
    assert pretraining.selection.audits(["a", "b"]) == [f"data/audits/{task}/corpora/toy" for task in "ab"]
    assert runs.resolve(switched, "toy", "task-only", 1).selection is None


def test_clean_selections_are_named_and_made_from_clean_ones():
    assert Selection("random", 5, "c", "t", True).made_from(9) == {
        "like": "data/selections/c/t/bm25-k5-clean"
    }
    assert Selection("bm25", 5, "c", "t", True).made_from(9) == Selection("bm25", 5, "c", "t").made_from(9)
    assert Selection("bm25", 5, "c", "t", True).audits(["x"]) == ["data/audits/t/corpora/c"]
    assert Selection("bm25", 5, "c", "t").audits(["x"]) == []
    for selection in (Selection("dsir", 5, "c", "t", True), Selection("whole-corpus", 5, "c", SHARED, True)):
        assert Selection.from_name(selection.name, "c", selection.owner) == selection
    assert Selection("dsir", 5, "c", "t", True).spec(1).like == "bm25-k5-clean"


@pytest.mark.parametrize(
    "change",
    [{"method": "tfidf"}, {"method": "adapted"}, {"selector": "task-only"}, {"exclude": "everything"}],
)
def test_exclude_is_for_variants_that_read_passages(change):
    with pytest.raises(TlmError, match="exclude"):
        parse(VariantSpec, {"description": "d", "exclude": "contaminated", **change}, "test")
