"""Inputs and parameters of the rule in grid.smk."""

from __future__ import annotations

from typing import Any

from tlm.config.grid import GridSearch
from tlm.layout import manifest
from tlm.plan import grid
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error


class GridRules(RuleFunctions):
    """The grid search over ρ1 and ρ2."""

    def _grid(self, wildcards: Any) -> GridSearch:
        """The grid of all tasks, or of the task that the wildcard names (`/chemprot`)."""
        return grid.search(self.project, wildcards.one.removeprefix("/") or None)

    @exit_on_user_error
    def grid_inputs(self, wildcards: Any) -> list[str]:
        """The stage-2 models of all points. Raises TlmError for an unknown task."""
        points = [point for task in self._grid(wildcards).tasks for point in task.points]
        return list(dict.fromkeys(manifest(folder) for point in points for folder in point.folders))

    def grid_spec(self, wildcards: Any) -> str:
        """The specification for the script of the grid."""
        return as_json(self._grid(wildcards))
