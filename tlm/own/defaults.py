"""Chooses settings from the data: K and rho1 by the number of labelled texts (Appendix B), lengths by percentiles, the
budget by the time that is granted.

Place in the flow: findings and a clock → here → `config/own/<name>.yaml`. These functions read no
files: a `Clock`, made from `tlm.cost`, estimates the time of settings. docs/own-data.md explains the rule. Its
constants come from the paper or, where it gives none, from demo.yaml and mini.yaml, which were tuned on dev.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlm.config.base import merge
from tlm.config.task_report import trained_rivals
from tlm.config.training import Optimizer

Clock = Callable[[Mapping[str, Any]], float]
"""Estimates the seconds until everything is built, for a `training:` section."""

EXTERNAL_LENGTH = 128  # the passages of a corpus are cut to fit
_GRID_K = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_GRID_RHO1 = (1, 3, 7, 19, 99, 499, 999, 1999)  # Appendix B
_FEWEST = 3  # smallest rho1: the best of 1, 3 and 9 at the demo's budget
_FEWEST_PAIRS = 1  # the same for pairs: passages do not teach to compare two texts
_LONGEST = (512, 256, 128)  # upper limits of internal tokens
_SURPLUS = 6  # retrieved tokens per external token that stage 1 reads: half repeat others
_SHARE = 20  # one query retrieves at most a 20th of the corpus
_READINGS = 2  # rho1 is lowered until stage 1 reads every training text so often
_READINGS_PAIRS = 20  # the same for pairs: models learn to compare after 12 to 17 readings (docs/own-data.md)
_STEPS = 375  # steps of stage 2 for tasks smaller than the demo's, which has as many
_HELD_OUT = 256  # dev texts of the held-out loss: half of the default, because it is measured more often
_ON_PLATEAU, _IN_DECAY = (
    16,
    4,
)  # measurements of the loss; those before the decay show whether more time would help
_SMALLEST, _LARGEST = 200_000, 2_000_000_000  # tokens of stage 1


@dataclass(frozen=True)
class DataSizes:
    """Sizes of the data, from which settings are chosen."""

    lengths: np.ndarray
    """Tokens of every training text, special ones included."""
    passages: float
    """Number of passages of the corpus."""
    passage_tokens: float
    """Mean tokens of a passage."""
    text_bytes: float
    """Bytes of text of the corpus."""
    pair: bool = False
    unlabelled: int = 0
    """Unlabelled texts, which are queries too."""

    @property
    def queries(self) -> int:
        """Number of texts that retrieve passages."""
        return self.rows + self.unlabelled

    @property
    def readings(self) -> int:
        """How often stage 1 should read every training text."""
        return _READINGS_PAIRS if self.pair else _READINGS

    @property
    def fewest(self) -> int:
        """The smallest rho1."""
        return _FEWEST_PAIRS if self.pair else _FEWEST

    @property
    def rows(self) -> int:
        """Number of training texts."""
        return len(self.lengths)


@dataclass(frozen=True)
class Size:
    """A shape of the model, the scale that gives its other settings, and the fewest tokens for which it is chosen."""

    name: str
    like: str
    tokens: int
    changes: Mapping[str, Any]


# The two smaller sizes were tuned; the largest extends mini.yaml with a lower learning rate, and was not tuned.
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
class ChosenSettings:
    """A `training:` section, and the reasons for its values: dotted key → reason."""

    training: dict[str, Any]
    reasons: dict[str, str]
    size: str
    """Layers and width of the model."""
    seconds: float
    notes: tuple[str, ...]
    """Warnings for the user: values that were lowered, and settings that do not fit into the time."""


def choose(data: DataSizes, granted: float, clock: Clock, fixed: Mapping[str, Any]) -> ChosenSettings:
    """The settings for `data` in `granted` seconds; `fixed` are those that the user has named.

    If not even the smallest run fits, it is returned with a note.
    """
    for length, size in _shapes(data):
        training = merge(_training(size, length, data), fixed)
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
        notes.append("the time granted is too short for a useful stage 1: the smallest is planned")
    if data.pair and (times := read_times(data, length, budget, rho1)) < _READINGS_PAIRS:
        notes.append(
            f"stage 1 reads each pair about {times:.0f} times, and learns to compare two texts late: with"
            f" more time (--budget), from {_READINGS_PAIRS} times on, the model may be much better"
        )
    if cut := int((data.lengths > length).sum()):
        notes.append(
            f"{cut:,} training texts ({cut / data.rows:.0%}) are longer than {length} tokens: cut there"
        )
    return ChosenSettings(training, _reasons(size, data), size.name, clock(training), tuple(notes))


def _shapes(data: DataSizes) -> Iterator[tuple[int, Size]]:
    """(internal length, size of the model), in the order to try: whole texts are preferred to a larger model.

    The last one is the smallest, and always fits.
    """
    for longest in _LONGEST:
        length = internal_length(data.lengths, longest)
        yield from ((length, size) for size in SIZES)


def _texts_read(data: DataSizes, length: int) -> float:
    """Tokens that stage 1 needs to read every training text often enough for longer texts or a larger model."""
    if length <= min(_LONGEST) and not data.pair:
        return 0.0
    internal, external = _row(data, length)
    return data.readings * data.rows * (internal + data.fewest * external)


def _training(size: Size, length: int, data: DataSizes) -> dict[str, Any]:
    """All but K, rho1 and the budget."""
    epochs = stage2_epochs(data.rows)
    base = {
        "like": size.like,
        "seeds": [1],
        "tokenizer": {"vocabulary": vocabulary(data.text_bytes)},
        "model": {"max_length": max(length, EXTERNAL_LENGTH)},
        "stage1": {
            "internal_length": length,
            "external_length": EXTERNAL_LENGTH,
            "held_out_rows": _HELD_OUT,
            "evaluations": _ON_PLATEAU + _IN_DECAY,  # `with_fixed_steps` divides them
        },
        "stage2": {"length": length, "epochs": epochs, "evaluations": _evaluations(epochs)},
    }
    return merge(base, size.changes)


def _evaluations(epochs: int) -> int:
    """Evaluations on dev during stage 2: one an epoch, at least 3 and at most 8."""
    return max(3, min(epochs, 8))


def _shorter_stage2(training: dict[str, Any], granted: float, clock: Clock) -> dict[str, Any]:
    """Fewer epochs of stage 2, so that those after the second take at most half of training's time."""

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


