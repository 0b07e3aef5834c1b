"""Inputs and parameters of the rules in data.smk, retrieve.smk and elasticsearch.smk."""

from __future__ import annotations

from typing import Any

from tlm import layout
from tlm.artifacts import canonical_json
from tlm.config.elasticsearch import SETTINGS
from tlm.layout import manifest
from tlm.plan import contamination, runs, shared_artifacts
from tlm.plan.selections import Selection
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error, manifests


class DataRules(RuleFunctions):
    """Sources, tasks, corpora, indexes, retrievals and selections; and the environment of all commands."""

    @exit_on_user_error
    def corpus_inputs(self, wildcards: Any) -> list[str]:
        """The sources of a corpus, or the corpus that it is a sample of."""
        spec = self.project.corpus(wildcards.corpus)
        if spec.sample is not None:
            return [layout.CORPUS.manifest.format(corpus=spec.sample.of)]
        return [layout.SOURCE.manifest.format(source=source) for source in spec.sources]

    @exit_on_user_error
    def task_source(self, wildcards: Any) -> str:
        """The source of a task."""
        return layout.SOURCE.manifest.format(source=self.project.task(wildcards.task).source)

    def retrieval_spec(self, wildcards: Any) -> str:
        """The specification of a retrieval."""
        return as_json(runs.retrieval_spec(self.project, wildcards.task, int(wildcards.k)))

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the rules' commands. A changed value reruns no rule, so they are not parameters.

        They hold the launcher of training scripts, the options for trackers, and the address of a server.
        """
        settings = self.project.settings
        trackers = " ".join(f"--tracker {name}" for name in settings.trackers)
        found = {"TLM_LAUNCH": settings.launch, "TLM_TRACKERS": trackers}
        if settings.retrieval.backend == "elasticsearch":
            found[SETTINGS] = as_json(settings.retrieval.elasticsearch)
        return found

    @property
    def backend_flags(self) -> str:
        """The options that change an index on a server; empty for the embedded engine."""
        settings = self.project.settings.retrieval
        if settings.backend == "embedded":
            return ""
        return f"--elasticsearch '{canonical_json(settings.elasticsearch.model_dump(include={'prefix', 'shards'}))}'"

    def served(self, job: str) -> list[str]:
        """The state file of a job's server, if the configuration has a command that starts one."""
        settings = self.project.settings.retrieval
        started = settings.backend == "elasticsearch" and settings.elasticsearch.start
        return [layout.SERVER.format(job=job)] if started else []

    def beside_server(self, cores: int) -> int:
        """Threads of a job: `cores`, or 0 if a server starts with the job and takes all cores."""
        return 0 if self.served("") else cores

    def gathered(self, shares: list[str]) -> list[str]:
        """The shares that a merging job waits for; none if it does all the work itself."""
        return shares if self.project.settings.retrieval.shares > 1 else []

    def share(self, wildcards: Any) -> str:
        """Snakemake's `1-of-4` in the scripts' notation, `0/4`."""
        number, of = wildcards.scatteritem.split("-of-")
        return f"{int(number) - 1}/{of}"

    def selection(self, wildcards: Any) -> Selection:
        """The selection, from the name of its folder."""
        return Selection.from_name(wildcards.selection, wildcards.corpus, wildcards.task)

    def selection_spec(self, wildcards: Any) -> str:
        """The settings of its selector."""
        selection = self.selection(wildcards)
        given = self.project.given(selection.corpus) if selection.given else None
        return as_json(selection.spec(self.project.settings.selection_seed, given))

    def _made_from(self, wildcards: Any) -> dict[str, str | None]:
        selection = self.selection(wildcards)
        reads = "retrieval" in selection.inputs
        largest = shared_artifacts.largest_k(self.project, selection.corpus, selection.owner) if reads else 0
        if selection.given:
            return dict(selection.made_from(largest, self.project.given(selection.corpus).source))
        return {"corpus": layout.CORPUS.format(corpus=selection.corpus), **selection.made_from(largest)}

    @exit_on_user_error
    def selection_inputs(self, wildcards: Any) -> dict[str, str | list[str]]:
        """The corpus and the selector's inputs, or the source of files; the audits of the excluded passages."""
        audits = self.selection(wildcards).audits(contamination.audited_tasks(self.project))
        without = {"without": list(map(manifest, audits))} if audits else {}
        return {**manifests(self._made_from(wildcards)), **without}
