"""The linear models on n-grams: the simple rivals of every table (`tlm.evaluation.linear`; not in the paper)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tlm.config.base import Strict

LinearMethod = Literal["tfidf", "ngram-svm"]
ClassWeights = Literal["equal", "balanced"]


class LinearSpec(Strict):
    """All settings of a linear model. Numbers instead of classes are predicted by ridge regression on its features."""

    classifier: Literal["logistic-regression", "svm"] = "logistic-regression"
    """svm: squared hinge loss, one class against the rest."""
    words: PositiveInt = 2
    """Longest n-gram, in words."""
    characters: tuple[PositiveInt, PositiveInt] | None = None
    """Shortest and longest n-gram of characters within a word; None: words alone."""
    min_documents: PositiveInt = 2
    """Training texts that must contain a feature. 2 scores as well on dev as 1, in half the time."""
    strengths: tuple[float, ...] = Field((1.0, 10.0, 100.0, 1000.0), min_length=1)
    """Grid of C (ridge: 1 / alpha); the best on dev is used, the smallest on a tie."""
    iterations: PositiveInt = 1000
    tolerance: PositiveFloat = 1e-4
    """Where the solver stops."""


LINEAR: dict[str, LinearSpec] = {
    "tfidf": LinearSpec(),
    "ngram-svm": LinearSpec(
        classifier="svm",
        characters=(2, 5),
        strengths=(0.01, 0.03, 0.1, 0.3, 1.0),
        tolerance=1e-2,  # the dev scores of 1e-4 in half the time
    ),
}
"""Method of a variant → its settings."""