def trainings(seeds: int, *, compare: bool, unlabelled: bool) -> int:
    """How many encoders are trained: TLM's, and with `compare` those of the methods that it is compared with."""
    return seeds * (1 + len(trained_rivals(unlabelled=unlabelled)) * compare)


def training_threads(trained: int, cores: int) -> int:
    """Threads of each of `trained` trainings: all cores are used, even by fewer trainings than cores."""
    return max(1, cores // trained)


def internal_length(lengths: np.ndarray, longest: int) -> int:
    """The length in tokens that 95 % of the texts do not exceed, in steps of 32, at most `longest`."""
    wanted = int(np.percentile(lengths, 95, method="higher"))
    return max(32, min(longest, -(-wanted // 32) * 32))


def stage2_epochs(rows: int) -> int:
    """Epochs: three as in the demo, and more for small tasks, so that stage 2 has enough steps."""
    return max(3, min(20, round(_STEPS * 16 / rows)))


def vocabulary(text_bytes: float) -> int:
    """Entries: the demo's 8,192; half as many for a corpus under 5 MB, twice as many above 1 GB."""
    return 4096 if text_bytes < 5e6 else 8192 if text_bytes < 1e9 else 16384


def papers_k(rows: int) -> int:
    """K by Appendix B, small and medium scale."""
    return 5000 if rows < 5_000 else 500 if rows <= 100_000 else 50


def papers_rho1(rows: int) -> int:
    """rho1 of most tasks of this size in Table B.1, small and medium scale."""
    return 999 if rows < 5_000 else 99 if rows <= 100_000 else 3


def external_tokens(data: DataSizes, length: int, budget: int, rho1: int) -> float:
    """Passage tokens that stage 1 reads."""
    internal, external = _row(data, length)
    return budget * rho1 * external / (internal + rho1 * external)


def _row(data: DataSizes, length: int) -> tuple[float, float]:
    """Mean tokens of an internal and of an external row."""
    return float(np.minimum(data.lengths, length).mean()), min(data.passage_tokens, EXTERNAL_LENGTH)


def internal_share(data: DataSizes, length: int, budget: int) -> int:
    """rho1: the paper's for this number of texts, lowered until stage 1 reads each text often enough."""
    fitting = [
        rho1
        for rho1 in _GRID_RHO1
        if data.fewest <= rho1 <= papers_rho1(data.rows)
        and read_times(data, length, budget, rho1) >= data.readings
    ]
    return max(fitting, default=data.fewest)


def read_times(data: DataSizes, length: int, budget: int, rho1: int) -> float:
    """How often stage 1 reads a training text."""
    internal, external = _row(data, length)
    if data.unlabelled:
        internal *= 2  # an internal step reads as many unlabelled texts as labelled ones
    return budget / (internal + rho1 * external) / data.rows


def top_k(data: DataSizes, external: float) -> tuple[int, str | None]:
    """K, and a note if the corpus limits it: the smallest of the paper's K and the limits of budget and corpus."""
    paper = papers_k(data.queries)
    useful = _SURPLUS * external / (data.queries * min(data.passage_tokens, EXTERNAL_LENGTH))
    held = max(1.0, data.passages / _SHARE)
    k = max(each for each in _GRID_K if each <= max(1.0, min(paper, max(5.0, useful), held)))
    if held < min(paper, useful):
        return k, (
            f"K is {k}, not {min(paper, round(useful)):,}: the corpus has about {data.passages:,.0f} passages, and a"
            f" query takes at most a {_SHARE}th of them; a larger corpus would serve better"
        )
    return k, None


def with_fixed_steps(training: Mapping[str, Any], steps: int, optimizer: Optimizer) -> dict[str, Any]:
    """Warm-up and measurements of stage 1 in steps, so that a larger budget changes nothing before the decay."""
    plateau = optimizer.decay_start(steps)
    stage1: dict[str, Any] = {"optimizer": {"warmup_steps": optimizer.warmup(steps)}}
    if training["stage1"].get("evaluations") == _ON_PLATEAU + _IN_DECAY:
        stage1 |= {"evaluate_every": max(1, plateau // _ON_PLATEAU), "evaluations": _IN_DECAY}
    return merge(training, {"stage1": stage1})


def _reasons(size: Size, data: DataSizes) -> dict[str, str]:
    return {
        "like": f"a model of {size.name}: the largest that can be trained well in the time",
        "threads": "threads of one training, by the cores of this machine and the number of trainings",
        "stage1.budget": "as many as the time allows",
        "stage1.internal_length": "95 % of the training texts are not longer; less if the time is short",
        "stage1.rho1": f"Table B.1: {papers_rho1(data.rows)} for this number of texts; less if the budget is small",
        "stage1.optimizer": "in steps, so that a longer training (`tlm train --budget`) can continue this one",
        "stage1.evaluate_every": "steps; the held-out loss shows whether more time would help",
        "k": f"Appendix B: {papers_k(data.queries)} for this number of texts; less if budget or corpus is small",
        "stage2.epochs": "more for small tasks, fewer if the time is short",
        "tokenizer.vocabulary": "by the size of the corpus",
    }
