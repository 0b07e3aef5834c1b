"""Find the task's own texts in the text that is trained on without labels, before any training.

Place in the flow: used by `tlm.own.findings`. A file that is a copy of the task's file is found by its digest; other
copies by dev and test texts among the documents that are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlm.artifacts import sha256_file
from tlm.errors import TlmError
from tlm.formats.files import Input
from tlm.tasks.parsers import Example

_WORDS = 5  # shorter texts ("thank you") occur anywhere
_SHARE, _COUNT = (
    0.1,
    3,
)  # dev and test texts among the documents of a file from which on it is a copy of the task


def check_apart(task: Sequence[Path], corpus: Sequence[Path], option: str = "--corpus") -> None:
    """Raise TlmError for a file of the corpus that is a file of the task, or has the same content as one."""
    sizes = {path.stat().st_size for path in task}
    digests: dict[str, Path] = {}
    for path in corpus:
        if path.resolve() in {each.resolve() for each in task}:
            raise TlmError(
                f"{path}: in --task and in {option}: its test texts would be trained on; take it out of {option}"
            )
        if path.stat().st_size in sizes:
            digests = digests or {sha256_file(each): each for each in task}
            if same := digests.get(sha256_file(path)):
                raise TlmError(
                    f"{path}: has the same content as {same} of --task: its test texts would be trained on; take it out"
                    f" of {option}"
                )


@dataclass
class HeldOut:
    """The dev and test texts of a task, and the number of documents in which they were found."""

    texts: frozenset[str] = frozenset()
    option: str = "--corpus"
    found: set[str] = field(default_factory=set)
    documents: int = 0

    @classmethod
    def of(cls, examples: Iterable[Example], option: str = "--corpus") -> HeldOut:
        """The dev and test texts of at least five words; of a pair, each text."""
        parts = (
            part
            for example in examples
            if example.split in ("dev", "test")
            for part in (example.text, example.text_pair)
            if part and len(part.split()) >= _WORDS
        )
        return cls(frozenset(map(str.casefold, parts)), option)

    def checked(self, file: Input, documents: Iterable[list[str]]) -> Iterator[list[str]]:
        """The documents of a file, unchanged. Raises TlmError at the end if a tenth of them are held-out texts."""
        read = equal = 0
        for document in documents:
            read += 1
            text = " ".join(document).casefold()
            if text in self.texts:
                equal += 1
                self.found.add(text)
            yield document
        self.documents += read
        if equal >= _COUNT and equal >= _SHARE * read:
            raise TlmError(
                f"{file}: {equal:,} of {read:,} texts are dev or test texts of the task, which would be trained on;"
                f" take the file out of {self.option}"
            )

    def notes(self) -> list[str]:
        """A line about single texts that were found."""
        if not self.found:
            return []
        return [
            f"{len(self.found):,} dev and test texts are among the {self.documents:,} texts read from {self.option}; to"
            " leave such passages out: `exclude: contaminated` in config/config.yaml (docs/contamination.md)"
        ]
