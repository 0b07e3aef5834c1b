"""The specification of the report page of a task: the runs that it compares, and its examples.

Place in the flow: `tlm.rules.page` fills it in from the scale's runs → the rule `task_report`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from tlm.config.base import Strict
from tlm.config.experiments import ExamplesSpec

Method = Literal["tlm", "task-only", "random", "labelled-only", "tfidf", "ngram-svm"]
METHODS: dict[Method, str] = {
    "tlm": "TLM",
    "task-only": "task data only",
    "random": "random passages",
    "labelled-only": "without unlabelled texts",
    "tfidf": "TF-IDF + logistic regression",
    "ngram-svm": "n-gram SVM",
}
"""Kind of variant → label on the page. Random passages show the effect of retrieval."""
LABELLED_ONLY: Method = "labelled-only"
"""TLM without the task's unlabelled texts, neither as queries nor in stage 1; only for a task that has such texts."""


def trained_rivals(*, unlabelled: bool) -> tuple[Method, ...]:
    """Methods besides TLM that train an encoder: a task of your own trains them only with `compare: true`.

    `unlabelled`: whether the task has unlabelled texts.
    """
    return ("task-only", "random", *((LABELLED_ONLY,) if unlabelled else ()))


RIDGE: dict[Method, str] = {"tfidf": "TF-IDF + ridge regression", "ngram-svm": "n-grams + ridge regression"}
"""The labels of the linear models for regression tasks."""
BLEND = "blend"
"""The method that mixes TLM and a linear model: it has no runs of its own."""


class MethodSpec(Strict):
    """A method and its runs."""

    name: str
    label: str
    variant: str
    """The variant in the path of the runs: equal runs are built once, under the name of the first."""
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
