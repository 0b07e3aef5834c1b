"""Tasks of one's own: a few lines of YAML are a task, a corpus and a scale; nothing of it reaches the shipped ones."""

import gzip
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import toy
import yaml
import zstandard
from conftest import ROOT

from tlm.config.base import load_yaml
from tlm.corpus.build import build_corpus
from tlm.errors import TlmError
from tlm.plan import runs, tables
from tlm.plan import shared_artifacts as shared
from tlm.plan.project import Project, load_project
from tlm.plan.selections import Selection
from tlm.plan.task_report import compared_variants
from tlm.rules import Workflow
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task

PLACES = {
    "task": {"files": "examples/toy-task.csv"},
    "corpus": {"files": ["examples/toy-corpus.jsonl"]},
    "training": {"like": "smoke"},
}


def config(folder: Path, **own) -> Path:
    """The shipped configuration with tasks of one's own."""
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns("own"))
    (folder / "config/own").mkdir()
    for name, value in own.items():
        (folder / "config/own" / f"{name}.yaml").write_text(yaml.safe_dump(value))
    return folder / "config"


def load(folder: Path, settings=None, **own) -> Project:
    where = config(folder, **own)
    return load_project({**load_yaml(where / "config.yaml"), **(settings or {})}, where)


def test_an_own_task_is_a_task_a_corpus_and_a_scale_whatever_the_scale(tmp_path):
    project = load(tmp_path, {"scale": "medium"}, places=PLACES)
    view = project.at("places")
    assert project.runnable == ["medium", "places"] and view.seeds == [1, 2]
    for variant in ("tlm", "task-only", "random"):
        run = runs.resolve(view, "places", variant, 1)
        assert run.folder == f"runs/places/places/{variant}/seed1" and run.corpus == "places"
    assert shared.largest_k(project, "places", "places") == shared.largest_k(view, "places", "places") == 20
    assert "places-wordpiece-512" in shared.tokenizers(project)
    tables.check(project)
    tables.check(load(tmp_path / "sweeps", {"scale": "smoke"}, places=PLACES))


def test_it_trains_one_model_unless_it_compares(tmp_path):
    for compare, methods in (
        (False, ["tlm", "tfidf", "ngram-svm"]),
        (True, ["tlm", "task-only", "random", "tfidf", "ngram-svm"]),
    ):
        project = load(tmp_path / str(compare), {"scale": "smoke"}, places={**PLACES, "compare": compare})
        assert list(compared_variants(project.at("places"))) == methods
        assert list(compared_variants(project)) == [
            "tlm",
            "task-only",
            "random",
            "tfidf",
            "ngram-svm",
        ]  # a shipped scale


def test_unlabelled_texts_are_compared_with_the_run_without_them(tmp_path):
    task = {**PLACES["task"], "unlabelled": "more.txt"}
    for compare, methods in (
        (False, ["tlm", "tfidf", "ngram-svm"]),
        (True, ["tlm", "task-only", "random", "labelled-only", "tfidf", "ngram-svm"]),
    ):
        folder = tmp_path / str(compare)
        project = load(folder, {"scale": "smoke"}, places={**PLACES, "task": task, "compare": compare})
        assert list(compared_variants(project.at("places"))) == methods
    view = project.at("places")
    with_them, without = (runs.resolve_encoder(view, "places", name, 1) for name in ("tlm", "labelled-only"))
    assert with_them.spec.stage1.unlabelled and not without.spec.stage1.unlabelled
    assert (with_them.passages.name, without.passages.name) == ("bm25-k20", "bm25-labelled-k20")
    assert without.passages.made_from(20) == {
        "retrieval": with_them.passages.made_from(20)["retrieval"],
        "task": "data/tasks/places",
    }
    assert Selection.from_name("bm25-labelled-k20", "places", "places") == without.passages
    files = project.data.sources["places"].files
    assert [file.to for file in files] == ["rows/", "unlabelled/"]
    assert project.data.tasks["places"].parser.files == "rows/**"
    assert "labelled-only" not in load(tmp_path / "plain", places=PLACES).at("places").variants


def test_it_changes_nothing_of_the_shipped_scales(tmp_path):
    long = {**PLACES, "training": {"like": "smoke", "model": {"max_length": 1024}, "k": 60}}
    with_own, without = (load(tmp_path / name, **own) for name, own in (("a", {"places": long}), ("b", {})))
    assert shared.stored_length(with_own, "places") == 1024
    assert shared.stored_length(with_own, "bbc-news") == shared.stored_length(without, "bbc-news") == 512
    assert tables.cells(with_own) == tables.cells(without) and tables.available(with_own) == tables.available(
        without
    )
    assert shared.largest_k(with_own, "demo", "bbc-news") == shared.largest_k(without, "demo", "bbc-news")


