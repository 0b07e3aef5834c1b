"""Which runs and cells a figure shows at a scale."""

import re

import pytest
from conftest import ROOT
from projects import project, project_with_experiments

from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan import figures, measured_figures
from tlm.results.figures.draw import DRAW

SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))


@pytest.mark.parametrize("scale", SCALES)
def test_every_shipped_figure_resolves_at_every_scale(scale):
    found = project(scale=scale)
    figures.check_figures(found)
    for name in found.experiments.figures:
        resolved, inputs = figures.drawing(found, name).figure, figures.inputs(found, name)
        if resolved.kind == "heads":
            assert resolved.task in found.scale.tasks
            assert len(inputs) == len(resolved.models) and all("/attention/" in each for each in inputs)
        if resolved.kind in measured_figures.KINDS:
            assert {run.task for run in resolved.runs} == set(found.scale.tasks)
            assert all(path.endswith("/manifest.json") for path in inputs)
        if resolved.kind == "performance":
            assert len(inputs) == 2 * len(resolved.rows)
    count = len(found.scale.tasks) * len(figures.models(found)) * len(found.seeds)
    assert len(set(figures.compared_folders(found))) == count


@pytest.mark.parametrize(
    ("scale", "task", "models"),
    [
        ("smoke", "toy", ["tlm", "plm"]),
        ("demo", "pubmed-rct", ["tlm", "plm"]),
        ("medium", "chemprot", ["tlm", "bert-base", "roberta-base"]),  # Figure 3 of the paper
    ],
)
def test_figure3_shows_the_papers_task_and_models_or_the_nearest(scale, task, models):
    resolved = figures.drawing(project(scale=scale), "figure3").figure
    assert resolved.task == task and [model.variant for model in resolved.models] == models


def test_the_sentences_are_the_papers():
    assert list(project(scale="smoke").experiments.attention.examples) == ["chemprot", "rct", "scierc"]
    assert [
        project(scale="medium").figure(name).tasks[0] for name in ("figure3", "figureC.1", "figureC.2")
    ] == [
        "chemprot",
        "rct",
        "scierc",
    ]


def labels(resolved, task):
    return list(dict.fromkeys(part.label for part in resolved.figure.runs if part.task == task))


def test_measurements_set_the_scales_rival_beside_ours():
    demo, medium = project(scale="demo"), project(scale="medium")
    assert labels(figures.drawing(demo, "learning"), "bbc-news") == ["BM25 (TLM)", "random", "DSIR", "PLM"]
    # Another tokenizer's loss is no measure beside ours.
    assert labels(figures.drawing(medium, "learning"), "chemprot") == ["BM25 (TLM)", "random", "DSIR"]
    assert labels(figures.drawing(medium, "calibration"), "chemprot") == ["TLM", "RoBERTa-Base", "TF-IDF"]
    seeds = [part.seed for part in figures.drawing(demo, "costs").figure.runs if part.task == "bbc-news"]
    assert seeds == [1, 2, 1, 2, 1]  # TF-IDF draws nothing at random
    assert len(figures.drawing(demo, "selection").figure.runs) == 3 * 3


def test_the_costs_of_a_run_are_those_of_the_jobs_behind_its_evaluation():
    runs = figures.drawing(project(scale="demo"), "costs").figure.runs
    shown = {rule for run in runs for rule in run.folders}
    data = {
        "task",
        "corpus",
        "tokenizer",
        "index",
        "retrieve",
        "selection",
        "internal_tokens",
        "external_tokens",
    }
    assert shown == {*data, "stage1", "stage2", "evaluate", "linear"}
    for run in runs:
        for rule, folder in run.folders.items():
            assert RULES[rule].output.match(manifest(folder))


def test_every_kind_of_figure_is_declared_resolved_drawn_and_captioned():
    declared = {figure.kind for figure in project(scale="smoke").experiments.figures.values()}
    captions = set(re.findall(r'kind == "(\w+)"', (ROOT / "workflow/report/figure.rst").read_text()))
    assert declared == set(figures.KINDS) == set(DRAW) == captions


def test_invalid_figures_raise():
    found = project(scale="smoke")
    learning = found.figure("learning")
    with pytest.raises(TlmError, match=r"figures\.learning: 'tfidf' trains no encoder"):
        wrong = learning.model_copy(update={"variants": {"tfidf": "TF-IDF"}})
        figures.check_figures(project_with_experiments("smoke", figures={"learning": wrong}))
    with pytest.raises(TlmError, match="no variant 'nothing'"):
        wrong = learning.model_copy(update={"variants": {"nothing": "?"}})
        figures.check_figures(project_with_experiments("smoke", figures={"learning": wrong}))
    figure = found.figure("figure3")
    with pytest.raises(TlmError, match="no 'nothing' in attention"):
        changed = {"figure3": figure.model_copy(update={"example": "nothing"})}
        figures.check_figures(project_with_experiments("smoke", figures=changed))
    with pytest.raises(TlmError, match="trains no encoder"):
        attention = found.experiments.attention.model_copy(update={"variants": ("tfidf",)})
        figures.check_figures(project_with_experiments("smoke", attention=attention))
    with pytest.raises(TlmError, match="'table2' is the name of a figure and of a table"):
        figures.check_figures(project_with_experiments("smoke", figures={"table2": figure}))
    with pytest.raises(TlmError, match="no figure 'figure9'"):
        found.figure("figure9")
