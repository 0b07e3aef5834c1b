"""The baseline that is no encoder: TF-IDF features and a linear model (`tlm.evaluation.tfidf`)."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from tlm.config.base import Strict


class TfidfSpec(Strict):
    """Everything that decides the baseline besides the data."""

    ngrams: PositiveInt = 2
    """Longest run of words that is a feature."""
    min_documents: PositiveInt = 2
    """A feature occurs in at least so many training texts: as good on dev as 1, in half the time."""
    strengths: tuple[float, ...] = Field((1.0, 10.0, 100.0, 1000.0), min_length=1)
    """Grid of C (ridge: 1 / alpha); the best on dev is taken, the smallest of equals."""
    iterations: PositiveInt = 1000
