"""Inputs and parameters of the rules in figures.smk."""

from __future__ import annotations

import re
from typing import Any

from tlm.layout import manifest
from tlm.plan import figures
from tlm.rules.base import as_json, manifests
from tlm.rules.training import TrainingRules


class FigureRules(TrainingRules):
    """Attention heads and figures."""

    def attention_inputs(self, wildcards: Any) -> dict[str, str]:
        """The evaluated model, whose attention heads are read."""
        run = self.encoder_run(wildcards)
        return manifests({"stage2": run.stage2} if run.stage2 else {"stage1": run.stage1})

    @property
    def attention_spec(self) -> str:
        """The specification of the measurements of heads."""
        return as_json(self.project.experiments.attention.heads)

    @property
    def attention_table_spec(self) -> str:
        """The specification for the script of results/attention.csv."""
        return as_json(figures.attention_table(self.project))

    def attention_table_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """The heads of every task, model and seed."""
        return self.with_parent_folders(list(map(manifest, figures.compared_folders(self.project))))

    @property
    def figure_names(self) -> str:
        """A regular expression of the declared figures."""
        return "|".join(map(re.escape, self.project.experiments.figures)) or "(?!)"

    def figure_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """The files that a figure is drawn from: cells, attention and other artifacts, or the rule files."""
        files = figures.inputs(self.project, wildcards.figure)
        kind = figures.KINDS[self.project.figure(wildcards.figure).kind]
        return self.with_parent_folders(files) if kind.built else {"made_from": files}

    def figure_spec(self, wildcards: Any) -> str:
        """The specification for the script of a figure."""
        return as_json(figures.drawing(self.project, wildcards.figure))
