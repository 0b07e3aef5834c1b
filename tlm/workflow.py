"""What the rules of workflow/rules/ ask: which inputs, parameters and flags belong to given wildcards.

Place in the flow: the Snakefile's side of `tlm.config`. Rule files stay declarations; what they need to compute is
here, where it is typed and tested. Every method takes Snakemake's wildcards and is used as an input or parameter
function.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar

from tlm.artifacts import canonical_json
from tlm.config import rows, runs, shared, shown
from tlm.config.base import Strict
from tlm.config.elasticsearch import SETTINGS
from tlm.config.experiments import CellSpec
from tlm.config.project import Project
from tlm.config.runs import Run, manifest
from tlm.config.selections import SHARED, Selection, retrieval_folder
from tlm.config.training import TokenizerSpec
from tlm.errors import TlmError
from tlm.results import hyperparameters
from tlm.results.hyperparameters import ScaleSettings
from tlm.results.reported import Reported, load_reported


def as_json(spec: Strict) -> str:
    """A typed specification as the text that rules pass to their scripts, and that Snakemake compares."""
    return canonical_json(spec.model_dump(mode="json"))


def code(*names: str) -> list[str]:
    """The modules that a rule runs, as inputs: a change of code rebuilds what it touches, and only that."""
    files: list[Path] = []
    for name in names:
        path = Path("tlm") / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [str(path) for path in files]


Answer = TypeVar("Answer")


def told(question: Callable[[Workflow, Any], Answer]) -> Callable[[Workflow, Any], Answer]:
    """For what people ask by name: a mistake is told in one line, where Snakemake would show a traceback."""

    @wraps(question)
    def ask(self: Workflow, wildcards: Any) -> Answer:
        try:
            return question(self, wildcards)
        except TlmError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return ask


def _manifests(folders: dict[str, str | None]) -> dict[str, str]:
    return {name: manifest(folder) for name, folder in folders.items() if folder}


def _flags(folders: dict[str, str | None]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {folder}" for name, folder in folders.items() if folder)


def _watched(folders: list[str]) -> dict[str, list[str]]:
    """Artifacts as inputs, and their folders as well.

    Snakemake does not miss an intermediate artifact behind a finished result. Its folder, an input too, is made anew
    here if it is gone, and is then newer than the result.
    """
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return {"made_from": [manifest(folder) for folder in folders], "watched": folders}


@dataclass(frozen=True)
class Workflow:
    """The rules' questions, answered for one project."""

    project: Project

    def corpus_inputs(self, wildcards: Any) -> list[str]:
        """The sources of a corpus, or the corpus that it is a sample of."""
        spec = self.project.data.corpora[wildcards.corpus]
        if spec.sample is not None:
            return [manifest(f"data/corpora/{spec.sample.of}")]
        return [manifest(f"data/sources/{source}") for source in spec.sources]

    def task_source(self, wildcards: Any) -> str:
        """The source of a task."""
        return manifest(f"data/sources/{self.project.data.tasks[wildcards.task].source}")

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
        return [f"data/servers/{job}.json"] if started else []

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
        """What its selector is told."""
        return as_json(self.selection(wildcards).spec(self.project.settings.selection_seed))

    def _made_from(self, wildcards: Any) -> dict[str, str | None]:
        selection = self.selection(wildcards)
        bm25 = selection.selector == "bm25"
        largest = shared.largest_k(self.project, selection.corpus, selection.owner) if bm25 else 0
        return dict(selection.made_from(largest))

    def selection_inputs(self, wildcards: Any) -> dict[str, str]:
        """The retrieval, or the selection whose size is taken; nothing for the whole corpus."""
        return _manifests(self._made_from(wildcards))

    def selection_flags(self, wildcards: Any) -> str:
        """The same as flags of its script."""
        return _flags(self._made_from(wildcards))

    def run(self, wildcards: Any) -> Run:
        """The run that `scale / task / variant / seed` names."""
        project = self.project.at(wildcards.scale)
        if wildcards.task == SHARED:
            return runs.resolve_pretraining(project, wildcards.variant)
        return runs.resolve(project, wildcards.task, wildcards.variant, int(wildcards.seed))

    @property
    def scales(self) -> str:
        """A pattern of the scales of which runs are built."""
        return "|".join(map(re.escape, self.project.built))

    def threads(self, wildcards: Any) -> int:
        """Threads of one training job at the run's scale."""
        return self.project.at(wildcards.scale).scale.threads

    def tokenizer(self, wildcards: Any) -> str:
        """The run's tokenizer."""
        return manifest(f"data/tokenizers/{self.run(wildcards).tokenizer}")

    @cached_property
    def _tokenizers(self) -> dict[str, tuple[TokenizerSpec, str]]:
        return shared.tokenizers(self.project)

    def _tokenizer(self, wildcards: Any) -> tuple[TokenizerSpec, str]:
        if wildcards.tokenizer not in self._tokenizers:
            raise TlmError(f"no tokenizer {wildcards.tokenizer!r}; there are {', '.join(self._tokenizers)}")
        return self._tokenizers[wildcards.tokenizer]

    def tokenizer_spec(self, wildcards: Any) -> str:
        """What a tokenizer is told."""
        return as_json(self._tokenizer(wildcards)[0])

    def tokenizer_inputs(self, wildcards: Any) -> dict[str, str]:
        """The corpus that it is trained on; nothing for one that others have trained."""
        spec, corpus = self._tokenizer(wildcards)
        return _manifests({"corpus": None if spec.pretrained else f"data/corpora/{corpus}"})

    def tokenizer_flags(self, wildcards: Any) -> str:
        """The same as flags of its script."""
        spec, corpus = self._tokenizer(wildcards)
        return _flags({"corpus": None if spec.pretrained else f"data/corpora/{corpus}"})

    @cached_property
    def stored_length(self) -> int:
        """Tokens of a text that are stored."""
        return shared.stored_length(self.project)

    def _stage1_tokens(self, wildcards: Any) -> dict[str, str | None]:
        run = self.run(wildcards)
        internal = None if run.task == SHARED else run.internal_tokens
        return {"task_tokens": internal, "external_tokens": run.external_tokens, "start": run.start}

    def stage1_inputs(self, wildcards: Any) -> dict[str, str]:
        """Internal tokens unless it is a pretraining, external ones unless it reads none; the model it goes on from."""
        return _manifests(self._stage1_tokens(wildcards))

    def stage1_flags(self, wildcards: Any) -> str:
        """The same as flags of its script."""
        return _flags(self._stage1_tokens(wildcards))

    def stage1_spec(self, wildcards: Any) -> str:
        """The run without its stage 2, so that a change of stage 2 reruns stage 2 alone."""
        spec = self.run(wildcards).spec
        assert spec is not None
        return as_json(spec.model_copy(update={"stage2": None}))

    def stage1_priority(self, wildcards: Any) -> int:
        """A pretraining is the longest job and many wait for it: first."""
        return 10 if wildcards.task == SHARED else 0

    def stage2_inputs(self, wildcards: Any) -> dict[str, str]:
        """Stage 1's model, unless a checkpoint stands for it, and the task's tokens."""
        run = self.run(wildcards)
        return _manifests({"stage1": run.stage1, "tokens": run.internal_tokens})

    def stage2_flags(self, wildcards: Any) -> str:
        """The model as a flag of its script."""
        return _flags({"stage1": self.run(wildcards).stage1})

    def stage2_spec(self, wildcards: Any) -> str:
        """The whole run."""
        spec = self.run(wildcards).spec
        assert spec is not None
        return as_json(spec)

    def _evaluated(self, wildcards: Any) -> dict[str, str | None]:
        run = self.run(wildcards)
        assert run.spec is not None
        selection = (run.pretraining or run).selection
        return {
            "stage1": run.stage1,
            "pretraining": run.start,
            "stage2": run.model if run.spec.stage2 else None,
            "data": selection.folder if selection else None,
        }

    def evaluate_inputs(self, wildcards: Any) -> dict[str, str]:
        """The models that an evaluation reads, and the external data that they have read."""
        return _manifests(self._evaluated(wildcards))

    def evaluate_flags(self, wildcards: Any) -> str:
        """The same as flags of its script."""
        return _flags(self._evaluated(wildcards))

    @property
    def tfidf_variants(self) -> str:
        """A pattern of the variants that train no encoder."""
        variants = self.project.experiments.variants.items()
        return "|".join(name for name, spec in variants if spec.method == "tfidf") or "(?!)"

    @cached_property
    def cells(self) -> dict[tuple[str, str, str], CellSpec]:
        """(table, row, column) → cell; made once, since every cell's rule asks."""
        return rows.cells(self.project)

    def cell(self, wildcards: Any) -> CellSpec:
        """The cell of that table, row and column. Raises TlmError listing the cells that there are."""
        rows.table(self.project, wildcards.table)
        key = (wildcards.table, wildcards.row, wildcards.column)
        if key not in self.cells:
            known = ", ".join("/".join(each[1:]) for each in self.cells if each[0] == wildcards.table)
            raise TlmError(f"no cell {'/'.join(key)}; {wildcards.table} has: {known or 'none'}")
        return self.cells[key]

    @told
    def cell_runs(self, wildcards: Any) -> list[str]:
        """The evaluations that a cell is made from: its column's tasks, its row's seeds."""
        cell = self.cell(wildcards)
        return [
            manifest(f"runs/{cell.scale}/{task}/{variant}/seed{seed}/evaluation")
            for task, variant in cell.variants.items()
            for seed in cell.seeds
        ]

    def cell_spec(self, wildcards: Any) -> str:
        """What a cell's script is told."""
        return as_json(self.cell(wildcards))

    @property
    def tables(self) -> list[str]:
        """The tables that the scale can have."""
        return rows.available(self.project)

    @told
    def table_cells(self, wildcards: Any) -> list[str]:
        """The cells of a table. Raises TlmError if the scale cannot have it."""
        rows.table(self.project, wildcards.table)
        keys = [key for key in self.cells if key[0] == wildcards.table]
        return [f"results/cells/{table}/{row}/{column}.json" for table, row, column in keys]

    def table_rows(self, wildcards: Any) -> list[str]:
        """The folders that hold those cells."""
        return sorted({str(Path(cell).parent) for cell in self.table_cells(wildcards)})

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
        """What a cell of Table A.1 or B.1 is told. Raises TlmError listing the scales."""
        view = self.project.at(wildcards.row)
        found = [
            hyperparameters.setting(
                wildcards.described, runs.resolve(view, task, "tlm", view.seeds[0]), self._reported
            )
            for task in view.scale.all_tasks
        ]
        return as_json(ScaleSettings(settings=tuple(found)))

    def setting_cells(self, wildcards: Any) -> list[str]:
        """The cells of Table A.1 or B.1, in the order of its rows."""
        return [f"results/cells/{wildcards.described}/{name}/tasks.json" for name in self._scales]

    def setting_rows(self, wildcards: Any) -> list[str]:
        """The folders that hold those cells."""
        return sorted({str(Path(cell).parent) for cell in self.setting_cells(wildcards)})

    def make_row_folders(self) -> None:
        """Make them: tables take them as inputs, so that they must be there before the first cell is."""
        described = [(table, name) for table in hyperparameters.TABLES for name in self._scales]
        examples = [
            (name, task) for name in self.project.experiments.examples for task in self._example_tasks
        ]
        for table, row in [*((table, row) for table, row, _ in self.cells), *described, *examples]:
            Path(f"results/cells/{table}/{row}").mkdir(parents=True, exist_ok=True)

    @property
    def example_names(self) -> str:
        """A pattern of the tables of texts."""
        return "|".join(map(re.escape, self.project.experiments.examples)) or "(?!)"

    @property
    def _example_tasks(self) -> list[str]:
        return self.project.scale.tasks

    @told
    def examples_inputs(self, wildcards: Any) -> dict[str, str]:
        """A task, its retrieval and the corpus that was searched."""
        if wildcards.task not in self._example_tasks:
            raise TlmError(
                f"no examples of task {wildcards.task!r}; there are those of {', '.join(self._example_tasks)}"
            )
        corpus = runs.corpus_of(self.project, self.project.variant("tlm"), wildcards.task)
        k = shared.largest_k(self.project, corpus, wildcards.task)
        folders: dict[str, str | None] = {
            "task": f"data/tasks/{wildcards.task}",
            "retrieval": retrieval_folder(corpus, wildcards.task, k),
            "corpus": f"data/corpora/{corpus}",
        }
        return _manifests(folders)

    def examples_spec(self, wildcards: Any) -> str:
        """What the scripts of a table of texts are told."""
        return as_json(self.project.experiments.examples[wildcards.examples])

    def examples_cells(self, wildcards: Any) -> list[str]:
        """Its cells, one a task."""
        return [f"results/cells/{wildcards.examples}/{task}/examples.json" for task in self._example_tasks]

    def examples_rows(self, wildcards: Any) -> list[str]:
        """The folders that hold them."""
        return [str(Path(cell).parent) for cell in self.examples_cells(wildcards)]

    def table_spec(self, wildcards: Any) -> str:
        """What a table's script is told."""
        return as_json(rows.table(self.project, wildcards.table))

    def _read_heads(self, wildcards: Any) -> dict[str, str | None]:
        run = self.run(wildcards)
        if run.spec is None:
            raise TlmError(f"{run.folder} trains no encoder and has no attention heads")
        return {"stage2": run.model} if run.spec.stage2 else {"stage1": run.stage1}

    def attention_inputs(self, wildcards: Any) -> dict[str, str]:
        """The model that is evaluated: its heads are read."""
        return _manifests(self._read_heads(wildcards))

    def attention_flags(self, wildcards: Any) -> str:
        """The same as a flag of its script."""
        return _flags(self._read_heads(wildcards))

    @property
    def attention_spec(self) -> str:
        """What is read off the heads."""
        return as_json(self.project.experiments.attention.heads)

    @property
    def attention_table_spec(self) -> str:
        """What the script of results/attention.csv is told."""
        return as_json(shown.attention_table(self.project))

    def attention_table_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """The heads of every task, model and seed."""
        return _watched(shown.compared_folders(self.project))

    @property
    def figure_names(self) -> str:
        """A pattern of the figures that are declared."""
        return "|".join(map(re.escape, self.project.experiments.figures)) or "(?!)"

    def figure_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """What a figure is drawn from: heads, cells, or the rules themselves."""
        kind = self.project.figure(wildcards.figure).kind
        if kind == "heads":
            return _watched(shown.heads_folders(self.project, wildcards.figure))
        if kind == "performance":
            cells = shown.performance_cells(self.project, wildcards.figure)
            return {"made_from": cells, "watched": sorted({str(Path(cell).parent) for cell in cells})}
        return {"made_from": ["Snakefile", *map(str, sorted(Path("workflow/rules").glob("*.smk")))]}

    def figure_spec(self, wildcards: Any) -> str:
        """What a figure's script is told."""
        return as_json(shown.drawing(self.project, wildcards.figure))
