"""Names of selections and retrievals: what `bm25-k500` or `whole-2000000w` means and what it is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from tlm.config.retrieval import Bm25Selector, DsirSelector, RandomSelector, SelectorSpec, WholeCorpusSelector
from tlm.errors import TlmError

SHARED = "shared"
"""Stands in the place of the task in the path of what serves several tasks (the PLM)."""

Selector = Literal["bm25", "random", "dsir", "whole"]
_NAME = re.compile(r"(?P<selector>bm25|random|dsir)-k(?P<k>\d+)|whole-(?P<words>\d+)w")


@dataclass(frozen=True)
class Selection:
    """A set of external passages of a corpus.

    `size` is K for bm25, random and dsir (as many passages as bm25 finds at that K), a limit of words for whole.
    """

    selector: Selector
    size: int
    corpus: str
    owner: str  # the task whose queries made it, or SHARED

    @property
    def name(self) -> str:
        """The folder's name, from which `from_name` makes the selection again."""
        return f"whole-{self.size}w" if self.selector == "whole" else f"{self.selector}-k{self.size}"

    @property
    def folder(self) -> str:
        """Where its passages are stored."""
        return f"data/selections/{self.corpus}/{self.owner}/{self.name}"

    @staticmethod
    def from_name(name: str, corpus: str, owner: str) -> Selection:
        """The selection stored under `name`. Raises TlmError if no selection has such a name."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise TlmError(
                f"no selection is called {name!r}: bm25-k<K>, random-k<K>, dsir-k<K> or whole-<words>w"
            )
        if match["words"]:
            return Selection("whole", int(match["words"]), corpus, owner)
        return Selection(cast(Selector, match["selector"]), int(match["k"]), corpus, owner)

    def spec(self, seed: int) -> SelectorSpec:
        """What the selector is told; `seed` is for those that draw at random."""
        if self.selector == "bm25":
            return Bm25Selector(selector="bm25", k=self.size)
        if self.selector == "random":
            return RandomSelector(selector="random", like=f"bm25-k{self.size}", seed=seed)
        if self.selector == "dsir":
            return DsirSelector(selector="dsir", like=f"bm25-k{self.size}", seed=seed)
        return WholeCorpusSelector(selector="whole-corpus", limit_words=self.size, seed=seed)

    def made_from(self, largest_k: int) -> dict[str, str]:
        """Role → folder of what it needs besides the corpus."""
        if self.selector == "bm25":
            return {"retrieval": retrieval_folder(self.corpus, self.owner, max(largest_k, self.size))}
        like = Selection("bm25", self.size, self.corpus, self.owner).folder
        if self.selector == "random":
            return {"like": like}
        if self.selector == "dsir":
            return {"like": like, "task": f"data/tasks/{self.owner}"}
        return {}


def retrieval_folder(corpus: str, task: str, k: int) -> str:
    """Where the top-k of a task's queries are stored."""
    return f"data/retrieval/{corpus}/{task}/top{k}"
