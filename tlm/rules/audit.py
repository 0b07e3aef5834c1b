"""Inputs and parameters of the rules in audit.smk."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from tlm import layout
from tlm.config.experiments import ContaminationTable
from tlm.layout import manifest
from tlm.plan import contamination
from tlm.rules.base import RuleFunctions, as_json


class AuditRules(RuleFunctions):
    """Audits of dev and test texts, and the table of their counts."""

    def audit_inputs(self, wildcards: Any) -> dict[str, str]:
        """A task, and the training split, corpus or selection that is searched for its dev and test texts."""
        return {
            "task": layout.TASK.manifest.format(task=wildcards.task),
            "body": layout.AUDITED.manifest.format(body=wildcards.body),
        }

    @cached_property
    def contamination(self) -> ContaminationTable:
        """The audits that results/contamination.csv shows."""
        return contamination.contamination(self.project)

    @property
    def contamination_spec(self) -> str:
        """The specification for the script of the contamination table."""
        return as_json(self.contamination)

    @property
    def contamination_inputs(self) -> list[str]:
        """The manifests of these audits."""
        return [manifest(entry.folder) for entry in self.contamination.audits]
