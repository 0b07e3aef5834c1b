"""All that a report page says, typed: what `gather` finds, `report.json` holds and `render` shows.

Place in the flow: between `gather` and `render`. Scores, probabilities and shares are fractions; the page shows
percentages. Nothing here is text for a page but what belongs to the user: names, labels, texts.
"""

from __future__ import annotations

from typing import Any, Literal

from tlm.config.base import Strict
from tlm.config.data import Split
from tlm.results import calibration as reliability
from tlm.results.calibration import Reliability
from tlm.statistics import Interval

SCHEMA = 1
Answer = Literal["yes", "no", "partly", "unclear"]


class Estimate(Strict):
    """A number with the ends of its 95 % interval, None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


class Cost(Strict):
    """What one run of a method takes, mean over its seeds; None where nobody counted."""

    parameters: int | None = None
    tokens: int | None = None
    """Read in stage 1, padding left out."""
    flops: float | None = None
    """Stages 1 and 2, every matrix product as it was computed."""
    paper_flops: float | None = None
    """6 · tokens of stage 1 · parameters, as the paper counts."""
    seconds: float
    """Training on the machine that did it."""
    memory: int | None = None
    """Bytes: the largest resident size of its training processes."""
    passages: int | None = None
    passage_bytes: int | None = None


class Method(Strict):
    """One way to a classifier: TLM or a rival."""

    name: str
    """tlm, task-only, random or tfidf."""
    label: str
    variant: str
    """Of the runs' folder."""
    seeds: tuple[int, ...]
    score: Estimate
    """The task's metric on the scored split, mean over the seeds."""
    by_seed: tuple[float, ...]
    metrics: dict[str, float]
    """Every metric, mean over the seeds."""
    mlm_loss: float | None = None
    """Held-out, on dev texts, in nats."""
    cost: Cost


class Difference(Strict):
    """TLM's score less a rival's on the same texts."""

    rival: str
    difference: Estimate
    answer: Literal["better", "worse", "unclear"]


class Verdict(Strict):
    """Whether TLM was worth it, by the rule of `worth`."""

    answer: Answer
    sentence: str
    reasons: tuple[str, ...]


class Class(Strict):
    """How one class is recognised, by the shown model."""

    label: str
    rows: int
    predicted: int
    precision: Estimate | None
    """None where the class is never predicted."""
    recall: Estimate | None
    """None where no row of the split has it."""
    f1: Estimate


class Bin(Strict):
    """Predictions of about the same probability."""

    low: float
    high: float
    rows: int
    confidence: float
    """Mean probability."""
    accuracy: Estimate
    """Share of them that are right."""


class Calibration(Strict):
    """How far the shown model's probabilities can be taken at their word, as it is exported."""

    rows: int
    bins: tuple[Bin, ...]
    """Those that hold predictions."""
    error: Estimate
    """Expected calibration error: mean distance of `confidence` and `accuracy`, weighted by rows."""
    by_chance: float
    """What it would be if the model were right exactly as often as it says."""
    temperature: float
    """Fitted on dev and written into the exported model; all else here is of that model's probabilities."""
    before: Estimate
    """`error` of the model as trained, without the temperature."""
    confidence: float
    accuracy: float

    @classmethod
    def of(cls, found: Reliability, before: Reliability, temperature: float) -> Calibration:
        """As it was measured: of the probabilities with the temperature, and before."""
        return cls(
            rows=found.rows,
            bins=tuple(
                Bin(
                    low=each.low,
                    high=each.high,
                    rows=each.rows,
                    confidence=each.confidence,
                    accuracy=Estimate(value=each.accuracy, low=each.interval.low, high=each.interval.high),
                )
                for each in found.bins
            ),
            error=Estimate(value=found.ece, low=found.interval.low, high=found.interval.high),
            by_chance=found.by_chance,
            temperature=temperature,
            before=Estimate(value=before.ece, low=before.interval.low, high=before.interval.high),
            confidence=found.confidence,
            accuracy=found.accuracy,
        )

    def reliability(self, label: str) -> Reliability:
        """As it is drawn."""
        return Reliability(
            label=label,
            rows=self.rows,
            accuracy=self.accuracy,
            confidence=self.confidence,
            bins=tuple(
                reliability.Bin(
                    each.low,
                    each.high,
                    each.rows,
                    each.confidence,
                    each.accuracy.value,
                    _interval(each.accuracy),
                )
                for each in self.bins
            ),
            ece=self.error.value,
            interval=_interval(self.error),
            by_chance=self.by_chance,
        )


