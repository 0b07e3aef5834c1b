"""The results that `snakemake --report` shows, their labels and categories, and its first page.

Place in the flow: the Snakefile's final targets and the report flags of the rules. Snakemake shows the flagged results
of its targets. If a build is incomplete, only the built results are passed as targets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from tlm import layout
from tlm.config.hyperparameters import TITLES
from tlm.results.overview import overview
from tlm.rules.base import RuleFunctions
from tlm.snakemake_adapter import makes_report

PAPER = {"table": "Tables of the paper", "figure": "Figures of the paper"}
BEYOND = "Beyond the paper"


def called(name: str, title: str) -> str:
    """`table2`, `Main results` → `Table 2: Main results`; a name of our own adds nothing to its title."""
    found = re.fullmatch(r"(table|figure)([A-Z]?\.?\d+)", name)
    return f"{found[1].capitalize()} {found[2]}: {title}" if found else title


class ReportRules(RuleFunctions):
    """Targets, labels and texts of the report."""

    @cached_property
    def reporting(self) -> bool:
        """Whether this call of Snakemake makes a report of what is built."""
        return makes_report()

    def finals(self, *targets: list[str]) -> list[str]:
        """The final targets; for a report only those that are built. Ends the program if none is built."""
        wanted = [target for some in targets for target in some]
        if not self.reporting:
            return wanted
        built = [target for target in wanted if Path(target).is_file()]
        if not built:
            print(
                "error: no result is built, so the report would be empty; build one first: "
                "snakemake results/table2.csv",
                file=sys.stderr,
            )
            sys.exit(2)
        return built

    @property
    def pages(self) -> list[str]:
        """Reports of all tasks, your own included. The report shows them; a build does not make them."""
        tasks = [*self.project.scale.tasks, *self.project.own] if self.reporting else []
        return [layout.TASK_REPORT.file("html").format(task=task) for task in tasks]

    @property
    def overview(self) -> dict[str, Any]:
        """The values that workflow/report/workflow.rst shows."""
        return overview(self.project)

    def category(self, wildcards: Any) -> str:
        """The category of a table or figure: the paper's or beyond the paper."""
        name = wildcards.get("table") or wildcards.figure
        kind = re.fullmatch(r"(table|figure)[A-Z]?\.?\d+", name)
        return PAPER[kind[1]] if kind else BEYOND

    def labels(self, wildcards: Any) -> dict[str, str]:
        """The label of a table, a figure, or the report of a task."""
        ((kind, name),) = wildcards.items()
        if kind == "task":
            return {"result": name}
        titles: dict[str, Callable[[], str]] = {
            "table": lambda: self.project.table(name).title,
            "figure": lambda: self.project.figure(name).title,
            "examples": lambda: self.project.experiments.examples[name].title,
            "described": lambda: TITLES[name],
        }
        return {"result": called(name, titles[kind]())}

    def figure_kind(self, wildcards: Any) -> str:
        """The figure's kind, which decides its caption."""
        return self.project.figure(wildcards.figure).kind
