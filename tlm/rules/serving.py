"""Inputs and options of the rules in serving.smk: the runs behind each model of `models/`."""

from __future__ import annotations

from typing import Any

from tlm import layout
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan import runs
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun, Run
from tlm.plan.task_report import linear_variants
from tlm.rules.base import RuleFunctions, exit_on_user_error


class ServingRules(RuleFunctions):
    """Finished models."""

    def _finished(self, name: str) -> list[EncoderRun]:
        """The TLM runs of a task, one a seed; the runs of your own task belong to the scale of its name."""
        view = self.project.at(name) if name in self.project.own else self.project
        if name not in view.scale.tasks:
            raise TlmError(f"no model {name!r}: {_there(view)}")
        return [runs.resolve_reference(view, name, seed) for seed in view.seeds]

    def _linear(self, name: str) -> list[Run]:
        """The linear models that the exported encoder is compared and blended with."""
        view = self.project.at(name) if name in self.project.own else self.project
        return [runs.resolve(view, name, variant, view.seeds[0]) for variant in linear_variants(view)]

    @exit_on_user_error
    def export_inputs(self, wildcards: Any) -> dict[str, Any]:
        """The task, every seed's model and evaluation, and the external data that the models have read."""
        found = self._finished(wildcards.model)
        selection = found[0].selection
        inputs: dict[str, Any] = {
            "task": layout.TASK.manifest.format(task=found[0].task),
            "stages": [manifest(run.model) for run in found],
            "evaluations": [manifest(run.evaluation) for run in found],
            "linear": [manifest(run.evaluation) for run in self._linear(wildcards.model)],
        }
        if selection is not None:
            inputs["selection"] = manifest(selection.folder)
            if not selection.given:
                inputs["corpus"] = layout.CORPUS.manifest.format(corpus=selection.corpus)
        return inputs


def _there(view: Project) -> str:
    known = [*view.scale.tasks, *view.own]
    return (
        f"scale {view.settings.scale} has the tasks {', '.join(known)}; for others add --config scale=<scale>"
    )
