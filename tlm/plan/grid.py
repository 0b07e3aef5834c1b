"""The runs of a grid search over ρ1 and ρ2 for one task, or for all tasks of the scale.

Place in the flow: `tlm.config.grid` → here → `tlm.rules` for workflow/rules/grid.smk. The runs keep everything else of
the task's TLM run: K, steps, batch size and lengths (Section 4.1, Training Details).
"""

from __future__ import annotations

from tlm.config.grid import GridPoint, GridSearch, GridTask
from tlm.errors import TlmError
from tlm.plan import runs
from tlm.plan.project import Project
from tlm.plan.sweeps import grid_variants


def search(project: Project, task: str | None = None) -> GridSearch:
    """The grid of `task`, or of every task of the scale. Raises TlmError listing the tasks if there is no such task."""
    known = project.scale.all_tasks
    if task is not None and task not in known:
        raise TlmError(f"no task {task!r} at scale {project.settings.scale}; there are {', '.join(known)}")
    names = project.scale.tasks if task is None else [task]
    return GridSearch(scale=project.settings.scale, tasks=tuple(_of_task(project, each) for each in names))


def _of_task(project: Project, task: str) -> GridTask:
    seeds = project.seeds[: project.grid.seeds]
    points = []
    for name, variant in grid_variants(project.grid).items():
        found = [runs.resolve_encoder(project, task, name, seed) for seed in seeds]
        folders = tuple(run.model for run in found)
        points.append(GridPoint(**variant.pinned["stage1"], folders=folders))
    return GridTask(task=task, points=tuple(points))
