"""Claims as data (`claims:` in config/experiments.yaml): what the paper says, and which rows of which table test it.

Place in the flow: declared here, resolved for a scale by `tlm.plan.claims`, judged by `tlm.results.claims`, which
writes results/claims.csv. A claim is a number, positive if the claim holds: a sum of rows of one of our tables with
weights, such as BM25 less random. Its tasks, split and runs are those of the table, so that the ledger trains nothing.
docs/claims.md says how a verdict is reached.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, model_validator

from tlm.config.base import Strict
from tlm.config.experiments import Split

CLAIMS = "claims"
"""results/claims.csv: no table of numbers may be called so."""

Direction = Literal["greater", "at-least", "less", "at-most"]
Measure = Literal["positional", "vertical", "positional_share", "vertical_share"]


class ClaimSpec(Strict):
    """One claim, as declared; of scores (`table` and `ours`) or of attention heads (`heads`)."""

    claim: str
    """In a sentence, as the ledger shows it."""
    place: str
    """Where the paper says it."""
    table: str | None = None
    """Our table whose rows are compared: its tasks, split and runs, and the paper's table that it repeats."""
    split: Split | None = None
    """Another split than the table shows."""
    ours: dict[str, float] = {}
    """Row → weight. May name `{baseline}`, the scale's first, and `{largest k}`, `{smallest rho1}` …, of the numbers
    that the scale's sweep has."""
    paper: tuple[dict[str, float], ...] = ()
    """The same of the paper's rows; several, if it compares several pairs."""
    shows: str = ""
    """What the paper shows where it prints no numbers."""
    heads: Measure | None = None
    """TLM less the scale's first baseline, in heads of a kind or in their share of all maxima."""
    direction: Direction = "greater"
    """Of the number: greater or less than nothing; at-least, at-most: the same or better, up to `margin`."""
    margin: NonNegativeFloat = 1.0
    """Points (heads, of heads) that make no practical difference. The paper calls scores similar that are up to 0.7
    points apart (Table 2: IMDB, TLM small against BERT-Base)."""
    resources: bool = False
    """The claim is of tasks with few training texts against those with many: their mean less the others'."""
    larger_corpus: bool = False
    """The weights are written for the scale's own corpus being larger than its other one; turned where it is not."""
    cheaper: bool = False
    """The rows of positive weight must also take fewer FLOPs than those of negative weight."""
    notes: tuple[str, ...] = ()
    """What a reader must know, under the claim's lines."""

    @model_validator(mode="after")
    def _one_kind(self) -> ClaimSpec:
        if (self.table is None) == (self.heads is None):
            raise ValueError("a claim is of a table or of heads: give exactly one of them")
        if bool(self.table) != bool(self.ours):
            raise ValueError("`ours` gives the rows of `table` that are compared, with their weights")
        if self.heads and (self.split or self.paper or self.resources or self.larger_corpus or self.cheaper):
            raise ValueError("split, paper, resources, larger_corpus and cheaper belong to claims of a table")
        for weights in (self.ours, *self.paper):
            if weights and abs(sum(weights.values())) > 1e-9:
                raise ValueError(f"weights {weights} compare nothing: they must add up to 0")
        return self


class Side(Strict):
    """One of the rows that a claim compares: task → variant whose runs it is, and their seeds."""

    label: str
    weight: float
    scale: str
    runs: dict[str, str]
    seeds: tuple[int, ...]
    cost: str | None = None
    """Where the paper reports what the pretraining of a checkpoint cost: `<table>/<row>`."""


class Claim(Strict):
    """A claim, resolved for a scale."""

    id: str
    claim: str
    place: str
    direction: Direction
    margin: float
    split: Split | None = None
    heads: Measure | None = None
    resources: bool = False
    cheaper: bool = False
    corpora: tuple[str, str] | None = None
    """The scale's own and other corpus, if the claim is about which is larger."""
    sides: tuple[Side, ...] = ()
    reported: str | None = None
    """The paper's table."""
    paper: tuple[dict[str, float], ...] = ()
    shows: str = ""
    notes: tuple[str, ...] = ()
    untested: str | None = None
    """Why this scale cannot test it."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that the ledger has a line for, in order."""
        return tuple(self.sides[0].runs) if self.sides else ()


class Ledger(Strict):
    """What the script of results/claims.csv is told."""

    scale: str
    claims: tuple[Claim, ...] = Field(min_length=1)
