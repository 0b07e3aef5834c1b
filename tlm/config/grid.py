"""The grid search over ρ1 and ρ2 as data: its values, and its points for one scale (Section 4.1, Appendix B).

Place in the flow: `grid:` of config/experiments.yaml or of a scale → `tlm.plan.grid` → `tlm.results.grid`, which writes
results/grid.csv and results/grid/<task>.csv.
"""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from tlm.config.base import Strict

GRID = "grid"
"""results/grid.csv: no other table may have this name."""


class GridSpec(Strict):
    """The values of a grid search; every pair of them is a run of stages 1 and 2."""

    rho1: list[PositiveInt] = Field([1, 3, 7, 19, 99, 499, 999, 1999], min_length=1)
    """By default the paper's values."""
    rho2: list[NonNegativeInt] = Field([20, 100, 1000], min_length=1)
    """By default the paper's values."""
    seeds: PositiveInt = 1
    """The number of seeds of each pair, from the first on. The paper does not say how many it used."""


class GridPoint(Strict):
    """One pair of values, with the stage-2 artifacts of its runs, one a seed."""

    rho1: int
    rho2: int
    folders: tuple[str, ...] = Field(min_length=1)


class GridTask(Strict):
    """The grid of one task, in the order of the values."""

    task: str
    points: tuple[GridPoint, ...] = Field(min_length=1)


class GridSearch(Strict):
    """The input of the script that writes results/grid.csv."""

    scale: str
    tasks: tuple[GridTask, ...] = Field(min_length=1)
