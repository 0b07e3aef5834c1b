"""Faults of labelled texts that reading does not show: too few texts, one label in two spellings, leaks.

Place in the flow: the rows of `tlm new` → here → `arrange`. `check` raises; `notes` returns lines for the user.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tlm.config.own import OwnTask
from tlm.errors import TlmError, did_you_mean
from tlm.problems import PROBLEMS
from tlm.tasks.label_sets import labels_in, renamed
from tlm.tasks.parsers import Example
from tlm.tasks.splits import key

FEW_TEXTS = 10
"""Different texts below which no split has something to learn from and to score."""

FEW_ROWS = 20
"""Rows of one of several labels below which a note proposes to leave it out."""

_MISSING = ("nan", "none", "null", "n/a", "<na>", "#n/a", "nil")
_SAMPLE = 5000  # rows in which words are counted
_DECIDES = 0.98  # F1 of a single word as a classifier, above which it decides a label
_WORDS = re.compile(r"\w+")


def merged(examples: Sequence[Example], names: Mapping[str, str]) -> list[Example]:
    """The rows with their labels renamed. Raises TlmError for a name that no row has as its label."""
    found = set(_counts(examples))
    for old, new in names.items():
        if old not in found:
            raise TlmError(
                f"--merge {old}={new}: no row has the label {old!r}{did_you_mean(old, found)}; there are"
                f" {', '.join(sorted(found)[:20])}"
            )
    return [replace(example, label=renamed(example.label, names)) for example in examples]


def _counts(examples: Sequence[Example]) -> Counter[str]:
    """Label → rows, without missing labels; a row can have several."""
    return Counter(label for example in examples for label in labels_in(example.label) if label)


def check(examples: Sequence[Example], task: OwnTask) -> None:
    """Raise TlmError for too few different texts, unsuitable labels, and a label with a single text."""
    texts = {key(example) for example in examples}
    if len(texts) < FEW_TEXTS < len(examples):
        columns = task.text if isinstance(task.text, str) else " and ".join(task.text)
        raise TlmError(
            f"{len(examples)} rows hold only {len(texts)} different texts in column {columns}, and equal texts stay in"
            " one split; name another column with --text"
        )
    problem = PROBLEMS[task.problem]
    if problem.many:
        _check_label_sets(examples)
    elif problem.has_labels:
        _check_classes(examples, task.label)
    else:
        _check_numbers(examples, task.label)


def _check_numbers(examples: Sequence[Example], column: str) -> None:
    values = {example.label for example in examples}
    if len(values) == 1 and examples:
        raise TlmError(f"column {column!r} is {values.pop()} in every row; name another --label")


def _check_label_sets(examples: Sequence[Example]) -> None:
    seen = _counts(examples)
    once = sum(count == 1 for count in seen.values())
    if len(seen) > 20 and once > len(seen) / 2:
        raise TlmError(
            f"the rows have {len(seen)} different labels, and {once} of them occur in one row: too many to learn; name"
            " another --label, or replace rare labels (--merge OLD=NEW)"
        )


def _check_classes(examples: Sequence[Example], column: str) -> None:
    seen = _counts(examples)
    if len(seen) > 20 and len(seen) > len(examples) / 5:
        hint = "add --regression" if all(map(_is_number, seen)) else "name another --label"
        raise TlmError(
            f"column {column!r} has {len(seen)} different values in {len(examples)} rows, too many for classes; {hint}"
        )
    first = {str(example.label): example for example in reversed(examples)}
    for label, count in sorted(seen.items()):
        if count == 1 and len(seen) > 1:
            alike = [pair for pair in _merges(seen) if pair.startswith(f"{label}=")]
            merge = f"--merge {shlex.quote(alike[0])}" if alike else "--merge OLD=NEW"
            raise TlmError(
                f"{first[label].where}: label {label!r} in column {column} has only this row, which cannot be in both"
                f" train and test; add rows, delete this row, or merge the label with another ({merge})"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def notes(examples: Sequence[Example], task: OwnTask) -> list[str]:
    """Lines about labels in several spellings or for missing values, and about texts that hold their label."""
    problem = PROBLEMS[task.problem]
    if not problem.has_labels or not examples:
        return []
    counts = _counts(examples)
    found = []
    if merges := _merges(counts):
        labels = sorted({part for pair in merges for part in pair.split("=", 1)})
        shown = ", ".join(f"{label!r} ({counts[label]:,} rows)" for label in labels)
        found.append(
            f"the labels {shown} look alike; to make them one: --merge {' '.join(map(shlex.quote, merges))}"
        )
    for label in counts:
        if label.casefold() in _MISSING:
            found.append(
                f"the label {label!r} ({counts[label]:,} rows) looks like a missing value; if it is one, empty these"
                " cells and give --skip-empty"
            )
    if problem.many:
        rare = sorted(label for label, rows in counts.items() if rows < FEW_ROWS)
        if rare:
            shown = ", ".join(rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
            found.append(
                f"{len(rare)} of {len(counts)} labels have fewer than {FEW_ROWS} rows ({shown}), too few to learn"
                f" and to score well; to leave one out: --merge {shlex.quote(rare[0] + '=')}"
            )
        return found
    return [*found, *_leaks(examples[:: -(-len(examples) // _SAMPLE)])]


def _merges(counts: Mapping[str, int]) -> list[str]:
    """`OLD=NEW` for labels that differ in case, separators or the spelling of a number; NEW is the most frequent."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        alike[_normal(label)].append(label)
    groups = [sorted(group, key=lambda each: (-counts[each], each)) for group in alike.values()]
    return [f"{old}={group[0]}" for group in sorted(groups) for old in group[1:]]


