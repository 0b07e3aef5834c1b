"""The TF-IDF baseline: n-gram features and a linear model (`tlm.evaluation.tfidf`)."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from tlm.config.base import Strict


class TfidfSpec(Strict):
    """All settings of the baseline."""

    ngrams: PositiveInt = 2
    """Longest n-gram, in words."""
    min_documents: PositiveInt = 2
    """Training texts that must contain a feature. 2 scores as well on dev as 1, in half the time."""
    strengths: tuple[float, ...] = Field((1.0, 10.0, 100.0, 1000.0), min_length=1)
    """Grid of C (ridge: 1 / alpha); the best on dev is used, the smallest on a tie."""
    iterations: PositiveInt = 1000