def test_task_only_differs_from_tlm_in_its_data_alone(tmp_path):
    project = load(tmp_path, places={**PLACES, "training": {"like": "smoke", "stage1": {"rho2": 7}}}).at(
        "places"
    )
    tlm, alone = (runs.resolve(project, "places", name, 1).spec for name in ("tlm", "task-only"))
    assert tlm.stage1.model_copy(update={"rho1": 0}) == alone.stage1 and alone.stage1.rho2 == 7
    assert (tlm.model, tlm.stage2) == (alone.model, alone.stage2)


def test_the_file_overrides_the_scale_and_replaces_a_budget(tmp_path):
    training = {
        "like": "smoke",
        "k": 3,
        "seeds": [4],
        "stage1": {"budget": {"steps": 9}},
        "tokenizer": {"lowercase": False},
    }
    project = load(tmp_path, places={**PLACES, "training": training}).at("places")
    run = runs.resolve(project, "places", "tlm", 4)
    assert (
        run.selection.name == "bm25-k3" and run.spec.stage1.budget.steps == 9 and run.spec.stage1.rho2 == 20
    )
    assert run.tokenizer == "places-wordpiece-512-cased" and project.seeds == [4]


def test_two_tasks_may_share_a_corpus(tmp_path):
    other = {**PLACES, "corpus": "places", "training": {"like": "smoke", "tokenizer": {"lowercase": False}}}
    project = load(tmp_path, places=PLACES, other=other)
    assert (
        runs.resolve(project.at("other"), "other", "tlm", 1).selection.folder
        == "data/selections/places/other/bm25-k20"
    )
    assert len([name for name in shared.tokenizers(project) if name.startswith("places")]) == 2
    clash = {**other, "training": {"like": "smoke", "tokenizer": {"sample_bytes": 1000}}}
    with pytest.raises(TlmError, match="another scale has a tokenizer 'places-wordpiece-512'"):
        shared.tokenizers(load(tmp_path / "clash", places=PLACES, other=clash))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"task": {"files": "a.csv", "txt": "body"}},
            r"places.yaml: task.txt: unknown key \(did you mean 'text'",
        ),
        ({"task": {"files": {"dev": "a.csv"}}}, "task.files: files of train are missing"),
        ({"corpus": {"files": "examples/toy-task.csv"}}, "is both task and corpus"),
        ({"corpus": "demmo"}, "corpus: no corpus 'demmo'.*; there are .*demo"),
        ({"task": {"files": "https://x/a.csv"}}, "a path, folder or glob on this machine"),
        ({"training": {"like": "tiny"}}, "training.like: no scale 'tiny'"),
        ({"training": {"tokenizer": {"vocabulary": 3}}}, "places.yaml: training: tokenizer.vocabulary"),
        ({"training": {"stage1": {"rho3": 1}}}, "places.yaml: training: .*stage1.rho3: unknown key"),
        (
            {"task": {"files": "a.csv", "problem": "regression", "metric": "macro_f1"}},
            "places.yaml: metric macro_f1",
        ),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path, change, message):
    with pytest.raises(TlmError, match=message):
        tables.check(load(tmp_path, places={**PLACES, **change}))


@pytest.mark.parametrize("name", ["toy", "demo", "shared", "Caps", "bbc-corpus"])
def test_taken_and_invalid_names_raise(tmp_path, name):
    own = {name: PLACES, **({"bbc": PLACES} if name == "bbc-corpus" else {})}
    with pytest.raises(TlmError, match=f"own/{name}.yaml: .*choose another name"):
        load(tmp_path, **own)


def build(project: Project, name: str, folder: Path):
    """Sources, task and corpus of an own task."""
    for source in (name, f"{name}-corpus"):
        fetch_source(source, project.data.sources[source], folder / source, folder / "cache", {})
    task = build_task(name, project.data.tasks[name], folder / name, folder / "task")
    corpus = project.data.corpora[name]
    return task, build_corpus(
        name, corpus, {f"{name}-corpus": folder / f"{name}-corpus"}, folder / "c", workers=1
    )


