"""What the rules of data.smk, retrieve.smk and elasticsearch.smk ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlm import layout
from tlm.artifacts import canonical_json
from tlm.config.elasticsearch import SETTINGS
from tlm.layout import manifest
from tlm.plan import contamination, runs, shared_artifacts
from tlm.plan.selections import Selection
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error, flags, manifests


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
        """What a retrieval is told."""
        return as_json(runs.retrieval_spec(self.project, wildcards.task, int(wildcards.k)))

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the rules' commands: what must not be a parameter, since no other value reruns a rule.

        What starts a training script, the flags that say how it is followed, and how a server is reached.
        """
        settings = self.project.settings
        trackers = " ".join(f"--tracker {name}" for name in settings.trackers)
        found = {"TLM_LAUNCH": settings.launch, "TLM_TRACKERS": trackers}
        if settings.retrieval.backend == "elasticsearch":
            found[SETTINGS] = as_json(settings.retrieval.elasticsearch)
        return found

    @property
    def backend_flags(self) -> str:
        """What an index on a server is told that changes it; nothing for the embedded engine."""
        settings = self.project.settings.retrieval
        if settings.backend == "embedded":
            return ""
        return f"--elasticsearch '{canonical_json(settings.elasticsearch.model_dump(include={'prefix', 'shards'}))}'"

    def served(self, job: str) -> list[str]:
        """The file that tells how far the server of a job is, if the configuration says how one is started."""
        settings = self.project.settings.retrieval
        started = settings.backend == "elasticsearch" and settings.elasticsearch.start
        return [layout.SERVER.format(job=job)] if started else []

    def beside_server(self, cores: int) -> int:
        """Threads of a job: `cores`, or none where its server, which is started with it, takes them all."""
        return 0 if self.served("") else cores

    def gathered(self, shares: list[str]) -> list[str]:
        """The shares that a merging job waits for: none if it does the work alone."""
        return shares if self.project.settings.retrieval.shares > 1 else []

    def share(self, wildcards: Any) -> str:
        """Snakemake's `1-of-4` as the scripts count, `0/4`."""
        number, of = wildcards.scatteritem.split("-of-")
        return f"{int(number) - 1}/{of}"

    def share_flags(self, wildcards: Any, input: Any) -> str:
        """`--shares` and the folders that hold them, if the work was shared out."""
        folders = " ".join(str(Path(path).parent) for path in input.shares)
        return f"--shares {folders}" if folders else ""

    def selection(self, wildcards: Any) -> Selection:
        """The selection that its folder names."""
        return Selection.from_name(wildcards.selection, wildcards.corpus, wildcards.task)

    def selection_spec(self, wildcards: Any) -> str:
        """The settings of its selector."""
        return as_json(self.selection(wildcards).spec(self.project.settings.selection_seed))

    def _made_from(self, wildcards: Any) -> dict[str, str | None]:
        selection = self.selection(wildcards)
        reads = "retrieval" in selection.inputs
        largest = shared_artifacts.largest_k(self.project, selection.corpus, selection.owner) if reads else 0
        return dict(selection.made_from(largest))

    def _left_out(self, wildcards: Any) -> list[str]:
        """The audits whose passages a selection leaves out."""
        return self.selection(wildcards).audits(contamination.audited_tasks(self.project))

    def selection_inputs(self, wildcards: Any) -> dict[str, str | list[str]]:
        """The retrieval, or the selection whose size is taken; the audits of what is left out."""
        without = [manifest(folder) for folder in self._left_out(wildcards)]
        return {**manifests(self._made_from(wildcards)), **({"without": without} if without else {})}

    def selection_flags(self, wildcards: Any) -> str:
        """The same as flags of its script."""
        without = " ".join(self._left_out(wildcards))
        return flags({**self._made_from(wildcards), "without": without or None})
