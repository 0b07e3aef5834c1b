"""Inputs and parameters of the rules in tables.smk, described.smk and examples.smk."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from tlm import layout
from tlm.config.experiments import CellSpec
from tlm.config.reported import Reported, load_reported
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan import hyperparameters, runs, shared_artifacts, tables
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error, manifests


class TableRules(RuleFunctions):
    """Cells and tables: of runs, of the configuration (A.1, B.1) and of texts (9)."""

    @cached_property
    def cells(self) -> dict[tuple[str, str, str], CellSpec]:
        """(table, row, column) → cell; made once, since the rule of every cell reads it."""
        return tables.cells(self.project)

    def cell(self, wildcards: Any) -> CellSpec:
        """The cell of the given table, row and column. Raises TlmError listing the existing cells."""
        tables.table(self.project, wildcards.table)
        key = (wildcards.table, wildcards.row, wildcards.column)
        if key not in self.cells:
            known = ", ".join("/".join(each[1:]) for each in self.cells if each[0] == wildcards.table)
            raise TlmError(f"no cell {'/'.join(key)}; {wildcards.table} has: {known or 'none'}")
        return self.cells[key]

    @exit_on_user_error
    def cell_runs(self, wildcards: Any) -> list[str]:
        """The evaluations that a cell is made from: its column's tasks, its row's seeds."""
        return list(map(manifest, tables.run_folders(self.cell(wildcards))))

    def cell_spec(self, wildcards: Any) -> str:
        """The specification for a cell's script."""
        return as_json(self.cell(wildcards))

    @property
    def tables(self) -> list[str]:
        """The tables that the scale can build."""
        return tables.available(self.project)

    @exit_on_user_error
    def table_cells(self, wildcards: Any) -> dict[str, list[str]]:
        """The cells of a table and their folders. Raises TlmError if the scale cannot build it."""
        tables.table(self.project, wildcards.table)
        keys = [key for key in self.cells if key[0] == wildcards.table]
        cells = [layout.CELL.format(table=table, row=row, column=column) for table, row, column in keys]
        return self.with_parent_folders(cells, "cells")

    @cached_property
    def _reported(self) -> Reported:
        return load_reported(self.project.folder / "reported.yaml")

    @cached_property
    def _scales(self) -> list[str]:
        """Every scale of config/scales/, the paper's first."""
        paper = list(self._reported.hyperparameters)
        return sorted(
            self.project.scales, key=lambda name: [*paper, *sorted(self.project.scales)].index(name)
        )

    def setting(self, wildcards: Any) -> str:
        """The specification of a cell of Table A.1 or B.1. Raises TlmError listing the scales."""
        view = self.project.at(wildcards.row)
        return as_json(hyperparameters.scale_settings(view, wildcards.described, self._reported))

    def setting_cells(self, wildcards: Any) -> dict[str, list[str]]:
        """The cells of Table A.1 or B.1, in the order of its rows, and their folders."""
        described = wildcards.described
        cells = [layout.SETTING_CELL.format(described=described, row=name) for name in self._scales]
        return self.with_parent_folders(cells, "cells")

    @property
    def example_names(self) -> str:
        """A regular expression of the tables of texts."""
        return "|".join(map(re.escape, self.project.experiments.examples)) or "(?!)"

    @property
    def _example_tasks(self) -> list[str]:
        return self.project.scale.tasks

    @exit_on_user_error
    def examples_inputs(self, wildcards: Any) -> dict[str, str]:
        """A task, its retrieval and the corpus that was searched."""
        if wildcards.task not in self._example_tasks:
            raise TlmError(
                f"no examples of task {wildcards.task!r}; there are those of {', '.join(self._example_tasks)}"
            )
        corpus = runs.corpus_of(self.project, self.project.variant(self.project.reference), wildcards.task)
        k = shared_artifacts.largest_k(self.project, corpus, wildcards.task)
        folders: dict[str, str | None] = {
            "task": layout.TASK.format(task=wildcards.task),
            "retrieval": layout.RETRIEVAL.format(corpus=corpus, task=wildcards.task, k=k),
            "corpus": layout.CORPUS.format(corpus=corpus),
        }
        return manifests(folders)

    def examples_spec(self, wildcards: Any) -> str:
        """The specification for the scripts of a table of texts."""
        return as_json(self.project.experiments.examples[wildcards.examples])

    def examples_cells(self, wildcards: Any) -> dict[str, list[str]]:
        """The cells of a table of texts, one a task, and their folders."""
        examples, tasks = wildcards.examples, self._example_tasks
        cells = [layout.EXAMPLES_CELL.format(examples=examples, task=task) for task in tasks]
        return self.with_parent_folders(cells, "cells")

    def table_spec(self, wildcards: Any) -> str:
        """The specification for a table's script."""
        return as_json(tables.table(self.project, wildcards.table))