def _normal(label: str) -> str:
    return f"{float(label):g}" if _is_number(label) else " ".join(re.split(r"[\s_-]+", label.casefold()))


def _leaks(examples: Sequence[Example]) -> list[str]:
    rows = [
        (
            str(example.label),
            frozenset(_WORDS.findall(f"{example.text} {example.text_pair or ''}".casefold())),
        )
        for example in examples
    ]
    sizes = Counter(label for label, _ in rows)
    if len(sizes) < 2:
        return []
    if note := _own_label(rows, sizes):
        return [note]
    holding: dict[str, Counter[str]] = {label: Counter() for label in sizes}
    total: Counter[str] = Counter()
    for label, words in rows:
        holding[label].update(words)
        total.update(words)
    found: dict[str, str] = {}
    for label, counts in holding.items():
        # F1 of "the label is this one where the text holds the word".
        scores = {word: 2 * count / (total[word] + sizes[label]) for word, count in counts.items()}
        best = max(scores, key=lambda word: (scores[word], word), default=None)
        if best is not None and scores[best] >= _DECIDES and sizes[label] >= FEW_TEXTS:
            found[label] = best
    if (
        len(found) < len(sizes) - 1 or not found
    ):  # the last label is known by the absence of the others' words
        return []
    shown = ", ".join(f"{word!r} for {label!r}" for label, word in list(found.items())[:3])
    return [
        f"one word decides the label in 98 % of the texts: {shown}; if the word came with the label, remove it from the"
        " texts"
    ]


def _own_label(rows: Sequence[tuple[str, frozenset[str]]], sizes: Mapping[str, int]) -> str | None:
    """A note if texts hold the words of their own label, and of no other label."""
    named = {label: frozenset(_WORDS.findall(label.casefold())) for label in sizes}
    if not all(named.values()):
        return None
    own = sum(named[label] <= words for label, words in rows) / len(rows)
    others = sum(
        words_of <= words for label, words in rows for other, words_of in named.items() if other != label
    ) / (len(rows) * (len(sizes) - 1))
    if own < 0.9 or others > 0.1:
        return None
    return (
        f"the text holds its own label in {own:.0%} of the rows, so reading the label is enough; check the columns of"
        " --text"
    )
