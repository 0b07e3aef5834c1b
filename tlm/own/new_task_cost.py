"""Estimates the cost of a new task before anything is built: `tlm.cost` with findings in place of manifests.

Place in the flow: findings and settings → here → the choice of settings (`tlm.own.defaults`), and the summary.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlm import layout
from tlm.artifacts import write_manifest
from tlm.config.parser_specs import Split
from tlm.config.training import TokenizerSpec
from tlm.cost.estimate import CostEstimate, estimate
from tlm.cost.facts import PASSAGE_BYTES, SPECIALS, DataFacts
from tlm.cost.jobs import PendingJob
from tlm.cost.training_rules import RateOf
from tlm.layout import manifest
from tlm.own.findings import CorpusFindings, TaskFindings
from tlm.plan import runs
from tlm.plan.own_tasks import corpus_source
from tlm.plan.run_jobs import jobs
from tlm.plan.run_types import EncoderRun
from tlm.plan.selections import Selection, audit_folder
from tlm.plan.task_report import compared_variants

_TRIAL_BYTES = 3_000_000  # of text on which the trial vocabulary is trained
_NEW = 0.5  # share of retrieved passages that no other query retrieves


@dataclass(frozen=True)
class TextLengths:
    """Tokens of texts and passages, counted with a trial vocabulary like the final one."""

    splits: Mapping[str, np.ndarray]
    """Split → tokens of each of its texts, special ones included."""
    passages: np.ndarray


def measure_lengths(task: TaskFindings, sample: Sequence[str], spec: TokenizerSpec) -> TextLengths:
    """Train a vocabulary on a sample of the passages and count tokens with it."""
    from tlm.training.tokenizer import build_tokenizer, load_tokenizer

    with tempfile.TemporaryDirectory(prefix="tlm-new-") as folder:
        corpus, trained = Path(folder) / "corpus", Path(folder) / "tokenizer"
        corpus.mkdir()
        texts = list(sample) + task.texts
        pq.write_table(pa.table({"text": texts}), corpus / "part-00000.parquet")
        size = sum(len(text.encode()) for text in texts)
        write_manifest(corpus, "corpus", counts={"bytes": size}, parameters={})
        build_tokenizer(corpus, trained, spec.model_copy(update={"sample_bytes": _TRIAL_BYTES}))
        tokenizer = load_tokenizer(trained)
        splits: dict[str, list[tuple[str, str | None]]] = {}
        for each in task.examples:
            splits.setdefault(str(each.split), []).append((each.text, each.text_pair))

        def count(first: Sequence[str], second: Sequence[str] | None = None) -> np.ndarray:
            coded = tokenizer(list(first), list(second) if second else None, truncation=False)["input_ids"]
            return np.array([len(ids) for ids in coded])

        splits.setdefault("unlabelled", []).extend(task.unlabelled)
        return TextLengths(
            splits={
                split: count(
                    [first for first, _ in rows], [str(pair) for _, pair in rows] if task.pair else None
                )
                for split, rows in splits.items()
                if rows
            },
            passages=count(sample[:: max(1, len(sample) // 2000)]) - SPECIALS,
        )


@dataclass(frozen=True, kw_only=True)
class NewTaskFacts(DataFacts):
    """`DataFacts`, with the findings of one new task that is not built yet."""

    name: str
    task: TaskFindings
    corpus: CorpusFindings | None
    """None if the task uses a corpus that is declared elsewhere."""
    lengths: TextLengths

    def rows(self, task: str, split: Split) -> int | None:
        """Rows of a split."""
        return self.task.rows(split) if task == self.name else super().rows(task, split)

    def unlabelled(self, task: str) -> int:
        """Unlabelled texts."""
        return len(self.task.unlabelled) if task == self.name else super().unlabelled(task)

    def classes(self, task: str) -> int:
        """Outputs of the head."""
        return (len(self.task.labels) or 1) if task == self.name else super().classes(task)

    def internal_length(self, run: EncoderRun, split: Split, longest: int) -> float:
        """Mean tokens of a text, cut at `longest`."""
        if run.task != self.name or split not in self.lengths.splits:
            return super().internal_length(run, split, longest)
        return float(np.minimum(self.lengths.splits[split], longest).mean())

    def external_length(self, run: EncoderRun, longest: int) -> float:
        """Mean tokens of a passage, cut at `longest`."""
        return float(np.minimum(self.lengths.passages + SPECIALS, longest).mean())

    def corpus_bytes(self, corpus: str) -> int | None:
        """Bytes of text of the corpus, estimated from the sample."""
        if corpus == self.name and self.corpus is not None:
            return round(self.corpus.text_bytes)
        return super().corpus_bytes(corpus)

    def selection_bytes(self, selection: Selection) -> float | None:
        """Bytes of the selection, assuming that half of the retrieved passages are new."""
        if selection.owner != self.name:
            return super().selection_bytes(selection)
        found = (self.queries(self.name) or 0) * selection.size * PASSAGE_BYTES * _NEW
        known = self.corpus_bytes(selection.corpus)
        return found if known is None else min(known, found)

    @cached_property
    def jobs(self) -> list[PendingJob]:
        """The jobs that the report of the task still needs."""
        view = self.project.at(self.name)
        sources = [self.name, *([corpus_source(self.name)] if self.corpus is not None else [])]
        found = [("fetch", layout.SOURCE.format(source=source)) for source in sources]
        for variant in compared_variants(view).values():
            for seed in view.seeds_of(variant):
                found += jobs(self.project, runs.resolve(view, self.name, variant, seed)).items()
        tlm = runs.resolve_reference(view, self.name, view.seeds[0])
        found.append(("audit", audit_folder(self.name, tlm.passages.folder)))
        found.append(("export", layout.MODEL.format(model=self.name)))
        shared = {"corpus", "index", "tokenizer"} if self.corpus is None else set()
        pending = [
            PendingJob(rule, manifest(folder))
            for rule, folder in dict.fromkeys(found)
            if not (rule in shared and self.manifest(folder))
        ]
        return [*pending, PendingJob("task_report", layout.TASK_REPORT.file("json").format(task=self.name))]


def estimate_new_task(facts: NewTaskFacts, rate_of: RateOf) -> CostEstimate:
    """The cost of every job of the task's report."""
    return estimate(facts.jobs, facts, rate_of)
