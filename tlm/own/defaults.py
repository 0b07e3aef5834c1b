"""Settings from the data: K and rho1 by the number of labelled texts (Appendix B), lengths by percentiles, the budget
by the time that is granted.

Place in the flow: findings and a clock → here → `config/own/<name>.yaml`. Pure: what a choice costs is asked of
`Clock`, which `tlm.own.outlook` makes of `tlm.cost`. docs/own-data.md states the rule in words; its constants come from
the paper where it speaks, and else from what was tuned for config/scales/demo.yaml and mini.yaml, on dev.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlm.config.base import merge
from tlm.config.task_report import METHODS

Clock = Callable[[Mapping[str, Any]], float]
"""Seconds until everything is built, for a `training:` section."""

HOUR = 3600
TRAINED = tuple(name for name in METHODS if name != "tfidf")
"""The variants that are trained, once per seed."""
EXTERNAL_LENGTH = 128  # the passages of a corpus are cut to fit
_GRID_K = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_GRID_RHO1 = (1, 3, 7, 19, 99, 499, 999, 1999)  # Appendix B
_FEWEST = 3  # rho1 at the least: of 1, 3 and 9 the demo's budget did best with it
_FEWEST_PAIRS = 1  # of pairs: no passage teaches to compare two texts
_LONGEST = (512, 256, 128)  # internal tokens at the most
_SURPLUS = (
    6  # hits for an external token that the budget reads: half of them are new, and demo.yaml selects thrice
)
_SHARE = 20  # a selection is at most so small a part of the corpus for one query
_READINGS = 2  # stage 1 reads every training text so often, or rho1 is lowered
_READINGS_PAIRS = 20  # of pairs: to compare is learnt late, after 12 to 17 of them (docs/own-data.md)
_STEPS = 375  # of stage 2, as the demo has, where the task is smaller than the demo's
_SMALLEST, _LARGEST = 200_000, 2_000_000_000  # tokens of stage 1


@dataclass(frozen=True)
class TrainingData:
    """What the rule reads."""

    lengths: np.ndarray
    """Tokens of every training text, special ones included."""
    passages: float
    """Of the corpus."""
    passage_tokens: float
    """Of a passage, in the mean."""
    text_bytes: float
    """Of the corpus."""
    pair: bool = False

    @property
    def readings(self) -> int:
        """How often stage 1 should read every training text."""
        return _READINGS_PAIRS if self.pair else _READINGS

    @property
    def fewest(self) -> int:
        """rho1 at the least."""
        return _FEWEST_PAIRS if self.pair else _FEWEST

    @property
    def rows(self) -> int:
        """Training texts."""
        return len(self.lengths)


@dataclass(frozen=True)
class Size:
    """A shape of the model, the scale whose recipe it takes, and from how many tokens on it pays."""

    name: str
    like: str
    tokens: int
    changes: Mapping[str, Any]


# demo.yaml and mini.yaml were tuned; the largest is theirs, wider and deeper, at a lower rate, and was not.
SIZES = (
    Size(
        "6 x 384",
        "mini",
        30_000_000,
        {
            "model": {"hidden_size": 384, "layers": 6, "heads": 6, "intermediate_size": 576},
            "stage1": {"optimizer": {"learning_rate": 1.0e-3}},
        },
    ),
    Size("4 x 256", "mini", 2_500_000, {}),
    Size("2 x 128", "demo", 0, {}),
)


@dataclass(frozen=True)
class Choice:
    """A `training:` section, and why: dotted key → reason."""

    training: dict[str, Any]
    reasons: dict[str, str]
    size: str
    """Layers and width of the model."""
    seconds: float
    notes: tuple[str, ...]
    """What a person should know: what was clipped, what will not fit."""


def choose(data: TrainingData, granted: float, clock: Clock, fixed: Mapping[str, Any]) -> Choice:
    """The settings for `data` in `granted` seconds; `fixed` are those that the user has named.

    If not even the smallest run fits, the smallest is returned and a note says so.
    """
    for length, size in _shapes(data):
        training = merge(_training(size, seeds_in(granted), length, data), fixed)
        training = _shorter_stage2(training, granted, clock)
        tokens = _affordable(training, granted, clock)
        if tokens >= max(size.tokens, _texts_read(data, length)):
            break
    budget = max(tokens, _SMALLEST)
    rho1 = internal_share(data, length, budget)
    k, clipped = top_k(data, external_tokens(data, length, budget, rho1))
    training = merge(training, {"k": k, "stage1": {"rho1": rho1, "budget": {"tokens": budget}}})
    training = merge(training, fixed)
    if clock(training) > granted and "budget" not in fixed.get("stage1", {}):  # K and rho1 cost time, too
        training = _with(training, max(_affordable(training, granted, clock), _SMALLEST))
    notes = [clipped] if clipped else []
    if tokens < _SMALLEST:
        notes.append("the time granted is too short for a stage 1 worth having: the smallest is planned")
    if data.pair and (times := read_times(data, length, budget, rho1)) < _READINGS_PAIRS:
        notes.append(
            f"stage 1 reads each pair about {times:.0f} times; to compare two texts is learnt late: with more time"
            f" (--budget), from {_READINGS_PAIRS} times on, the model may be a different one"
        )
    if cut := int((data.lengths > length).sum()):
        notes.append(
            f"{cut:,} training texts ({cut / data.rows:.0%}) are longer than {length} tokens: cut there"
        )
    return Choice(training, _reasons(size, data), size.name, clock(training), tuple(notes))


def _shapes(data: TrainingData) -> Iterator[tuple[int, Size]]:
    """(internal length, size of the model), what is tried first: texts to their end before a larger model.

    The last one is the smallest, and always fits.
    """
    for longest in _LONGEST:
        length = internal_length(data.lengths, longest)
        yield from ((length, size) for size in SIZES)


def _texts_read(data: TrainingData, length: int) -> float:
    """Tokens in which stage 1 reads every training text often enough for longer texts, or a larger model, to pay."""
    if length <= min(_LONGEST) and not data.pair:
        return 0.0
    internal, external = _row(data, length)
    return data.readings * data.rows * (internal + data.fewest * external)


def _training(size: Size, seeds: list[int], length: int, data: TrainingData) -> dict[str, Any]:
    """All but K, rho1 and the budget."""
    epochs = stage2_epochs(data.rows)
    base = {
        "like": size.like,
        "seeds": seeds,
        "tokenizer": {"vocabulary": vocabulary(data.text_bytes)},
        "model": {"max_length": max(length, EXTERNAL_LENGTH)},
        "stage1": {"internal_length": length, "external_length": EXTERNAL_LENGTH},
        "stage2": {"length": length, "epochs": epochs, "evaluations": _evaluations(epochs)},
    }
    return merge(base, size.changes)


def _evaluations(epochs: int) -> int:
    """How often stage 2 looks at dev: once an epoch, within limits."""
    return max(3, min(epochs, 8))


def _shorter_stage2(training: dict[str, Any], granted: float, clock: Clock) -> dict[str, Any]:
    """With fewer epochs of stage 2, while those beyond two take more than half of the time that training has."""

    def smallest(epochs: int) -> dict[str, Any]:
        stage2 = {"epochs": epochs, "evaluations": _evaluations(epochs)}
        return merge(_with(training, _SMALLEST), {"stage2": stage2})

    least = clock(smallest(2))
    epochs = training["stage2"]["epochs"]
    while epochs > 2 and clock(smallest(epochs)) - least > max(0.0, granted - least) / 2:
        epochs -= 1
    return merge(training, {"stage2": smallest(epochs)["stage2"]})


def _with(training: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    return merge(training, {"stage1": {"budget": {"tokens": tokens}}})


def _affordable(training: Mapping[str, Any], granted: float, clock: Clock) -> int:
    """The most tokens of stage 1, to two digits, with which everything is built in time; 0 if none is."""
    if clock(_with(training, _SMALLEST)) > granted:
        return 0
    low, high = _SMALLEST, 2 * _SMALLEST
    while high < _LARGEST and clock(_with(training, high)) <= granted:
        low, high = high, 2 * high
    while high - low > low / 20:
        middle = (low + high) // 2
        low, high = (middle, high) if clock(_with(training, middle)) <= granted else (low, middle)
    digits = 10 ** (len(str(low)) - 2)
    return low // digits * digits


def seeds_in(granted: float) -> list[int]:
    """One below half an hour, two below four hours, then three as in the paper."""
    return [1] if granted < HOUR / 2 else [1, 2] if granted < 4 * HOUR else [1, 2, 3]


def training_threads(seeds: Sequence[int], cores: int) -> int:
    """Threads of one training, so that more cores than there are trainings are put to use."""
    return max(1, cores // (len(TRAINED) * len(seeds)))


def internal_length(lengths: np.ndarray, longest: int) -> int:
    """Tokens within which 95 % of the texts stay, in steps of 32, at most `longest`."""
    wanted = int(np.percentile(lengths, 95, method="higher"))
    return max(32, min(longest, -(-wanted // 32) * 32))


def stage2_epochs(rows: int) -> int:
    """Three, as the demo, and more of small tasks, so that stage 2 has its steps."""
    return max(3, min(20, round(_STEPS * 16 / rows)))


def vocabulary(text_bytes: float) -> int:
    """The demo's 8,192 entries, half of a corpus under 5 MB, twice of one over 1 GB."""
    return 4096 if text_bytes < 5e6 else 8192 if text_bytes < 1e9 else 16384


