"""Findings in a user's files: rows, classes and duplicates of the task; files, size and passages of the corpus.

Place in the flow: `OwnSpec` → here → `tlm.own.defaults` and the lines that `tlm new` prints. The task is read as
`tlm.tasks.build` will read it, with the same checks. A small corpus is read whole; of a large one some documents of
many files are read, so that a hundred gigabytes take seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tlm.config.data import CorpusPart, TaskSpec
from tlm.config.own import OwnCorpus, OwnSpec, OwnTask, all_paths
from tlm.config.parser_specs import Delimited, Mixed, Split
from tlm.config.sources import FileSpec, local_matches, why_no_file
from tlm.corpus.build import cut
from tlm.corpus.parsers import as_delimited, documents
from tlm.errors import TlmError
from tlm.formats.delimited import NAMES, recognised_delimiter
from tlm.formats.files import Input, members, open_text
from tlm.formats.registry import recognised
from tlm.formats.tables import OPTIONS, Setting, TableOptions, declared_options
from tlm.own import task_checks
from tlm.own.language import Writing, guess
from tlm.own.overlap import HeldOut, check_apart
from tlm.plan.own_tasks import task_spec
from tlm.problems import PROBLEMS
from tlm.tasks.build import arrange
from tlm.tasks.parsers import Example, delimited
from tlm.tasks.unlabelled import Text, describe, read_unlabelled, reader_of, without_labelled

CORPUS_OPTIONS: dict[Setting, str] = {
    key: option.replace("--", "--corpus-", 1) for key, option in OPTIONS.items()
}
"""A setting of the reader of the corpus's files → its option of `tlm new`."""

SMALL = 16 << 20
"""Bytes on disk up to which a corpus is read whole."""

_FILES = 100  # number of sampled files of a large corpus
_DOCUMENTS, _CHARACTERS = 200, 200_000  # the sample of a file ends at the first of these limits
_UNSPACED = 0.3  # share of letters of scripts without spaces above which a text counts as unspaced
_SWELLS = {
    ".gz": 2.8,
    ".zst": 3.0,
    ".bz2": 3.8,
    ".xz": 3.8,
    ".parquet": 1.8,
    ".zip": 2.8,
}  # text for a byte on disk
_TEXT_SHARE = 0.95  # of a plain file; the rest is markup, ids and line ends


