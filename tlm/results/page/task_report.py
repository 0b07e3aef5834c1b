"""The contents of a report page, typed: `gather` builds them, `report.json` stores them, `render` shows them.

Place in the flow: between `gather` and `render`. Scores, probabilities and shares are fractions; the page shows
percentages.
"""

from __future__ import annotations

from typing import Any, Literal

from tlm.config.base import Strict, added
from tlm.config.parser_specs import Split
from tlm.evaluation.blend import Predictor
from tlm.problems import MULTI_LABEL, ProblemName
from tlm.results import calibration as reliability
from tlm.results.build_times import BuildTimes
from tlm.results.calibration import Reliability
from tlm.results.page.data_report import Contamination, CorpusSummary, DataSummary
from tlm.statistics import Interval

SCHEMA = 1
Answer = Literal["yes", "no", "partly", "unclear"]


class NumberWithInterval(Strict):
    """A number with the ends of its 95 % interval; None if there is no interval."""

    value: float
    low: float | None = None
    high: float | None = None


class WithInterval(NumberWithInterval):
    """A number whose 95 % interval is known."""

    low: float
    high: float

    @classmethod
    def of(cls, value: float, interval: Interval) -> WithInterval:
        """From the number and its interval."""
        return cls(value=value, low=interval.low, high=interval.high)


class MethodCost(Strict):
    """The cost of one run of a method, mean over seeds; None for a number that was not counted."""

    parameters: int | None = None
    tokens: int | None = None
    """Read in stage 1, without padding."""
    flops: float | None = None
    """All matrix products that stages 1 and 2 computed."""
    paper_flops: float | None = None
    """6 · tokens of stage 1 · parameters: the paper's formula."""
    seconds: float
    """Training time on the machine that ran it."""
    memory: int | None = None
    """Bytes: the largest resident size of its training processes."""
    passages: int | None = None
    passage_bytes: int | None = None


class Method(Strict):
    """TLM, or a method that it is compared with."""

    name: str
    """tlm, task-only, random, tfidf, ngram-svm or blend."""
    label: str
    variant: str
    """The variant in the path of the runs."""
    seeds: tuple[int, ...]
    score: NumberWithInterval
    """The task's metric on the scored split, mean over the seeds."""
    by_seed: tuple[float, ...]
    metrics: dict[str, float]
    """Every metric, mean over the seeds."""
    mlm_loss: float | None = None
    """Held-out, on dev texts, in nats."""
    cost: MethodCost


class Lead(Strict):
    """TLM's score minus another method's on the same texts."""

    rival: str
    difference: NumberWithInterval
    answer: Literal["better", "worse", "unclear"]


class WorthVerdict(Strict):
    """Whether TLM was worth it, by the rule of `worth`."""

    answer: Answer
    sentence: str
    reasons: tuple[str, ...]


class Recommendation(Strict):
    """Which predictor of the exported model to use: the best on dev (`tlm.evaluation.blend`)."""

    use: Predictor
    sentence: str
    """The predictor and the reason, from dev."""
    detail: str
    """Its score on the scored split, against the others."""
    leads: tuple[Lead, ...]
    """Its score minus that of each other predictor, on the scored split."""


class Class(Strict):
    """The shown model's scores on one class."""

    label: str
    rows: int
    predicted: int
    precision: NumberWithInterval | None
    """None if the class is never predicted."""
    recall: NumberWithInterval | None
    """None if no row of the split has the class."""
    f1: NumberWithInterval
    average_precision: NumberWithInterval | None = added(None)
    """Of a multi-label task; None if no row of the split has the label."""
    threshold: float | None = added(None)
    """The probability from which the exported model predicts the label, of a multi-label task."""


class ReliabilityBin(Strict):
    """Predictions with similar probability."""

    low: float
    high: float
    rows: int
    confidence: float
    """Mean probability."""
    accuracy: WithInterval
    """Share of right predictions."""