def papers_k(rows: int) -> int:
    """Appendix B, small and medium scale."""
    return 5000 if rows < 5_000 else 500 if rows <= 100_000 else 50


def papers_rho1(rows: int) -> int:
    """Table B.1, small and medium scale: what most tasks of that size have."""
    return 999 if rows < 5_000 else 99 if rows <= 100_000 else 3


def external_tokens(data: TrainingData, length: int, budget: int, rho1: int) -> float:
    """Tokens of passages that stage 1 reads."""
    internal, external = _row(data, length)
    return budget * rho1 * external / (internal + rho1 * external)


def _row(data: TrainingData, length: int) -> tuple[float, float]:
    """Mean tokens of an internal and of an external row."""
    return float(np.minimum(data.lengths, length).mean()), min(data.passage_tokens, EXTERNAL_LENGTH)


def internal_share(data: TrainingData, length: int, budget: int) -> int:
    """rho1: as high as the paper's for so many texts, but so low that stage 1 reads each often enough."""
    fitting = [
        rho1
        for rho1 in _GRID_RHO1
        if data.fewest <= rho1 <= papers_rho1(data.rows)
        and read_times(data, length, budget, rho1) >= data.readings
    ]
    return max(fitting, default=data.fewest)


def read_times(data: TrainingData, length: int, budget: int, rho1: int) -> float:
    """How often stage 1 reads a training text."""
    internal, external = _row(data, length)
    return budget / (internal + rho1 * external) / data.rows


