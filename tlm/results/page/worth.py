"""Was TLM worth it? A rule, applied to differences with intervals; told in one sentence (docs/task-report.md).

Place in the flow: the runs of all methods on the scored split → scores, differences, verdict. All methods and seeds
are resampled over the same texts. TLM is *better* than a rival if the 95 % interval of the difference of their means
over seeds lies above zero, and the worst of its seeds is better than the best of the rival's: the interval does not
cover the choice of the seed. *Worse* is the same the other way round; else it cannot be told.

What is held against it is what would have cost less: TF-IDF with a linear model, and the same encoder trained on the
task's data alone. Yes: better than both. No: worse than either. In part: better than one, and the other cannot be told.
Random passages cost the same; they tell whether it was the retrieval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlm.results.page import words
from tlm.results.page.report import Answer, Difference, Estimate, Verdict
from tlm.results.page.runs import MethodRuns
from tlm.statistics import Estimate as Resampled
from tlm.statistics import combine, scores

CHEAPER = ("tfidf", "task-only")
_THEM = {
    "tfidf": "TF-IDF with a linear model",
    "task-only": "the same encoder trained on the task’s data alone",
    "random": "the same training on as many random passages",
}


@dataclass(frozen=True)
class Compared:
    """Method → its score, and TLM's difference from each rival."""

    scores: Mapping[str, Resampled]
    differences: tuple[Difference, ...]


def compare(methods: Sequence[MethodRuns], metric: str, labels: Sequence[str]) -> Compared:
    """Scores of all methods and TLM's differences from the others, from the same resamples of the rows."""
    truth = methods[0].runs[0].labels
    guesses = [[run.predictions for run in method.runs] for method in methods]
    found = scores(metric, truth, guesses, labels if len(labels) == 2 else ())
    named = {method.spec.name: each for method, each in zip(methods, found, strict=True)}
    first = methods[0].spec.name
    return Compared(
        named,
        tuple(difference(rival, named[first], score) for rival, score in named.items() if rival != first),
    )


def estimate(found: Resampled) -> Estimate:
    """A resampled number as the page keeps it.

    Where all resamples are equal (every text is right, or none) they say nothing of the interval: it is left out.
    """
    if np.ptp(found.draws) == 0:
        return Estimate(value=found.value)
    return Estimate(value=found.value, low=found.interval.low, high=found.interval.high)


def difference(rival: str, ours: Resampled, theirs: Resampled) -> Difference:
    """TLM's lead over a rival, and what it says."""
    lead = combine([(1, ours), (-1, theirs)])
    low, high = lead.interval.low, lead.interval.high
    answer: Literal["better", "worse", "unclear"] = "unclear"
    if low > 0 and min(ours.by_seed) > max(theirs.by_seed):
        answer = "better"
    elif high < 0 and max(ours.by_seed) < min(theirs.by_seed):
        answer = "worse"
    return Difference(rival=rival, difference=Estimate(value=lead.value, low=low, high=high), answer=answer)


def verdict(
    differences: Sequence[Difference],
    *,
    score: Estimate,
    metric: str,
    rows: int,
    split: str,
    by_seed: Sequence[float],
    seconds: Mapping[str, float],
) -> Verdict:
    """The rule of this module's docstring, in words. `seconds` is what one training of each method took."""
    given = {each.rival: each for each in differences}
    cheaper = [given[name] for name in CHEAPER if name in given]
    answer = _answer(cheaper)
    texts = words.counted(rows, f"{split} text")
    scored = f"TLM scores {words.percent(score.value)} ({words.metric_name(metric)} on {texts})"
    better, worse, unclear = (
        [each for each in cheaper if each.answer == kind] for kind in ("better", "worse", "unclear")
    )
    if answer == "yes":
        sentence = f"Yes, TLM was worth it: {scored}, {words.listed([_against(each) for each in better])}."
    elif answer == "no":
        sentence = (
            f"No, TLM was not worth it here: {scored}, {words.listed([_against(each) for each in worse])}. "
            "Use what costs less."
        )
    elif answer == "partly":
        sentence = (
            f"In part: {scored}, {words.listed([_against(each) for each in better])}; but whether it beats "
            f"{_THEM[unclear[0].rival]} cannot be told ({_lead(unclear[0])})."
        )
    else:
        sentence = (
            f"It cannot be told whether TLM was worth it: {scored}, "
            f"{words.listed([_against(each) for each in unclear])}. "
            "As long as that is so, the one that costs less is the better choice."
        )
    return Verdict(
        answer=answer, sentence=sentence, reasons=tuple(_reasons(given, rows, split, by_seed, seconds))
    )


def _answer(cheaper: Sequence[Difference]) -> Answer:
    kinds = {each.answer for each in cheaper}
    if "worse" in kinds:
        return "no"
    if kinds == {"better"}:
        return "yes"
    return "partly" if "better" in kinds else "unclear"


def _lead(each: Difference) -> str:
    return f"{words.signed(each.difference.value)} points {words.interval(each.difference, 'signed')}"


def _against(each: Difference) -> str:
    value = each.difference.value
    size = words.percent(abs(value))
    more = "more" if value >= 0 else "less"
    return f"{size} points {more} than {_THEM[each.rival]} {words.interval(each.difference, 'signed')}"


def _reasons(
    given: Mapping[str, Difference],
    rows: int,
    split: str,
    by_seed: Sequence[float],
    seconds: Mapping[str, float],
) -> list[str]:
    reasons = []
    if "tfidf" in seconds:
        ours, theirs = seconds["tlm"], seconds["tfidf"]
        reasons.append(
            f"The cost: one training took {words.duration(ours)}, and retrieval comes before it; TF-IDF took "
            f"{words.duration(theirs)}."
        )
    if (random := given.get("random")) is not None:
        told = {
            "better": "it is the retrieved passages that help, not more text as such",
            "worse": "passages at random did better than the retrieved ones: look at what was retrieved",
            "unclear": "whether it matters which passages are read cannot be told",
        }[random.answer]
        reasons.append(f"The retrieval: {_against(random)}; {told}.")
    widest = max((each.difference.high or 0) - (each.difference.low or 0) for each in given.values())
    reasons.append(
        f"With {words.counted(rows, f'{split} text')}, differences of less than about "
        f"{words.percent(widest / 2)} points "
        "cannot be told. Intervals are of 95 % and cover the choice of those texts, not that of the training seed."
    )
    if len(by_seed) == 1:
        reasons.append(
            "There is one training seed; another would give somewhat different scores (`seeds:` of the scale)."
        )
    else:
        told = ", ".join(map(words.percent, by_seed))
        reasons.append(f"By training seed, TLM scores {told}.")
    return reasons
