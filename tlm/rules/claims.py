"""Inputs and parameters of the rules in claims.smk."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from tlm import layout
from tlm.config.claims import Ledger
from tlm.config.differences import Differences
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan import claims, differences, tables
from tlm.rules.base import as_json, exit_on_user_error
from tlm.rules.tables import TableRules


class ClaimRules(TableRules):
    """The ledger of claims, and the differences between the rows of a table."""

    @cached_property
    def _ledger(self) -> Ledger:
        return claims.ledger(self.project, self.cells)

    def _claims(self, wildcards: Any) -> Ledger:
        """The whole ledger, or the claim that the wildcard names (`/bm25-random`). Raises TlmError if it is unknown."""
        if not wildcards.one:
            return self._ledger
        name = wildcards.one.removeprefix("/")
        found = tuple(claim for claim in self._ledger.claims if claim.id == name)
        if not found:
            known = ", ".join(claim.id for claim in self._ledger.claims)
            raise TlmError(f"no claim {name!r} in config/experiments.yaml: claims; there are {known}")
        return self._ledger.model_copy(update={"claims": found})

    @exit_on_user_error
    def claims_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """Evaluations and attention artifacts, and the tasks and corpora whose sizes a claim compares."""
        chosen = self._claims(wildcards).claims
        folders = dict.fromkeys(folder for claim in chosen for folder in claims.run_folders(claim))
        sized = dict.fromkeys(task for claim in chosen if claim.resources for task in claim.tasks)
        corpora = dict.fromkeys(name for claim in chosen for name in claim.corpora or ())
        return {
            "made_from": list(map(manifest, folders)),
            "tasks": [layout.TASK.manifest.format(task=task) for task in sized],
            "corpora": [layout.CORPUS.manifest.format(corpus=name) for name in corpora],
        }

    def claims_spec(self, wildcards: Any) -> str:
        """The specification for the script of the ledger."""
        return as_json(self._claims(wildcards))

    def _differences(self, wildcards: Any) -> Differences:
        return differences.differences(self.project, self.cells, wildcards.table)

    @exit_on_user_error
    def differences_runs(self, wildcards: Any) -> list[str]:
        """The evaluations of a table. Raises TlmError if the scale cannot build it."""
        rows = self._differences(wildcards).rows
        folders = dict.fromkeys(folder for row in rows for folder in tables.run_folders(row))
        return list(map(manifest, folders))

    def differences_spec(self, wildcards: Any) -> str:
        """The specification for the script of a table's differences."""
        return as_json(self._differences(wildcards))

    @property
    def compared_tables(self) -> list[str]:
        """The tables of scores that the scale can build."""
        return differences.compared_tables(self.project)
