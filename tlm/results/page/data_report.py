"""The part of a report about the data, typed: the task's rows, the corpus, contamination.

Place in the flow: like `task_report`, which contains it.
"""

from __future__ import annotations

from tlm.config.base import Strict, added
from tlm.config.parser_specs import Split


class Lengths(Strict):
    """Lengths of the texts of a split in tokens, including special tokens."""

    median: int
    ninth: int
    """The 90 % quantile."""
    longest: int
    cut: float
    """Share of texts that are longer than the model reads."""


class DataSummary(Strict):
    """The task's rows."""

    description: str
    pair: bool
    rows: dict[Split, int]
    available: dict[Split, int]
    """Rows before a declared limit."""
    labels: dict[Split, dict[str, int]]
    """Empty for regression."""
    label_sets: dict[Split, dict[str, int]] = added({})
    """Of a multi-label task: texts without a label, labels of all texts together, the most of a text, distinct sets."""
    values: dict[Split, tuple[float, float, float]]
    """Least, median and greatest label; empty for classification."""
    duplicates: dict[str, int]
    """The counts of the task's manifest."""
    removed: dict[str, int]
    """Rows removed from dev and test because their text occurs in another split."""
    left_out: dict[str, int]
    unlabelled: int = added(0)
    """Texts without labels, which are queries and internal data of stage 1."""
    unlabelled_left_out: dict[str, int] = added({})
    """Reason → number of unlabelled texts that are not used, e.g. `in_test`: equal to a test text."""
    lengths: dict[Split, Lengths]
    length: int
    """Tokens that the model reads."""


class CorpusSummary(Strict):
    """The general corpus and the passages selected from it."""

    name: str
    passages: int
    size: int
    """Bytes."""
    k: int
    queries: int
    without_result: int
    selected: int
    selected_size: int
    seconds: dict[str, float]
    """Step → seconds, for measured steps that serve all seeds, such as index and retrieval."""


class Contamination(Strict):
    """Texts of one split that the audit found in passages that TLM read (`tlm.audit`)."""

    split: Split
    rows: int
    found: int
    """Texts that share 13 words in a row with a passage, or occur in one as a whole."""
    verbatim: int
    """Texts that occur in a passage as a whole."""
