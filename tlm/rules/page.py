"""Inputs and parameters of the rule in page.smk: the runs that a task's report compares, and their inputs."""

from __future__ import annotations

from typing import Any

from tlm import layout
from tlm.config.experiments import ExamplesSpec
from tlm.config.task_report import METHODS, RIDGE, Method, MethodSpec, PageSpec
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan import runs, shared_artifacts
from tlm.plan.own_tasks import forecast_file
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun, Run
from tlm.plan.selections import audit_folder
from tlm.plan.task_report import compared_variants
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error

_EXAMPLES = ExamplesSpec(title="What was retrieved", queries=3, passages=2)


class PageRules(RuleFunctions):
    """Reports of tasks."""

    def _report_view(self, task: str) -> Project:
        """The project seen from the scale that runs the task: its own, or the chosen one."""
        if task in self.project.own:
            return self.project.at(task)
        if task not in self.project.scale.tasks:
            known = ", ".join([*self.project.scale.tasks, *self.project.own])
            raise TlmError(
                f"no report of task {task!r}: scale {self.project.settings.scale} has {known}; for the tasks of "
                "another scale add --config scale=<scale>"
            )
        return self.project

    def _tlm(self, task: str) -> EncoderRun:
        """The task's TLM run with the first seed."""
        view = self._report_view(task)
        return runs.resolve_reference(view, task, view.seeds[0])

    def _compared(self, task: str) -> dict[Method, list[Run]]:
        """Method → its runs, one a seed."""
        view = self._report_view(task)
        try:
            variants = compared_variants(view)
        except TlmError as error:
            raise TlmError(f"no report of task {task!r}: {error}") from None
        return {
            method: [runs.resolve(view, task, variant, seed) for seed in view.seeds_of(variant)]
            for method, variant in variants.items()
        }

    @exit_on_user_error
    def page_inputs(self, wildcards: Any) -> dict[str, str | list[str]]:
        """The task, its tokens, retrieval and corpus; evaluations and stages of all methods and seeds."""
        found = self._compared(wildcards.task)
        every = [run for each in found.values() for run in each]
        first = self._tlm(wildcards.task)
        k = shared_artifacts.largest_k(self._report_view(wildcards.task), first.corpus, wildcards.task)
        trained = [run for run in every if isinstance(run, EncoderRun)]
        stages = [run.stage1 for run in trained] + [run.model for run in trained]
        return {
            "task": layout.TASK.manifest.format(task=wildcards.task),
            "tokens": manifest(first.internal_tokens),
            "corpus": layout.CORPUS.manifest.format(corpus=first.corpus),
            "retrieval": layout.RETRIEVAL.manifest.format(corpus=first.corpus, task=wildcards.task, k=k),
            "audit": manifest(audit_folder(wildcards.task, first.passages.folder)),
            "evaluations": [manifest(run.evaluation) for run in every],
            "stages": [manifest(folder) for folder in dict.fromkeys(stages) if folder],
            "model": layout.MODEL.manifest.format(model=wildcards.task),
        }

    def page_benchmarks(self, wildcards: Any, input: Any) -> str:
        """The benchmarks of the steps before training, as STEP=FILE."""
        names = layout.RETRIEVAL.manifest.parse(input.retrieval)
        steps = {"corpus": "corpus", "index": "index", "retrieval": "retrieve"}
        return " ".join(f"{step}={RULES[rule].benchmark.format(**names)}" for step, rule in steps.items())

    def page_forecast(self, wildcards: Any) -> str:
        """For your own task: the option with the forecast of its build."""
        if wildcards.task not in self.project.own:
            return ""
        return f"--forecast {forecast_file(self.project.folder, wildcards.task)}"

    def page_spec(self, wildcards: Any) -> str:
        """The specification for the report's script."""
        found = self._compared(wildcards.task)
        view = self._report_view(wildcards.task)
        own = wildcards.task in self.project.own
        numbers = self.project.data.tasks[wildcards.task].problem == "regression"
        return as_json(
            PageSpec(
                task=wildcards.task,
                scale=view.settings.scale,
                own=own,
                methods=tuple(
                    MethodSpec(
                        name=name,
                        label=RIDGE.get(name, METHODS[name]) if numbers else METHODS[name],
                        variant=each[0].variant,
                        seeds=tuple(run.seed for run in each),
                    )
                    for name, each in found.items()
                ),
                k=self._tlm(wildcards.task).passages.size,
                length=self._tlm(wildcards.task).length,
                examples=_EXAMPLES,
                model=layout.MODEL.format(model=wildcards.task),
            )
        )
