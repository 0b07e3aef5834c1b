"""Claims as data (`claims:` in config/experiments.yaml): the paper's claims, and the rows of tables that test them.

Place in the flow: declared here, resolved for a scale by `tlm.plan.claims`, judged by `tlm.results.claims`, which
writes results/claims.csv. Each claim becomes a weighted sum of row scores, such as BM25 minus random; it holds if the
sum is positive. Its tasks, split and runs are those of the table, so that the ledger needs no training. docs/claims.md
explains the verdicts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, model_validator

from tlm.config.base import Strict
from tlm.config.experiments import RowRuns, Score, Split

CLAIMS = "claims"
"""results/claims.csv: no other table may have this name."""

RIVAL_CLAIMS = {"tfidf": "TF-IDF + logistic regression", "ngram-svm": "n-gram SVM"}
"""Claims that TLM beats a linear model → its label; pages sum up the results of each in one sentence."""

Direction = Literal["greater", "at-least", "less", "at-most"]
Measure = Literal["positional", "vertical", "positional_share", "vertical_share"]
Choice = Literal["best", "worst"]
ComparedFact = Literal["flops", "data"]


class ClaimSpec(Strict):
    """One declared claim, on scores (`table` and `ours`), on a fact (with `fact`) or on attention heads (`heads`)."""

    claim: str
    """The claim in one sentence, as shown in the ledger."""
    place: str
    """The place in the paper."""
    table: str | None = None
    """Our table whose rows are compared. It gives the tasks, the split, the runs, and the paper's table."""
    split: Split | None = None
    """The split, if it is not the table's."""
    ours: dict[str, float] = {}
    """Row → weight. `{baseline}` is the scale's first baseline, `{rival}` the one that Section 4.2 compares TLM with;
    `{largest k}`, `{smallest rho1}` … are values of the scale's sweep; `{best rho1}` is, on each task, the row with the
    highest score among the sweep's positive numbers, `{worst rho1}` the one with the lowest."""
    paper: tuple[dict[str, float], ...] = ()
    """The same weights over the paper's rows; several if the paper compares several pairs. At a scale of the paper,
    only the pair with its row `tlm-<scale>` counts, if there is one."""
    shows: str = ""
    """The paper's evidence if it prints no numbers."""
    heads: Measure | None = None
    """Compares TLM with the scale's first baseline by the number of such heads, or by their share of all maxima."""
    direction: Direction = "greater"
    """greater, less: the effect is above or below 0. at-least, at-most: the same, or worse by up to `margin`."""
    margin: NonNegativeFloat = 1.0
    """Points (or heads) that make no practical difference. The paper calls scores similar that are up to 0.7
    points apart (Table 2: IMDB, TLM small against BERT-Base)."""
    resources: bool = False
    """The claim compares tasks: the mean effect on tasks with few training texts minus that on tasks with many."""
    larger_corpus: bool = False
    """The weights assume that the scale's own corpus is larger than its other corpus; if not, their signs change."""
    cheaper: bool = False
    """The rows with positive weight must also take fewer FLOPs than those with negative weight."""
    fact: ComparedFact | None = None
    """Compares a fact of the rows instead of their scores: the row of positive weight must have less of it."""
    across_scales: bool = False
    """With `fact`: the ratio of TLM's to its rival's fact must shrink from the smallest to the largest scale that is
    built (`beside:` in config.yaml)."""
    untested: str | None = None
    """Why the ledger shows the paper's evidence alone; with `table`, the evidence is of its paper's rows."""
    notes: tuple[str, ...] = ()
    """Notes for readers, shown below the claim's results."""

    @model_validator(mode="after")
    def _one_kind(self) -> ClaimSpec:
        if self.untested is not None:
            if self.heads or self.ours:
                raise ValueError("a claim with `untested` has no `heads` and no `ours`")
        elif (self.table is None) == (self.heads is None):
            raise ValueError("a claim needs exactly one of `table` and `heads`")
        elif bool(self.table) != bool(self.ours):
            raise ValueError("`table` and `ours` belong together: `ours` gives weights for rows of `table`")
        if self.heads and (self.split or self.paper or self.resources or self.larger_corpus or self.cheaper):
            raise ValueError("split, paper, resources, larger_corpus and cheaper need `table`")
        if self.across_scales and not self.fact:
            raise ValueError("across_scales needs `fact`")
        if self.fact and (self.split or self.resources or self.larger_corpus or self.cheaper):
            raise ValueError(
                "split, resources, larger_corpus and cheaper are for claims on scores, without `fact`"
            )
        for weights in (self.ours, *self.paper):
            if weights and abs(sum(weights.values())) > 1e-9:
                raise ValueError(f"weights {weights} must add up to 0")
        return self


class Side(RowRuns):
    """One of the rows that a claim compares."""

    label: str
    weight: float
    cost: str | None = None
    """For a checkpoint, the place of its pretraining cost in the paper: `<table>/<row>`."""
    choice: Choice | None = None
    """On each task, this side is the row with the highest (best) or lowest (worst) score, of itself and `others`."""
    others: tuple[RowRuns, ...] = ()


class Claim(Strict):
    """A claim, resolved for a scale."""

    id: str
    claim: str
    place: str
    direction: Direction
    margin: float
    split: Split | None = None
    scores: dict[str, tuple[Score, ...]] = {}
    """Task → its scores in the table; the effect on a task of several scores is their mean."""
    heads: Measure | None = None
    fact: ComparedFact | None = None
    across_scales: bool = False
    resources: bool = False
    cheaper: bool = False
    corpora: tuple[str, str] | None = None
    """The scale's own and other corpus, if the claim is about the larger one."""
    sides: tuple[Side, ...] = ()
    reported: str | None = None
    """The paper's table."""
    paper: tuple[dict[str, float], ...] = ()
    shows: str = ""
    notes: tuple[str, ...] = ()
    untested: str | None = None
    """Why this scale cannot test the claim."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks with a result in the ledger, in order."""
        return tuple(self.sides[0].variants) if self.sides else ()


class Ledger(Strict):
    """The input of the script that writes results/claims.csv."""

    scale: str
    claims: tuple[Claim, ...] = Field(min_length=1)
