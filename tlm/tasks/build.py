"""The task stage: a source's labelled rows, checked, split and written as the `task` artifact.

Place in the flow: after sources; every training text becomes a query for retrieval, and all three splits are
tokenised. A fault of the data stops the build with the file and the row; no row is dropped in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_manifest
from tlm.config.data import TaskSpec
from tlm.config.parser_specs import Delimited
from tlm.errors import TlmError
from tlm.layout import UNLABELLED
from tlm.problems import PROBLEMS
from tlm.tasks.label_sets import labels_in
from tlm.tasks.parsers import Example, parse_examples
from tlm.tasks.splits import SPLITS, duplicates, key, limited, split_examples, without_straddlers
from tlm.tasks.unlabelled import Text, describe, unlabelled_texts, without_labelled

_LIMIT_SEED = 1


def build_task(name: str, spec: TaskSpec, source_dir: Path, destination: Path) -> Manifest:
    """Write `train.parquet`, `dev.parquet`, `test.parquet` and the manifest of the task to `destination`.

    A task with a hidden test split has no `test.parquet`.

    With `spec.unlabelled` there is also an `unlabelled.parquet`, without the texts that equal a labelled one.

    Columns: `row_id` int64 (dense over train, dev, test, unlabelled in this order), `text`, `text_pair` (pair tasks
    only), `label` (string, a list of strings for multi_label, float64 for regression). Raises TlmError, naming file and
    row, for a row without label, an empty text, a label outside the declared set or not a number, undecodable text, a
    missing column; and for a single class or an empty split.
    """
    source = read_manifest(source_dir, "source")
    left_out: Counter[str] = Counter()
    examples, labels, counts = arrange(name, spec, parse_examples(spec, source_dir, left_out), left_out)
    _print_repeated(name, counts)
    more: list[Text] = []
    if spec.unlabelled is not None:
        more, without = without_labelled(unlabelled_texts(spec, source_dir), examples)
        counts["unlabelled"] = {"rows": len(more), "left_out": without}
        print(f"task {name}: {describe(len(more), without)}")
    with staged_directory(destination) as staging:
        _write(examples, spec, staging)
        if more:
            _write_unlabelled(more, len(examples), staging)
        return write_manifest(
            staging,
            "task",
            counts=counts,
            parameters={
                "task": name,
                "problem": spec.problem,
                "labels": labels,
                "metric": spec.metric,
                "pair": examples[0].text_pair is not None,
                "spec": spec.model_dump(mode="json"),
            },
            inputs={f"source/{spec.source}": source.digest},
        )


def arrange(
    name: str, spec: TaskSpec, rows: Iterable[Example], left_out: Counter[str]
) -> tuple[list[Example], list[str], dict[str, Any]]:
    """Check and split `rows`: the examples with their splits, the labels, and the counts of the manifest.

    Raises TlmError as `build_task` does. `left_out` counts what reading `rows` leaves out.
    """
    examples = [_checked(example, spec) for example in rows]
    if not examples:
        raise TlmError(f"task {name}: source {spec.source} has no rows; correct `parser:` or the files")
    removed = {"dev": 0, "test": 0}
    seed = _LIMIT_SEED
    if spec.split != "given":
        given = {example.split for example in examples}
        examples, removed = without_straddlers(split_examples(examples, spec.split), given)
        seed = spec.split.seed
    available = Counter(example.split for example in examples)
    examples = limited(examples, spec.limit, seed)
    labels = _labels(name, examples, spec)
    _check_splits(name, examples, spec)
    counts: dict[str, Any] = {
        "rows": {split: sum(example.split == split for example in examples) for split in SPLITS},
        "rows_before_limit": {split: available[split] for split in SPLITS},
        "documents": len({example.document for example in examples}),
        "duplicates": duplicates(examples),
        "removed_for_straddling": removed,
        "left_out": dict(sorted(left_out.items())),
    }
    problem = PROBLEMS[spec.problem]
    if problem.has_labels:
        counts["labels"] = {
            split: {label: count[label] for label in labels}
            for split in SPLITS
            for count in [
                Counter(
                    label
                    for example in examples
                    if example.split == split
                    for label in labels_in(example.label)
                )
            ]
        }
    if problem.many:
        counts["label_sets"] = {
            split: _label_sets([labels_in(example.label) for example in examples if example.split == split])
            for split in SPLITS
        }
    return examples, labels, counts


def _label_sets(sets: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Rows without a label, labels of all rows together, the most labels of a row, and the number of distinct sets."""
    return {
        "without": sum(not each for each in sets),
        "labels": sum(map(len, sets)),
        "most": max(map(len, sets), default=0),
        "distinct": len(set(sets)),
    }


def _print_repeated(name: str, counts: Mapping[str, Any]) -> None:
    """Print how many dev and test texts also occur in train: given splits are not changed."""
    for split in ("dev", "test"):
        if repeated := counts["duplicates"][f"{split}_in_train"]:
            print(
                f"task {name}: {repeated} of {counts['rows'][split]} {split} texts also occur in train; they are kept"
            )