def test_any_mix_of_files_is_read_in_place(tmp_path):
    heap = tmp_path / "heap"
    toy.write_corpus(heap / "a/same.jsonl", 20, seed=1)
    toy.write_corpus(heap / "b/same.txt", 20, seed=2)
    (heap / "b/.hidden").write_text("not part of the corpus")
    for seed, name in ((3, "c.jsonl"), (4, "d.txt")):
        toy.write_corpus(heap / name, 20, seed=seed)
    (heap / "c.jsonl.gz").write_bytes(gzip.compress((heap / "c.jsonl").read_bytes()))
    (heap / "d.txt.zst").write_bytes(zstandard.compress((heap / "d.txt").read_bytes()))
    texts = [json.loads(line)["text"] for line in (heap / "c.jsonl").read_text().splitlines()]
    pd.DataFrame({"text": [text.upper() for text in texts]}).to_parquet(heap / "e.parquet")
    pd.DataFrame({"text": [text.title() for text in texts]}).to_csv(heap / "f.csv", index=False)
    (heap / "c.jsonl").unlink()
    (heap / "d.txt").unlink()
    toy.write_task(tmp_path / "rows.csv")
    own = {"task": {"files": str(tmp_path / "rows.csv")}, "corpus": {"files": [f"{heap}/*/*", f"{heap}/?.*"]}}
    _, corpus = build(load(tmp_path, mix={**PLACES, **own}), "mix", tmp_path / "built")
    assert corpus.counts["documents"] == 6 * 20
    assert sorted(corpus.counts["sources"]) == sorted(own["corpus"]["files"])
    linked = tmp_path / "built/mix-corpus/0/a/same.jsonl"
    assert linked.is_symlink() and linked.resolve() == (heap / "a/same.jsonl").resolve()


def test_the_error_names_a_file_of_unknown_format_and_a_missing_file(tmp_path):
    toy.write_corpus(tmp_path / "heap/a.jsonl", 20)
    (tmp_path / "heap/b.pdf").write_bytes(b"%PDF")
    toy.write_task(tmp_path / "rows.csv")
    own = {"task": {"files": str(tmp_path / "rows.csv")}, "corpus": {"files": str(tmp_path / "heap")}}
    project = load(tmp_path, mix={**PLACES, **own})
    with pytest.raises(TlmError, match=r"b\.pdf: cannot be read; a PDF holds"):
        build(project, "mix", tmp_path / "built")
    (tmp_path / "heap/b.pdf").unlink()
    build(project, "mix", tmp_path / "again")
    (tmp_path / "heap/a.jsonl").unlink()
    folders = {"mix-corpus": tmp_path / "again/mix-corpus"}
    with pytest.raises(TlmError, match=r"a\.jsonl: links to .*, which no longer exists"):
        build_corpus("mix", project.data.corpora["mix"], folders, tmp_path / "d", workers=1)


def test_files_of_splits_merged_labels_and_rows_to_skip(tmp_path):
    (tmp_path / "train.tsv").write_text(
        "body\tstars\n" + "".join(f"text {n}\t{n % 5 + 1}\n" for n in range(100)) + "\t3\n"
    )
    (tmp_path / "test.tsv").write_text("body\tstars\nother 1\t1\nother 5\t5\n")
    task = {
        "files": {split: str(tmp_path / f"{split}.tsv") for split in ("train", "test")},
        "text": "body",
        "label": "stars",
        "labels": ["bad", "fair", "good"],
        "label_names": {1: "bad", 2: "bad", 3: "fair", 4: "good", 5: "good"},
        "skip_empty": True,
    }
    toy.write_corpus(tmp_path / "heap.jsonl", 20)
    own = {"task": task, "corpus": {"files": str(tmp_path / "heap.jsonl")}}
    built, _ = build(load(tmp_path, stars={**PLACES, **own}), "stars", tmp_path / "built")
    assert built.parameters["labels"] == ["bad", "fair", "good"]
    assert built.counts["rows"]["test"] == 2 and sum(built.counts["rows"].values()) == 102
    assert built.counts["left_out"] == {"rows without text or label": 1}
    task["skip_empty"] = False
    with pytest.raises(TlmError, match=r"train\.tsv: row 101: empty text in column body"):
        build(load(tmp_path / "strict", stars={**PLACES, **own}), "stars", tmp_path / "strict/built")


def test_page_and_model_are_targets_at_any_scale(tmp_path):
    ask = Workflow(load(tmp_path, {"scale": "medium"}, places={**PLACES, "compare": True}))
    page = ask.page_inputs(SimpleNamespace(task="places"))
    assert len(page["evaluations"]) == 3 * 2 + 2 and page["model"] == "models/places/manifest.json"
    assert ask.export_inputs(SimpleNamespace(model="places"))["task"] == "data/tasks/places/manifest.json"
