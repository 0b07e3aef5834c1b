"""Reproducible splits: by hash of documents or of texts, with no text in two splits.

Place in the flow: between the parsers and the files of a task. No random generator is involved: a row's split
depends on its document or text and on the seed. The order of files does not matter, and with `by: document` new data
moves no row that was there. Rows with several labels are split by iterative stratification (Sechidis et al. 2011).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tlm.config.data import SplitRule
from tlm.config.parser_specs import Split
from tlm.tasks.label_sets import Label, labels_in
from tlm.tasks.parsers import Example

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def key(example: Example) -> str:
    """A key that is equal for equal texts, without regard to letter case (white space is clean already)."""
    return f"{example.text}\t{example.text_pair or ''}".casefold()


def fraction(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on `seed` and `name` alone, evenly spread."""
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_examples(examples: Sequence[Example], rule: SplitRule) -> list[Example]:
    """Assign a split by `rule` to every row without a given dev or test split. Keeps the order."""
    given = {example.split for example in examples}
    # With a test (or dev) file, that split takes no other rows.
    dev = 0.0 if "dev" in given else rule.dev
    test = 0.0 if "test" in given else rule.test
    free = [example for example in examples if example.split not in ("dev", "test")]
    if rule.by == "document":
        names = {example.document for example in free}
        chosen = {name: _by_threshold(fraction(rule.seed, name), dev, test) for name in names}
        assigned = [chosen[example.document] for example in free]
    elif any(isinstance(example.label, tuple) for example in free):
        assigned = _iterative(free, rule.seed, {"train": 1 - dev - test, "dev": dev, "test": test})
    else:
        assigned = _stratified(free, rule.seed, dev, test)
    result = iter(assigned)
    return [
        example if example.split in ("dev", "test") else replace(example, split=next(result))
        for example in examples
    ]


def _by_threshold(at: float, dev: float, test: float) -> Split:
    return "test" if at < test else "dev" if at < test + dev else "train"


def _stratified(examples: Sequence[Example], seed: int, dev: float, test: float) -> list[Split]:
    """Per label, the texts in the order of their hashes fill test, then dev, then train.

    Equal texts count as one, so that they land together.
    """
    rows_of = _rows_of_texts(examples)
    texts_of: dict[Label, list[str]] = defaultdict(list)
    for text, indices in rows_of.items():
        texts_of[examples[indices[0]].label].append(text)
    chosen: list[Split] = ["train"] * len(examples)
    for texts in texts_of.values():
        texts.sort(key=lambda text: (fraction(seed, text), text))
        total = sum(len(rows_of[text]) for text in texts)
        filled = 0
        for text in texts:
            split = _by_threshold(filled / total, round(dev * total) / total, round(test * total) / total)
            for index in rows_of[text]:
                chosen[index] = split
            filled += len(rows_of[text])
    return chosen


def _rows_of_texts(examples: Sequence[Example]) -> dict[str, list[int]]:
    """Key of a text → the indices of its rows."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        rows_of[key(example)].append(index)
    return rows_of


def _iterative(examples: Sequence[Example], seed: int, shares: Mapping[Split, float]) -> list[Split]:
    """Iterative stratification: every split gets its share of the rows of every label, rare labels first.

    Of the label with the fewest texts left, each text goes to the split that lacks most rows of this label, then to
    the one that lacks most rows. Texts without a label fill the splits at the end. Equal texts count as one.
    """
    rows_of = _rows_of_texts(examples)
    texts = sorted(rows_of, key=lambda text: (fraction(seed, text), text))
    labels_of = {text: labels_in(examples[rows_of[text][0]].label) for text in texts}
    waiting: dict[str, list[str]] = defaultdict(list)
    rows: Counter[str] = Counter()
    for text in texts:
        for label in labels_of[text]:
            waiting[label].append(text)
            rows[label] += len(rows_of[text])
    splits = [split for split in SPLITS if shares[split] > 0]
    lacking = {split: shares[split] * len(examples) for split in splits}
    of_label = {label: {split: shares[split] * rows[label] for split in splits} for label in waiting}
    left = {label: len(found) for label, found in waiting.items()}
    chosen: dict[str, Split] = {}

    def place(text: str, wanted: Mapping[Split, float]) -> None:
        split = max(splits, key=lambda each: (wanted[each], lacking[each]))
        chosen[text] = split
        lacking[split] -= len(rows_of[text])
        for label in labels_of[text]:
            of_label[label][split] -= len(rows_of[text])
            left[label] -= 1

    while open_labels := [label for label, count in left.items() if count]:
        rarest = min(open_labels, key=lambda label: (left[label], label))
        for text in waiting[rarest]:
            if text not in chosen:
                place(text, of_label[rarest])
    for text in texts:
        if text not in chosen:
            place(text, lacking)
    return [chosen[key(example)] for example in examples]


def without_straddlers(
    examples: Sequence[Example], given: Collection[Split | None] = ()
) -> tuple[list[Example], dict[str, int]]:
    """Drop from dev and test the texts of train, and from dev those of test; also returns the dropped rows per split.

    For splits by document, where two documents can hold the same sentence: train keeps it, and no scored text was
    trained on. The splits in `given` came with the data and stay unchanged: their duplicates are reported only.
    """
    texts = {split: {key(example) for example in examples if example.split == split} for split in SPLITS}
    forbidden: dict[Split | None, set[str]] = {
        "train": set(),
        "dev": texts["train"] | texts["test"],
        "test": texts["train"],
    }
    kept = []
    removed = {"dev": 0, "test": 0}
    for example in examples:
        if example.split not in given and key(example) in forbidden[example.split]:
            removed[str(example.split)] += 1
        else:
            kept.append(example)
    return kept, removed


def duplicates(examples: Sequence[Example]) -> dict[str, int]:
    """How many rows repeat a text: within each split, and across, counted in the later split.

    `test_in_train` = rows of test whose text occurs in train. `conflicting_labels` = texts with two labels.
    """
    texts = {split: [key(example) for example in examples if example.split == split] for split in SPLITS}
    sets = {split: set(texts[split]) for split in SPLITS}
    labels: dict[str, set[Label]] = defaultdict(set)
    for example in examples:
        labels[key(example)].add(example.label)
    counts = {f"within_{split}": len(texts[split]) - len(sets[split]) for split in SPLITS}
    pairs: tuple[tuple[Split, Split], ...] = (("dev", "train"), ("test", "train"), ("test", "dev"))
    for later, earlier in pairs:
        counts[f"{later}_in_{earlier}"] = sum(text in sets[earlier] for text in texts[later])
    counts["conflicting_labels"] = sum(len(each) > 1 for each in labels.values())
    return counts


def limited(examples: Sequence[Example], limit: Mapping[Split, int], seed: int) -> list[Example]:
    """At most `limit[split]` rows of each split: those whose texts hash lowest, in their old order."""
    taken: set[int] = set()
    for split in SPLITS:
        indices = [index for index, example in enumerate(examples) if example.split == split]
        if split in limit and len(indices) > limit[split]:
            # Another salt than the split's, so that sample and split are independent.
            indices.sort(key=lambda index: (fraction(seed, f"limit\0{key(examples[index])}"), index))
            indices = indices[: limit[split]]
        taken.update(indices)
    return [example for index, example in enumerate(examples) if index in taken]