def _checked(example: Example, spec: TaskSpec) -> Example:
    """The example. Raises TlmError naming its first fault."""
    if example.label == "":
        empty = "; write [] for a row without labels" if PROBLEMS[spec.problem].many else ""
        raise TlmError(f"{example.where}: no label{_column(spec, 'label')}{empty}")
    if not example.text:
        raise TlmError(f"{example.where}: empty text{_column(spec, 'text')}")
    if example.text_pair == "":
        raise TlmError(f"{example.where}: empty second text of the pair{_column(spec, 'text_pair')}")
    if spec.labels is not None:
        for label in labels_in(example.label):
            if label not in spec.labels:
                raise TlmError(f"{example.where}: label {label!r} is not one of {', '.join(spec.labels)}")
    if spec.problem == "regression":
        try:
            finite = abs(float(str(example.label))) < float("inf")
        except ValueError:
            finite = False
        if not finite:
            raise TlmError(
                f"{example.where}: label {example.label!r} is not a number{_column(spec, 'label')}"
            )
    return example


def _column(spec: TaskSpec, role: Literal["text", "text_pair", "label"]) -> str:
    """The column of a fault, for rows of delimited files."""
    if not isinstance(spec.parser, Delimited):
        return ""
    column = getattr(spec.parser, role)
    return f" in column {column if isinstance(column, str) else ' and '.join(column)}"


def _labels(name: str, examples: Sequence[Example], spec: TaskSpec) -> list[str]:
    """The label set: as declared, or as it occurs in training, sorted. Empty for regression."""
    problem = PROBLEMS[spec.problem]
    if not problem.has_labels:
        return []
    train = {label for example in examples if example.split == "train" for label in labels_in(example.label)}
    if len(train) < 2 and problem.many:
        raise TlmError(
            f"task {name}: the training rows have {'only the label ' + repr(train.pop()) if train else 'no label'};"
            " a multi-label task needs at least two labels"
        )
    if len(train) == 1:
        rows = [example for example in examples if example.split == "train"]
        texts = len({key(example) for example in rows})
        cause = f"; the {len(rows)} rows hold only {texts} different texts" if texts < len(rows) / 2 else ""
        raise TlmError(
            f"task {name}: all training rows have the label {train.pop()!r}; a task needs at least two labels{cause}"
        )
    for example in examples:
        for label in labels_in(example.label):
            if train and label not in train:
                advice = f"; leave it out (--merge '{label}=', `label_names:`)" if problem.many else ""
                raise TlmError(f"{example.where}: label {label!r} never occurs in the training split{advice}")
    if spec.labels is not None:
        return list(spec.labels)
    if isinstance(spec.parser, Delimited) and spec.parser.label_columns:
        names = spec.parser.label_names
        return list(dict.fromkeys(names.get(column, column) for column in spec.parser.label_columns))
    return sorted(train)


def _check_splits(name: str, examples: Sequence[Example], spec: TaskSpec) -> None:
    for split in SPLITS:
        if split == "test" and spec.hidden_test:
            continue
        if not any(example.split == split for example in examples):
            raise TlmError(
                f"task {name}: the {split} split is empty; give it a file (--{split}, `splits:`) or more rows"
            )


def _write(examples: Sequence[Example], spec: TaskSpec, staging: Path) -> None:
    row_id = 0
    for split in SPLITS:
        rows = [example for example in examples if example.split == split]
        if not rows:  # a hidden test split
            continue
        columns: dict[str, pa.Array] = {
            "row_id": pa.array(range(row_id, row_id + len(rows)), pa.int64()),
            "text": pa.array([example.text for example in rows], pa.string()),
        }
        if rows[0].text_pair is not None:
            columns["text_pair"] = pa.array([example.text_pair for example in rows], pa.string())
        labels, kind = [example.label for example in rows], PROBLEMS[spec.problem]
        if kind.many:
            columns["label"] = pa.array(map(list, labels), pa.list_(pa.string()))
        elif kind.has_labels:
            columns["label"] = pa.array(labels, pa.string())
        else:
            columns["label"] = pa.array([float(str(label)) for label in labels], pa.float64())
        pq.write_table(pa.table(columns), staging / f"{split}.parquet", compression="zstd")
        row_id += len(rows)


def _write_unlabelled(texts: Sequence[Text], first_id: int, staging: Path) -> None:
    columns: dict[str, pa.Array] = {
        "row_id": pa.array(range(first_id, first_id + len(texts)), pa.int64()),
        "text": pa.array([text for text, _ in texts], pa.string()),
    }
    if texts[0][1] is not None:
        columns["text_pair"] = pa.array([pair for _, pair in texts], pa.string())
    pq.write_table(pa.table(columns), staging / f"{UNLABELLED}.parquet", compression="zstd")