def _interval(estimate: Estimate) -> Interval:
    assert estimate.low is not None and estimate.high is not None
    return Interval(estimate.low, estimate.high)


class Regression(Strict):
    """The shown model's numbers against the true ones."""

    truth: tuple[float, ...]
    prediction: tuple[float, ...]
    rows: int
    """Of the split; the points above are at most a sample of them."""
    mean_absolute_error: Estimate
    baseline_error: float
    """Mean absolute error of always answering the median of train."""


class Mistake(Strict):
    """A row of the scored split that the shown model gets wrong, and is sure of."""

    row_id: int
    text: str
    text_pair: str | None
    label: str
    prediction: str
    confidence: float | None
    """Probability of the prediction by the exported model; None for regression."""
    others: dict[str, str]
    """What other methods say of it, by name."""


class Curve(Strict):
    """One line of a learning curve: a run's values against tokens read."""

    method: str
    seed: int
    tokens: tuple[int, ...]
    values: tuple[float, ...]


class Lengths(Strict):
    """How long the texts of a split are, in tokens of the tokenizer, the special ones included."""

    median: int
    ninth: int
    """Nine of ten texts are no longer."""
    longest: int
    cut: float
    """Share of texts that are longer than what the model reads."""


class Data(Strict):
    """The task's rows."""

    description: str
    pair: bool
    rows: dict[Split, int]
    available: dict[Split, int]
    """Rows before a declared limit."""
    labels: dict[Split, dict[str, int]]
    """Empty for regression."""
    values: dict[Split, tuple[float, float, float]]
    """Least, median and greatest label; empty for classification."""
    duplicates: dict[str, int]
    """As the task's manifest counts them."""
    removed: dict[str, int]
    """Rows left out of dev and test because their text stands in another split."""
    left_out: dict[str, int]
    lengths: dict[Split, Lengths]
    length: int
    """Tokens that the model reads."""


class Corpus(Strict):
    """The general corpus, and what was taken from it."""

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
    """Step → seconds, as far as they were measured: index, retrieval and others that serve all seeds."""


class Contamination(Strict):
    """What the audit of the passages that TLM read found of one split (`tlm.audit`)."""

    split: Split
    rows: int
    found: int
    """Share a run of words with a passage, or stand in one as a whole."""
    verbatim: int
    """Stand in one as a whole."""


class Report(Strict):
    """Everything."""

    version: int = SCHEMA
    task: str
    scale: str
    own: bool
    """Declared in config/own/, as against a task that ships with the project."""
    problem: Literal["classification", "regression"]
    metric: str
    labels: tuple[str, ...]
    split: Split
    """What is scored: test, or dev where the labels of test are secret."""
    methods: tuple[Method, ...]
    """TLM first."""
    differences: tuple[Difference, ...]
    verdict: Verdict
    shown: int
    """The seed whose model is looked at more closely: the best on dev."""
    accuracy: Estimate | None
    classes: tuple[Class, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[true class][predicted class], in the order of the labels."""
    calibration: Calibration | None
    regression: Regression | None
    mistakes: tuple[Mistake, ...]
    wrong: int
    """Rows that are wrong in all; 0 for regression."""
    stage1: tuple[Curve, ...]
    stage2: tuple[Curve, ...]
    examples: tuple[dict[str, Any], ...]
    """As `tlm.results.examples` builds them."""
    data: Data
    corpus: Corpus
    contamination: tuple[Contamination, ...]
    settings: dict[str, str]
    versions: dict[str, str]
    model: str | None
    """Folder of the exported model, if the project has a rule for it."""
    made_from: dict[str, str]
    """Folder → digest of its manifest."""
