"""Names of selections and retrievals: what `bm25-k500` or `whole-2000000w` contains and which artifacts it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tlm import layout
from tlm.config.base import parse
from tlm.config.retrieval import SELECTORS, GivenFiles, SelectorSpec
from tlm.errors import TlmError
from tlm.layout import SHARED


@dataclass(frozen=True)
class Selection:
    """A set of external passages of a corpus, or of files (selector `given`).

    `size` is K, or a limit of words, as the selector declares; 0 if the files decide. Selectors that draw a sample
    (random, dsir) take as many passages as bm25 finds at the same K.
    """

    selector: str  # a name in SELECTORS
    size: int
    corpus: str  # of a given selection its name in config/corpora.yaml
    owner: str  # the task whose queries made it, or SHARED
    clean: bool = False  # without the passages that share text with dev or test

    @property
    def name(self) -> str:
        """Name of the folder; `from_name` reads it back."""
        return _folder_name(self.selector, str(self.size)) + ("-clean" if self.clean else "")

    @property
    def folder(self) -> str:
        """Where its passages are stored."""
        return layout.SELECTION.format(corpus=self.corpus, task=self.owner, selection=self.name)

    @staticmethod
    def from_name(name: str, corpus: str, owner: str) -> Selection:
        """The selection stored under `name`. Raises TlmError if no selector names its folders like this."""
        for selector in SELECTORS:
            folder = re.escape(_folder_name(selector, "|")).replace(re.escape("|"), r"(?P<size>\d+)")
            if match := re.fullmatch(rf"{folder}(?P<clean>-clean)?", name):
                size = int(match.groupdict().get("size") or 0)
                return Selection(selector, size, corpus, owner, clean=match["clean"] is not None)
        known = ", ".join(_folder_name(each, f"<{spec.size}>") for each, spec in SELECTORS.items())
        raise TlmError(
            f"no selection is called {name!r}; possible names: {known}, each also with -clean at its end"
        )

    @property
    def given(self) -> bool:
        """Whether it is read from files, and not from a corpus."""
        return not SELECTORS[self.selector].reads_corpus

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the artifacts that its selector reads besides the corpus."""
        return ("whole",) if self.given and self.clean else SELECTORS[self.selector].inputs

    @property
    def counts_words(self) -> bool:
        """Whether `size` is a limit of words."""
        return SELECTORS[self.selector].size == "limit_words"

    def spec(self, seed: int, given: GivenFiles | None = None) -> SelectorSpec:
        """The selector's settings; `seed` is for selectors that draw at random, `given` for files."""
        spec = SELECTORS[self.selector]
        values: dict[str, Any] = {spec.size: self.size, "like": self._like.name, "seed": seed}
        if given is not None:
            values |= {"name": self.corpus, **given.model_dump()}
        return parse(spec, {name: values[name] for name in spec.model_fields if name in values}, self.name)

    @property
    def _like(self) -> Selection:
        """The bm25 selection that random and dsir equal in size."""
        return replace(self, selector="bm25")

    def made_from(self, largest_k: int, source: str = "") -> dict[str, str]:
        """Name of each input → its folder; `largest_k` is the K of the stored retrieval, `source` that of files."""
        k = max(largest_k, self.size)
        folders = {
            "source": layout.SOURCE.format(source=source),
            "whole": replace(self, clean=False).folder,
            "retrieval": layout.RETRIEVAL.format(corpus=self.corpus, task=self.owner, k=k),
            "like": self._like.folder,
            "task": layout.TASK.format(task=self.owner),
        }
        return {name: folders[name] for name in self.inputs}

    def audits(self, tasks: Sequence[str]) -> list[str]:
        """Folders of the audits whose passages are left out: its owner's, or those of `tasks` if several share it."""
        owners = tasks if self.owner == SHARED else [self.owner]
        body = replace(self, clean=False).folder if self.given else layout.CORPUS.format(corpus=self.corpus)
        return [audit_folder(task, body) for task in owners] if self.clean else []


def _folder_name(selector: str, size: str) -> str:
    return SELECTORS[selector].folder.format(selector=selector, size=size)


def audit_folder(task: str, folder: str) -> str:
    """The audit of a task's dev and test texts against the artifact `folder`: a task, a corpus or a selection."""
    return layout.AUDIT.format(task=task, **layout.AUDITED.parse(folder))