def top_k(data: TrainingData, external: float) -> tuple[int, str | None]:
    """K, and a line if the corpus is why it is small: the least of the paper's, of what the budget can use, and of
    what the corpus can give."""
    paper = papers_k(data.rows)
    useful = _SURPLUS * external / (data.rows * min(data.passage_tokens, EXTERNAL_LENGTH))
    held = max(1.0, data.passages / _SHARE)
    k = max(each for each in _GRID_K if each <= max(1.0, min(paper, max(5.0, useful), held)))
    if held < min(paper, useful):
        return k, (
            f"K is {k}, not {min(paper, round(useful)):,}: the corpus has about {data.passages:,.0f} passages, and a"
            f" query takes at most a {_SHARE}th of them; a larger corpus would serve better"
        )
    return k, None


def _reasons(size: Size, data: TrainingData) -> dict[str, str]:
    return {
        "like": f"a model of {size.name}: the largest that the time allows to train properly",
        "threads": "of one training, by the cores of this machine and the number of trainings",
        "stage1.budget": "as many as the time allows",
        "stage1.internal_length": "95 % of the training texts are within it, or it is what the time allows",
        "stage1.rho1": f"Table B.1: {papers_rho1(data.rows)} for so many texts; less, so that each is read twice",
        "k": f"Appendix B: {papers_k(data.rows)} for so many texts; less, if budget or corpus cannot use it",
        "stage2.epochs": "more of small tasks, fewer where the time is short",
        "tokenizer.vocabulary": "by the size of the corpus",
    }
