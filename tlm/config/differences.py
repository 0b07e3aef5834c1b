"""Specification of the comparison of a table's rows, item by item.

Place in the flow: made by `tlm.plan.differences`; read by `tlm.results.differences` and by figures of sensitivity.
"""

from __future__ import annotations

from tlm.config.base import Strict
from tlm.config.experiments import Column, RowRuns


class ComparedRow(RowRuns):
    """A row of a table."""

    id: str
    label: str
    tlm_tasks: tuple[str, ...] = ()
    """The tasks on which the row is the scale's TLM run, also if the table gives it another name."""
    is_linear: bool = False
    """Whether the row is a linear model on n-grams: a simple rival of the others."""

    @property
    def is_tlm(self) -> bool:
        """Whether the row is the scale's TLM run on every task."""
        return set(self.tlm_tasks) == set(self.variants)


class Differences(Strict):
    """The specification of results/differences/<table>.csv."""

    table: str
    title: str
    scale: str
    rows: tuple[ComparedRow, ...]
    columns: tuple[Column, ...]
    """Those of scores, and their averages."""
