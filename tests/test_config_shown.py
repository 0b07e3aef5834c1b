"""Which runs and cells a figure shows at a scale."""

import pytest
import yaml
from conftest import ROOT

from tlm.config import shown
from tlm.config.figures import HeadsFigure, PerformanceFigure
from tlm.config.project import load_project
from tlm.errors import TlmError

SETTINGS = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SCALES = sorted(path.stem for path in (ROOT / "config/scales").glob("*.yaml"))


def project(scale, **experiments):
    found = load_project({**SETTINGS, "scale": scale}, ROOT / "config")
    if not experiments:
        return found
    return found.model_copy(update={"experiments": found.experiments.model_copy(update=experiments)})


@pytest.mark.parametrize("scale", SCALES)
def test_every_shipped_figure_resolves_at_every_scale(scale):
    found = project(scale)
    shown.check_figures(found)
    for name in found.experiments.figures:
        resolved = shown.drawing(found, name)
        if isinstance(resolved.figure, HeadsFigure):
            assert resolved.task in found.scale.tasks
            folders = shown.heads_folders(found, name)
            assert len(folders) == len(resolved.models) and all("/attention" in each for each in folders)
        if isinstance(resolved.figure, PerformanceFigure):
            assert len(shown.performance_cells(found, name)) == 2 * len(resolved.rows)
    count = len(found.scale.tasks) * len(shown.models(found)) * len(found.seeds)
    assert len(set(shown.compared_folders(found))) == count


@pytest.mark.parametrize(
    ("scale", "task", "models"),
    [
        ("smoke", "toy", ["tlm", "plm"]),
        ("demo", "pubmed-rct", ["tlm", "plm"]),
        ("medium", "chemprot", ["tlm", "bert-base", "roberta-base"]),  # Figure 3 of the paper
    ],
)
def test_figure3_shows_the_papers_task_and_models_or_the_nearest(scale, task, models):
    resolved = shown.drawing(project(scale), "figure3")
    assert resolved.task == task and [model.variant for model in resolved.models] == models


def test_the_sentences_are_the_papers():
    assert list(project("smoke").experiments.attention.examples) == ["chemprot", "rct", "scierc"]
    assert [project("medium").figure(name).tasks[0] for name in ("figure3", "figureC.1", "figureC.2")] == [
        "chemprot",
        "rct",
        "scierc",
    ]


def test_mistakes_are_told():
    found = project("smoke")
    figure = found.figure("figure3")
    with pytest.raises(TlmError, match="no 'nothing' in attention"):
        figures = {"figure3": figure.model_copy(update={"example": "nothing"})}
        shown.check_figures(project("smoke", figures=figures))
    with pytest.raises(TlmError, match="trains no encoder"):
        attention = found.experiments.attention.model_copy(update={"variants": ("tfidf",)})
        shown.check_figures(project("smoke", attention=attention))
    with pytest.raises(TlmError, match="'table2' is a figure's name"):
        shown.check_figures(project("smoke", figures={"table2": figure}))
    with pytest.raises(TlmError, match="no figure 'figure9'"):
        found.figure("figure9")