class Calibration(Strict):
    """Calibration of the shown model as it is exported."""

    rows: int
    bins: tuple[ReliabilityBin, ...]
    """Bins that contain predictions."""
    error: WithInterval
    """Expected calibration error: mean distance of `confidence` and `accuracy`, weighted by rows."""
    by_chance: float
    """The mean error of a perfectly calibrated model on this number of texts."""
    temperature: float
    """Fitted on dev and written into the exported model. All fields but `before` describe that model."""
    before: WithInterval
    """`error` of the model as trained, without the temperature."""
    confidence: float
    accuracy: float

    @classmethod
    def of(cls, found: Reliability, before: Reliability, temperature: float) -> Calibration:
        """From the measured calibration with the temperature, and before."""
        return cls(
            rows=found.rows,
            bins=tuple(
                ReliabilityBin(
                    low=each.low,
                    high=each.high,
                    rows=each.rows,
                    confidence=each.confidence,
                    accuracy=WithInterval.of(each.accuracy, each.interval),
                )
                for each in found.bins
            ),
            error=WithInterval.of(found.ece, found.interval),
            by_chance=found.by_chance,
            temperature=temperature,
            before=WithInterval.of(before.ece, before.interval),
            confidence=found.confidence,
            accuracy=found.accuracy,
        )

    def reliability(self, label: str) -> Reliability:
        """The form that the figure draws."""
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
                    Interval(each.accuracy.low, each.accuracy.high),
                )
                for each in self.bins
            ),
            ece=self.error.value,
            interval=Interval(self.error.low, self.error.high),
            by_chance=self.by_chance,
        )


class Regression(Strict):
    """The shown model's predicted numbers and the true ones."""

    truth: tuple[float, ...]
    prediction: tuple[float, ...]
    rows: int
    """Rows of the split; `truth` and `prediction` may be a sample of them."""
    mean_absolute_error: NumberWithInterval
    baseline_error: float
    """Mean absolute error of always predicting the median of train."""


class Mistake(Strict):
    """A row of the scored split that the shown model gets wrong with high confidence."""

    row_id: int
    text: str
    text_pair: str | None
    label: str
    prediction: str
    confidence: float | None
    """Probability of the prediction by the exported model; None for regression."""
    others: dict[str, str]
    """Name of another method → its prediction."""


class Curve(Strict):
    """The learning curve of one run: values against tokens read."""

    method: str
    seed: int
    tokens: tuple[int, ...]
    values: tuple[float, ...]


class MoreTime(Strict):
    """The effect of twice the tokens of stage 1 on the held-out loss, from the curve of the shown run."""

    loss: float
    """At the end of stage 1, in nats."""
    drop: NumberWithInterval
    """In nats; positive: the loss falls."""
    tokens: int
    """Twice those of stage 1."""
    seconds: float
    """Further time of stage 1 at the speed of this build; the part before the decay is not repeated."""


class TaskReport(Strict):
    """The whole report."""

    version: int = SCHEMA
    task: str
    scale: str
    own: bool
    """Whether the task is declared in config/own/; else it ships with the project."""
    problem: ProblemName
    metric: str
    labels: tuple[str, ...]
    split: Split
    """The scored split: test, or dev if the labels of test are secret."""
    methods: tuple[Method, ...]
    """TLM first."""
    differences: tuple[Lead, ...]
    verdict: WorthVerdict
    recommendation: Recommendation | None = added(None)
    """None without linear models."""
    shown: int
    """The seed whose model is shown in detail: the best on dev."""
    accuracy: NumberWithInterval | None
    classes: tuple[Class, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[true class][predicted class], in the order of the labels; empty for a multi-label task."""
    calibration: Calibration | None
    regression: Regression | None
    mistakes: tuple[Mistake, ...]
    wrong: int
    """Number of wrong rows: of a multi-label task, with any wrong label; 0 for regression."""
    stage1: tuple[Curve, ...]
    stage2: tuple[Curve, ...]
    more_time: MoreTime | None = None
    """None if the curve has too few points before the decay."""
    build: BuildTimes | None = None
    """Forecast and truth of the build; None without a forecast."""
    examples: tuple[dict[str, Any], ...]
    """Built by `tlm.results.examples`."""
    data: DataSummary
    corpus: CorpusSummary
    contamination: tuple[Contamination, ...]
    settings: dict[str, str]
    versions: dict[str, str]
    model: str | None
    """Folder of the exported model, if any."""
    made_from: dict[str, str]
    """Folder → digest of its manifest."""

    @property
    def many(self) -> bool:
        """Whether a text can have several labels."""
        return self.problem == MULTI_LABEL.name

    @property
    def noun(self) -> str:
        """The word for a label in sentences."""
        return "label" if self.many else "class"
