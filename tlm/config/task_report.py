"""What the report page of a task is told: which runs it compares, and what its examples are.

Place in the flow: `tlm.rules.page` fills it in from the scale's runs → the rule `task_report`.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt

from tlm.config.base import Strict
from tlm.config.experiments import ExamplesSpec

METHODS = {
    "tlm": "TLM",
    "task-only": "task data only",
    "random": "random passages",
    "tfidf": "TF-IDF + logistic regression",
}
"""Variant → what a page calls it: TLM, then what would cost less, or tells what made the difference."""
RIDGE = "TF-IDF + ridge regression"
"""What `tfidf` is where numbers are predicted."""


class MethodSpec(Strict):
    """A way to a classifier, and its runs."""

    name: str
    label: str
    variant: str
    """Of the runs' folder: equal runs are built once, under the first one's name."""
    seeds: tuple[int, ...] = Field(min_length=1)


class PageSpec(Strict):
    """One page."""

    task: str
    scale: str
    own: bool
    methods: tuple[MethodSpec, ...] = Field(min_length=2)
    """TLM first."""
    k: PositiveInt
    length: PositiveInt
    """Tokens that the model reads."""
    examples: ExamplesSpec
    model: str | None = None
    """Folder that the model is exported to."""
