"""Rows, lengths and bytes of data before a run: counted if the data are built, else as declared.

Place in the flow: manifests and config/ → here → `tlm.cost.work` and `tlm.cost.data_rules`. A number that is neither
counted nor declared is None, and the estimate names it in a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import PositiveInt

from tlm import layout
from tlm.artifacts import Manifest, read_manifest
from tlm.config.base import Strict, load_yaml, parse
from tlm.config.parser_specs import Split
from tlm.config.sources import FileSpec, local_matches
from tlm.config.training import ModelSpec, TokenizerSpec
from tlm.cost import parameters
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan import shared_artifacts
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun
from tlm.plan.selections import Selection
from tlm.rules import Workflow
from tlm.sources.download import cached

WORD_BYTES = 6.6  # of English text, as the passages of the corpus `demo` are
PASSAGE_BYTES = 600  # likewise
SPECIALS = 2  # [CLS] and [SEP]


class DeclaredSizes(Strict):
    """config/sizes.yaml: sizes as published."""

    tasks: dict[str, dict[Split, PositiveInt]] = {}
    text: dict[str, float] = {}
    """Source → bytes of text."""


@dataclass(frozen=True)
class DataFacts:
    """The data of one project, below the folder `root`."""

    project: Project
    root: Path = Path()

    @cached_property
    def workflow(self) -> Workflow:
        """The functions of the rules."""
        return Workflow(self.project)

    @cached_property
    def sizes(self) -> DeclaredSizes:
        """Declared sizes. Raises TlmError for a task or source that no other file declares."""
        path = self.project.folder / "sizes.yaml"
        found = parse(DeclaredSizes, load_yaml(path), str(path)) if path.is_file() else DeclaredSizes()
        data = self.project.data
        for kind, named, known in (("tasks", found.tasks, data.tasks), ("text", found.text, data.sources)):
            if unknown := sorted(set(named) - set(known)):
                raise TlmError(f"{path}: {kind}.{unknown[0]}: no such name in config/")
        return found

    def manifest(self, folder: str) -> Manifest | None:
        """The manifest of an artifact, if it is built."""
        path = self.root / layout.manifest(folder)
        return read_manifest(path) if path.is_file() else None

    def rows(self, task: str, split: Split) -> int | None:
        """Rows of a task's split: counted, else as declared, at most its limit; None if neither is declared."""
        if built := self.manifest(layout.TASK.format(task=task)):
            return int(built.counts["rows"][split])
        spec = self.project.data.tasks[task]
        declared = self.sizes.tasks.get(task, {})
        if split not in declared and split == "test" and spec.hidden_test:
            return 0
        bounds = [size[split] for size in (declared, spec.limit) if split in size]
        return min(bounds, default=None)

    def unlabelled(self, task: str) -> int:
        """Unlabelled texts of a task: counted; 0 before the task is built."""
        built = self.manifest(layout.TASK.format(task=task))
        return int(built.counts.get("unlabelled", {}).get("rows", 0)) if built else 0

    def queries(self, task: str) -> int | None:
        """Texts that are queries: training rows and unlabelled texts; None if the rows are not known."""
        rows = self.rows(task, "train")
        return None if rows is None else rows + self.unlabelled(task)

    def classes(self, task: str) -> int:
        """Outputs of the task's head; 2 if its labels are not known yet, and for a pretraining, which has no head."""
        if task == SHARED:
            return 2
        spec = self.project.data.tasks[task]
        if spec.problem == "regression":
            return 1
        if spec.labels is not None:
            return len(spec.labels)
        built = self.manifest(layout.TASK.format(task=task))
        return len(built.parameters["labels"]) if built else 2

    @cached_property
    def tokenizers(self) -> dict[str, tuple[TokenizerSpec, str]]:
        """Name → specification, and the corpus that it is trained on."""
        return shared_artifacts.tokenizers(self.project)

    def vocabulary(self, tokenizer: str) -> int:
        """Entries of a tokenizer: counted, else as published, else as configured."""
        if built := self.manifest(layout.TOKENIZER.format(tokenizer=tokenizer)):
            return int(built.counts["vocabulary"])
        spec, _ = self.tokenizers[tokenizer]
        known = parameters.published(spec.pretrained) if spec.pretrained else None
        return known[1] if known else spec.vocabulary

    def model(self, run: EncoderRun) -> tuple[ModelSpec, int]:
        """The run's model with all its sizes, and its vocabulary.

        Raises TlmError for a checkpoint of the Hub whose sizes `tlm.cost.parameters` does not list.
        """
        spec = run.spec.model
        if spec.pretrained is None:
            return spec, self.vocabulary(run.tokenizer)
        known = parameters.published(spec.pretrained)
        if known is None:
            raise TlmError(
                f"cannot estimate the checkpoint {spec.pretrained!r}: its sizes are unknown until it is loaded"
            )
        return spec.model_copy(update=known[0]), known[1]

    def internal_length(self, run: EncoderRun, split: Split, longest: int) -> float:
        """Mean length of the task's texts in tokens, at most `longest`; `longest` before they are tokenized."""
        built = self.manifest(run.internal_tokens)
        if built is None or not built.counts[split]["rows"]:
            return longest
        counts = built.counts[split]
        return min(longest, counts["tokens"] / counts["rows"] + SPECIALS)

    def external_length(self, run: EncoderRun, longest: int) -> float:
        """Mean length of stage 1's passages in tokens, at most `longest`; `longest` before they are tokenized."""
        built = self.manifest(run.external_tokens) if run.external_tokens else None
        if built is None:
            return longest
        return min(longest, built.counts["tokens"] / built.counts["rows"] + SPECIALS)

    def corpus_bytes(self, corpus: str) -> int | None:
        """Bytes of text of a corpus: counted, else as declared, else its sources' bytes; None if none is known."""
        if built := self.manifest(layout.CORPUS.format(corpus=corpus)):
            return int(built.counts["bytes"])
        spec = self.project.data.corpora[corpus]
        if spec.sample is not None:
            whole = self.corpus_bytes(spec.sample.of)
            return None if whole is None else round(spec.sample.share * whole)
        declared = self.sizes.text
        return total(
            [round(declared[each]) if each in declared else self.source_bytes(each) for each in spec.sources]
        )

    def source_bytes(self, source: str) -> int | None:
        """Bytes of a source's files before they are unpacked; None if one is not declared."""
        return total([file_bytes(file) for file in self.project.data.sources[source].files])

    def to_download(self, source: str) -> list[FileSpec]:
        """A source's files that must be downloaded: those of the network that are not in the cache."""
        cache = self.root / layout.DOWNLOADS
        return [
            file
            for file in self.project.data.sources[source].files
            if file.scheme != "file" and not (file.sha256 and cached(cache, file.sha256).is_file())
        ]

    def selection_bytes(self, selection: Selection) -> float | None:
        """Bytes of text of a selection: counted, else an upper bound from its queries; None if they are not known."""
        if built := self.manifest(selection.folder):
            return float(built.counts["bytes"])
        if selection.given:
            source = self.project.given(selection.corpus).source
            return self.sizes.text.get(source, self.source_bytes(source))
        corpus = self.corpus_bytes(selection.corpus)
        if selection.counts_words:
            found: float | None = selection.size * WORD_BYTES
        else:
            queries = self.queries(selection.owner)
            found = None if queries is None else float(queries * selection.size * PASSAGE_BYTES)
        known = [size for size in (corpus, found) if size is not None]
        return min(known, default=None)


def total(sizes: Sequence[int | None]) -> int | None:
    """The sum; None if one size is unknown."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def file_bytes(file: FileSpec) -> int | None:
    """Bytes of a file before it is unpacked: declared, or counted if it is on this machine; else None."""
    if file.bytes is not None or file.scheme != "file":
        return file.bytes
    return sum(path.stat().st_size for path in local_matches(file))
