"""The grid search over ρ1 and ρ2: its runs at every scale, and its result."""

import csv
import io

import pytest
from conftest import ROOT
from projects import CONFIG, project

from tlm.artifacts import write_json, write_manifest
from tlm.config.grid import GridPoint, GridSearch, GridTask
from tlm.config.reported import load_reported
from tlm.errors import TlmError
from tlm.plan import grid, runs
from tlm.results.grid import assemble

REPORTED = load_reported(ROOT / "config/reported.yaml")
SCALES = sorted(path.stem for path in (CONFIG / "scales").glob("*.yaml"))


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
def test_the_papers_scales_search_the_papers_values(scale):
    """Appendix B: ρ1 ∈ {1, 3, 7, 19, 99, 499, 999, 1999} and ρ2 ∈ {20, 100, 1000}, all else fixed (Section 4.1)."""
    view = project(scale=scale)
    search = grid.search(view)
    assert [task.task for task in search.tasks] == view.scale.tasks
    values = [(rho1, rho2) for rho1 in (1, 3, 7, 19, 99, 499, 999, 1999) for rho2 in (20, 100, 1000)]
    for task in search.tasks:
        assert [(point.rho1, point.rho2) for point in task.points] == values
        column = REPORTED.hyperparameters[scale][task.task]
        assert (column.rho1, column.rho2) in values
        # The run of Table B.1 is a point of its own grid, and is built once.
        own = next(point for point in task.points if (point.rho1, point.rho2) == (column.rho1, column.rho2))
        reference = runs.resolve_reference(view, task.task, view.seeds[0])
        assert own.folders == (reference.stage2,)
        far = runs.resolve_encoder(view, task.task, "rho1-7-rho2-1000", 1).spec
        assert far.model_copy(update={"stage1": reference.spec.stage1}) == reference.spec
        changed = far.stage1.model_copy(update={"rho1": column.rho1, "rho2": column.rho2})
        assert changed == reference.spec.stage1


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_has_a_grid_and_no_table_trains_it(scale):
    view = project(scale=scale)
    points = [point for task in grid.search(view).tasks for point in task.points]
    assert all(len(point.folders) == view.grid.seeds for point in points)
    assert not [name for name in view.variants if name.startswith("rho1-") and "-rho2-" in name]


def test_one_task_is_searched_alone_and_an_unknown_one_raises():
    view = project(scale="small")
    assert [task.task for task in grid.search(view, "cola").tasks] == ["cola"]
    with pytest.raises(TlmError, match="no task 'cloa' at scale small; there are agnews"):
        grid.search(view, "cloa")


def scored(tmp_path, scores):
    """The grid of ChemProt with stage-2 artifacts of these dev scores: (ρ1, ρ2) → one score a seed."""
    points = []
    for (rho1, rho2), values in scores.items():
        folders = []
        for seed, value in enumerate(values):
            folder = tmp_path / f"{rho1}-{rho2}-{seed}"
            folder.mkdir()
            write_json(folder / "record.json", {"metric": "micro_f1", "best": {"dev_primary": value}})
            write_manifest(folder, "stage2", counts={}, parameters={})
            folders.append(str(folder))
        points.append(GridPoint(rho1=rho1, rho2=rho2, folders=tuple(folders)))
    return GridSearch(scale="small", tasks=(GridTask(task="chemprot", points=tuple(points)),))


def test_the_highest_dev_score_is_chosen_and_the_papers_choice_is_marked(tmp_path):
    scores = {(99, 20): (0.8, 0.9), (99, 100): (0.8, 0.8), (999, 20): (0.82, 0.84), (999, 100): (0.85, 0.85)}
    rendered = assemble(scored(tmp_path, scores), REPORTED)
    rows = list(csv.DictReader(io.StringIO(rendered.csv)))
    assert [row["chosen"] for row in rows] == ["yes", "", "", ""]  # 85.00 twice: the first
    assert [row["table_b1"] for row in rows] == ["", "", "yes", ""]
    assert (
        rows[2]["dev"] == "83.0000" and rows[2]["by_seed"] == "82.0000 84.0000" and rows[3]["sd"] == "0.0000"
    )
    assert "| ρ1 = 99 | **85.00** | 80.00 |" in rendered.markdown
    assert "| ρ1 = 999 | 83.00† | 85.00 |" in rendered.markdown
    assert "Table B.1 (reported): ρ1 = 999, ρ2 = 20." in rendered.markdown


def test_a_missing_model_raises(tmp_path):
    search = scored(tmp_path, {(1, 20): (0.5,)})
    (tmp_path / "1-20-0/manifest.json").unlink()
    with pytest.raises(TlmError):
        assemble(search, REPORTED)
