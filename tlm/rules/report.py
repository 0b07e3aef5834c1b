"""What `snakemake --report` asks: which results it shows, what they are called, and what its first page says.

Place in the flow: the Snakefile's final targets and the report flags of the rules. Snakemake shows the flagged results
of the targets that it is given; of a build that is not complete, we give it what is there.
"""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from tlm import layout
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
    """Targets, names and words of the report."""

    @cached_property
    def reporting(self) -> bool:
        """Whether this call of Snakemake makes a report of what is built."""
        return makes_report()

    def finals(self, *targets: list[str]) -> list[str]:
        """The final targets; for a report those of them that are built. Ends the program if there is none."""
        wanted = [target for some in targets for target in some]
        if not self.reporting:
            return wanted
        built = [target for target in wanted if Path(target).is_file()]
        if not built:
            print(
                "error: nothing is built that a report could show; build some first: "
                "snakemake results/table2.csv",
                file=sys.stderr,
            )
            sys.exit(2)
        return built

    @property
    def pages(self) -> list[str]:
        """Reports of tasks, one's own included: in a report if they are built, and no final targets of a build."""
        tasks = [*self.project.scale.tasks, *self.project.own] if self.reporting else []
        return [layout.TASK_REPORT.file("html").format(task=task) for task in tasks]

    def page_labels(self, wildcards: Any) -> dict[str, str]:
        """What the report of a task is called."""
        return {"result": wildcards.task}

    @property
    def overview(self) -> dict[str, Any]:
        """What workflow/report/workflow.rst shows."""
        return overview(self.project)

    def _category(self, name: str) -> str:
        kind = re.fullmatch(r"(table|figure)[A-Z]?\.?\d+", name)
        return PAPER[kind[1]] if kind else BEYOND

    def table_category(self, wildcards: Any) -> str:
        """Of the paper's tables, or ours."""
        return self._category(wildcards.table)

    def figure_category(self, wildcards: Any) -> str:
        """Of the paper's figures, or ours."""
        return self._category(wildcards.figure)

    def table_labels(self, wildcards: Any) -> dict[str, str]:
        """What a table is called."""
        return {"result": called(wildcards.table, self.project.table(wildcards.table).title)}

    def examples_labels(self, wildcards: Any) -> dict[str, str]:
        """What a table of texts is called."""
        title = self.project.experiments.examples[wildcards.examples].title
        return {"result": called(wildcards.examples, title)}

    def described_labels(self, wildcards: Any) -> dict[str, str]:
        """What Table A.1 or B.1 is called."""
        stage = {"tableA.1": "finetuning (stage 2)", "tableB.1": "stage 1"}[wildcards.described]
        return {"result": called(wildcards.described, f"Hyper-parameters of {stage}")}

    def figure_labels(self, wildcards: Any) -> dict[str, str]:
        """What a figure is called."""
        return {"result": called(wildcards.figure, self.project.figure(wildcards.figure).title)}

    def figure_kind(self, wildcards: Any) -> str:
        """The figure's kind, by which its caption is chosen."""
        return self.project.figure(wildcards.figure).kind
