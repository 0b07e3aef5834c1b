"""Names of selections and retrievals: what `bm25-k500` or `whole-2000000w` means and what it is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from tlm import layout
from tlm.config.retrieval import Bm25Selector, DsirSelector, RandomSelector, SelectorSpec, WholeCorpusSelector
from tlm.errors import TlmError
from tlm.layout import SHARED

Selector = Literal["bm25", "random", "dsir", "whole"]
_NAME = re.compile(r"(?:(?P<selector>bm25|random|dsir)-k(?P<k>\d+)|whole-(?P<words>\d+)w)(?P<clean>-clean)?")


@dataclass(frozen=True)
class Selection:
    """A set of external passages of a corpus.

    `size` is K for bm25, random and dsir (as many passages as bm25 finds at that K), a limit of words for whole.
    """

    selector: Selector
    size: int
    corpus: str
    owner: str  # the task whose queries made it, or SHARED
    clean: bool = False  # without the passages that share text with dev or test

    @property
    def name(self) -> str:
        """The folder's name, from which `from_name` makes the selection again."""
        name = f"whole-{self.size}w" if self.selector == "whole" else f"{self.selector}-k{self.size}"
        return name + ("-clean" if self.clean else "")

    @property
    def folder(self) -> str:
        """Where its passages are stored."""
        return layout.SELECTION.format(corpus=self.corpus, task=self.owner, selection=self.name)

    @staticmethod
    def from_name(name: str, corpus: str, owner: str) -> Selection:
        """The selection stored under `name`. Raises TlmError if no selection has such a name."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise TlmError(
                f"no selection is called {name!r}: bm25-k<K>, random-k<K>, dsir-k<K> or whole-<words>w, each also"
                " with -clean behind it"
            )
        clean = match["clean"] is not None
        if match["words"]:
            return Selection("whole", int(match["words"]), corpus, owner, clean)
        return Selection(cast(Selector, match["selector"]), int(match["k"]), corpus, owner, clean)

    def spec(self, seed: int) -> SelectorSpec:
        """What the selector is told; `seed` is for those that draw at random."""
        if self.selector == "bm25":
            return Bm25Selector(selector="bm25", k=self.size)
        if self.selector == "random":
            return RandomSelector(selector="random", like=self._like.name, seed=seed)
        if self.selector == "dsir":
            return DsirSelector(selector="dsir", like=self._like.name, seed=seed)
        return WholeCorpusSelector(selector="whole-corpus", limit_words=self.size, seed=seed)

    @property
    def _like(self) -> Selection:
        """Whose size random and dsir take."""
        return replace(self, selector="bm25")

    def made_from(self, largest_k: int) -> dict[str, str]:
        """Role → folder of what it needs besides the corpus."""
        if self.selector == "bm25":
            return {
                "retrieval": layout.RETRIEVAL.format(
                    corpus=self.corpus, task=self.owner, k=max(largest_k, self.size)
                )
            }
        like = self._like.folder
        if self.selector == "random":
            return {"like": like}
        if self.selector == "dsir":
            return {"like": like, "task": layout.TASK.format(task=self.owner)}
        return {}

    def audits(self, tasks: Sequence[str]) -> list[str]:
        """Folders of the audits whose passages are left out: its owner's, or those of `tasks` if several share it."""
        owners = tasks if self.owner == SHARED else [self.owner]
        corpus = layout.CORPUS.format(corpus=self.corpus)
        return [audit_folder(task, corpus) for task in owners] if self.clean else []


def audit_folder(task: str, folder: str) -> str:
    """The audit of a task's dev and test texts against the artifact `folder`: a task, a corpus or a selection."""
    return layout.AUDIT.format(task=task, **layout.AUDITED.parse(folder))