@dataclass(frozen=True)
class TaskFindings:
    """A task as it will be built."""

    examples: Sequence[Example]
    labels: Sequence[str]
    counts: Mapping[str, Any]
    """As in the manifest of the task."""
    writing: Writing
    pair: bool
    unlabelled: Sequence[Text] = ()
    """The unlabelled texts that equal no labelled one."""
    unlabelled_left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason → number of the others."""
    notes: Sequence[str] = ()
    """Lines for the user."""

    def rows(self, split: Split) -> int:
        """Rows of a split."""
        return int(self.counts["rows"][split])

    @property
    def texts(self) -> list[str]:
        """The texts of train, those of a pair together."""
        return [
            f"{each.text} {each.text_pair or ''}".strip() for each in self.examples if each.split == "train"
        ]


@dataclass(frozen=True)
class CorpusFindings:
    """A corpus, estimated from a sample."""

    files: int
    disk_bytes: int
    text_bytes: float
    passages: float
    whole: bool
    """Whether all of it was read, so that the numbers are exact up to duplicates."""
    sample: Sequence[str]
    """Passages."""
    sampled_files: int
    """Files of which documents were read."""
    writing: Writing
    notes: Sequence[str] = ()
    """Lines for the user."""


@dataclass(frozen=True)
class Findings:
    """Findings in task and corpus, and the completed declaration of the corpus."""

    task: TaskFindings
    corpus: CorpusFindings | None
    """None for a corpus that is declared elsewhere."""
    corpus_spec: OwnCorpus | str
    unspaced: bool
    """Whether the writing has no spaces between words."""


def read_data(name: str, spec: OwnSpec, unspaced: bool | None = None) -> Findings:
    """Read task and corpus; `unspaced=None` guesses it from the task. Raises TlmError for every fault of the data."""
    if isinstance(spec.corpus, OwnCorpus):
        task_files = resolved(all_paths(spec.task.files), "--task")
        check_apart(task_files, resolved(spec.corpus.paths, "--corpus"))
    task = read_task(name, spec)
    if unspaced is None:
        unspaced = task.writing.unspaced > _UNSPACED
    if isinstance(spec.corpus, str):
        return Findings(task, None, spec.corpus, unspaced)
    changes: dict[str, Any] = {"spaces": False} if unspaced else {}
    if unit := unit_of(resolved(spec.corpus.paths, "--corpus"), spec.corpus.encodings):
        changes["unit"] = unit
    corpus = spec.corpus.model_copy(update=changes)
    return Findings(task, read_corpus(corpus, HeldOut.of(task.examples)), corpus, unspaced)


def resolved(paths: Iterable[str], option: str) -> list[Path]:
    """The files of paths, folders and globs, each once. Raises TlmError naming `option` for one without a file."""
    found: dict[Path, Path] = {}
    for path in paths:
        matching = local_matches(FileSpec(uri=f"file://{path}"))
        if not matching:
            raise TlmError(f"{option} {path}: {why_no_file(path)}")
        for each in matching:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def read_task(name: str, spec: OwnSpec) -> TaskFindings:
    """Read, check and split the task.

    Raises TlmError naming file, row and column of a fault, as the build does; also for the faults that
    `tlm.own.task_checks` finds.
    """
    task = task_spec(name, spec.task, f"task {name}")
    assert isinstance(task.parser, Delimited)
    named = spec.task.files if isinstance(spec.task.files, dict) else {None: spec.task.files}
    inputs: list[tuple[Split | None, Input]] = [
        (split, source)
        for split, paths in named.items()
        for path in resolved(all_paths(paths), f"--{split}" if split in ("dev", "test") else "--task")
        for source in members(path)
    ]
    left_out: Counter[str] = Counter()
    raw = task.parser.model_copy(update={"label_names": {}})
    flags = _task_options(task.parser)
    examples = list(delimited(raw, inputs, left_out, flags, OPTIONS, many=PROBLEMS[task.problem].many))
    if not examples:
        raise TlmError(f"--task {' '.join(all_paths(spec.task.files))}: has no rows")
    examples = task_checks.merged(examples, spec.task.label_names)
    task_checks.check(examples, spec.task)
    notes = delimiters((source for _, source in inputs), declared_options(raw, list(flags), flags, OPTIONS))
    notes += task_checks.notes(examples, spec.task)
    examples, labels, counts = arrange(name, task, examples, left_out)
    writing = guess([example.text for example in examples[:: max(1, len(examples) // 500)]])
    more, without = _unlabelled(task, spec.task, examples)
    return TaskFindings(
        examples, labels, counts, writing, task.parser.text_pair is not None, more, without, notes
    )


def _unlabelled(
    task: TaskSpec, own: OwnTask, examples: Sequence[Example]
) -> tuple[list[Text], dict[str, int]]:
    """The texts of --unlabelled as the build will use them. Raises TlmError if there are none."""
    if own.unlabelled is None or task.unlabelled is None:
        return [], {}
    paths = resolved(all_paths(own.unlabelled), "--unlabelled")
    check_apart(resolved(all_paths(own.files), "--task"), paths, "--unlabelled")
    parser = reader_of(task, task.unlabelled)
    columns = [parser.text] if isinstance(parser.text, str) else parser.text
    flags = dict.fromkeys(columns, "--unlabelled-text")
    files = [source for path in paths for source in members(path)]
    kept, left_out = without_labelled(read_unlabelled(parser, files, flags, OPTIONS), examples)
    if not kept:
        reasons = describe(0, left_out)
        raise TlmError(f"--unlabelled {' '.join(all_paths(own.unlabelled))}: {reasons}; give other texts")
    return kept, left_out


def delimiters(sources: Iterable[Input], options: TableOptions) -> list[str]:
    """A note for each file whose delimiter is not the usual one of its suffix."""
    found = ((source, recognised_delimiter(source, options)) for source in sources)
    return [f"{source}: its delimiter is {NAMES[each]}" for source, each in found if each]


def _task_options(parser: Delimited) -> dict[str, str]:
    """Column → the option of `tlm new` that names it."""
    texts = [parser.text] if isinstance(parser.text, str) else parser.text
    others = {"--document": parser.document, "--pair": parser.text_pair, "--label": parser.label}
    options = {column: option for option, column in others.items() if column is not None}
    return {
        **options,
        **dict.fromkeys(texts, "--text"),
        **dict.fromkeys(parser.label_columns or (), "--label-columns"),
    }


def read_corpus(corpus: OwnCorpus, held_out: HeldOut | None = None) -> CorpusFindings:
    """Read the corpus or a sample.

    Raises TlmError naming the file, row and column of the first fault that is read; and for a file with many of the
    dev and test texts `held_out`.
    """
    held_out = held_out or HeldOut()
    paths = resolved(corpus.paths, "--corpus")
    files = [source for path in paths for source in members(path)]
    disk = sum(path.stat().st_size for path in paths)
    whole = disk <= SMALL
    chosen = files if whole else files[:: max(1, -(-len(files) // _FILES))]
    parser = Mixed.model_validate(corpus.parser)
    part = CorpusPart(source="own", parser=parser)
    options = dict.fromkeys([corpus.text] if isinstance(corpus.text, str) else corpus.text, "--corpus-text")
    left_out: Counter[str] = Counter()
    sample: list[str] = []
    text = 0
    for file in chosen:
        for document in held_out.checked(
            file, _some(documents(part, [file], left_out, options, CORPUS_OPTIONS), whole)
        ):
            found = cut(document, corpus.min_words, corpus.max_words, spaces=corpus.spaces)
            text += sum(len(passage.encode()) for passage in found)
            sample += found
    if not sample:
        raise TlmError(f"--corpus {' '.join(corpus.paths)}: no text in {len(chosen)} of {len(files)} files")
    size = float(text) if whole else sum(path.stat().st_size * swells(path) for path in paths)
    return CorpusFindings(
        files=len(files),
        disk_bytes=disk,
        text_bytes=size,
        passages=size * len(sample) / text,
        whole=whole,
        sample=sample,
        sampled_files=len(chosen),
        writing=guess(sample[:: max(1, len(sample) // 500)]),
        notes=[
            *delimiters(
                chosen, declared_options(as_delimited(parser), list(options), options, CORPUS_OPTIONS)
            ),
            *held_out.notes(),
        ],
    )


def _some(found: Iterator[list[str]], whole: bool) -> Iterator[list[str]]:
    """All documents, or the first ones of a file."""
    if whole:
        yield from found
        return
    characters = 0
    for document in islice(found, _DOCUMENTS):
        yield document
        characters += sum(map(len, document))
        if characters > _CHARACTERS:
            return


def swells(path: Path) -> float:
    """Bytes of text per byte on disk; a typical ratio for compressed files."""
    return _SWELLS.get(path.suffix.lower(), _TEXT_SHARE)


def percentiles(lengths: Iterable[int]) -> dict[str, int]:
    """Median, the length that 95 % do not exceed, and the longest."""
    found = np.fromiter(lengths, np.int64)
    return {
        "median": int(np.median(found)),
        "p95": int(np.percentile(found, 95, method="higher")),
        "longest": int(found.max()),
    }


def unit_of(paths: Sequence[Path], encodings: Sequence[str]) -> str | None:
    """The unit of a document in the .txt files among `paths`: `paragraph` or `line`; None if there are none.

    Decided by the beginnings of some files: blank lines separate paragraphs.
    """
    found = [source for path in paths for source in members(path)]
    texts = [
        source for source in found if (known := recognised(source)) and not known.columns and not known.whole
    ]
    votes: Counter[str] = Counter()
    for source in texts[:: max(1, -(-len(texts) // 20))]:
        with open_text(source, encodings, option=CORPUS_OPTIONS["encodings"]) as stream:
            lines = [line.strip() for line in islice(stream, 2000)]
        filled = sum(map(bool, lines))
        votes["paragraph" if filled <= 1 or len(lines) - filled > filled / 50 else "line"] += 1
    return votes.most_common(1)[0][0] if votes else None
