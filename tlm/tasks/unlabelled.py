"""Unlabelled texts of a task: queries of retrieval and internal data for masked language modelling.

Place in the flow: called by `tlm.tasks.build`. No unlabelled text equals a labelled one: dev and test texts must not be
trained on, and training texts are internal data already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tlm.config.data import TaskSpec, Unlabelled
from tlm.config.parser_specs import Delimited
from tlm.errors import TlmError
from tlm.formats.files import Input, find
from tlm.formats.registry import format_of, read_chunks, read_rows, recognised
from tlm.formats.tables import Setting, declared_options
from tlm.tasks.parsers import Example
from tlm.tasks.splits import key
from tlm.text import clean

_REASONS = {
    "empty": "empty",
    "repeated": "repeated",
    "in_train": "equal to a training text",
    "in_dev": "equal to a dev text",
    "in_test": "equal to a test text",
}

Text = tuple[str, str | None]
"""A text, and the second text of a pair."""


def unlabelled_texts(spec: TaskSpec, source_dir: Path) -> Iterator[Text]:
    """The texts of the task's unlabelled files in `source_dir`, in order; a missing text is an empty string."""
    assert spec.unlabelled is not None
    return read_unlabelled(reader_of(spec, spec.unlabelled), find(source_dir, spec.unlabelled.files))


def reader_of(spec: TaskSpec, unlabelled: Unlabelled) -> Delimited:
    """How the unlabelled files are read: as those of the task, with the same columns unless others are named."""
    parser = spec.parser if isinstance(spec.parser, Delimited) else Delimited(format="delimited")
    return parser.model_copy(update={"text": unlabelled.text or parser.text})


def read_unlabelled(
    parser: Delimited,
    files: Sequence[Input],
    flags: Mapping[str, str] | None = None,
    settings: Mapping[Setting, str] | None = None,
) -> Iterator[Text]:
    """The texts of files with columns, of the lines of text files, and of whole web pages.

    For error messages: `flags`, column → command-line option; `settings`, setting of a reader → command-line option.
    Raises TlmError for a text file if the task has pairs of texts.
    """
    columns = [parser.text] if isinstance(parser.text, str) else parser.text
    pair = [parser.text_pair] if parser.text_pair else []
    options = declared_options(parser, [*columns, *pair], flags, settings)
    for file in files:
        kind = None if recognised(file) else parser.kind
        if format_of(file, kind).columns:
            for _, values in read_rows(file, replace(options, kind=kind)):
                text = clean(" ".join(values[column] or "" for column in columns))
                yield text, clean(values[pair[0]] or "") if pair else None
        elif pair:
            raise TlmError(f"{file}: the task has pairs of texts, so its unlabelled texts need two columns")
        else:
            whole = replace(options, kind=kind, required=(), text="text")
            for chunk in read_chunks(file, whole, 128):
                yield from ((clean(text), None) for text in chunk.values("text"))


def without_labelled(texts: Iterable[Text], examples: Iterable[Example]) -> tuple[list[Text], dict[str, int]]:
    """The texts that are not empty and equal no earlier one and no labelled text; and counts of the others by reason.

    Equal means equal without regard to letter case.
    """
    known: dict[str, str] = {}
    for example in examples:
        known[key(example)] = f"in_{example.split}"
    kept: list[Text] = []
    left_out: Counter[str] = Counter()
    for text, pair in texts:
        name = f"{text}\t{pair or ''}".casefold()
        if not text or pair == "":
            left_out["empty"] += 1
        elif reason := known.get(name):
            left_out[reason] += 1
        else:
            known[name] = "repeated"
            kept.append((text, pair))
    return kept, dict(sorted(left_out.items()))


def describe(kept: int, left_out: Mapping[str, int]) -> str:
    """`900 unlabelled texts; left out: 12 repeated, 3 equal to a test text`."""
    parts = [f"{left_out[reason]:,} {words}" for reason, words in _REASONS.items() if reason in left_out]
    return f"{kept:,} unlabelled texts" + (f"; left out: {', '.join(parts)}" if parts else "")
