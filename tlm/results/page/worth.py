"""Was TLM worth it? A rule on differences with intervals gives the answer in one sentence (docs/task-report.md).

Place in the flow: the runs of all methods on the scored split → scores, differences, verdict. All methods and seeds
are resampled over the same texts. TLM is *better* than another method if the 95 % interval of the difference of their
means over seeds is above zero, and TLM's worst seed scores higher than the other's best; the second condition is needed
because the interval does not cover the choice of the seed. *Worse* is the reverse; else the comparison is inconclusive.

The answer compares TLM with the cheaper methods: TF-IDF with a linear model, an SVM on n-grams, and the same encoder
trained on the task's data alone. Yes: better than all. No: worse than at least one. Partly: better than one,
inconclusive against another. Random passages cost the same; they show whether the retrieval made the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlm.results.page import formatting
from tlm.results.page.scored_runs import MethodRuns
from tlm.results.page.task_report import Answer, Lead, NumberWithInterval, WorthVerdict
from tlm.statistics import BootstrapEstimate, combine, scores

CHEAPER = ("tfidf", "ngram-svm", "task-only")
_THEM = {
    "tfidf": "TF-IDF with a linear model",
    "ngram-svm": "an SVM on n-grams",
    "task-only": "the same encoder trained on the task’s data alone",
    "random": "the same training on as many random passages",
    "labelled-only": "the same training without the unlabelled texts",
}


@dataclass(frozen=True)
class Compared:
    """Method → its score; and TLM's lead over each other method."""

    scores: Mapping[str, BootstrapEstimate]
    differences: tuple[Lead, ...]


def compare(methods: Sequence[MethodRuns], metric: str, labels: Sequence[str]) -> Compared:
    """Scores of all methods and TLM's lead over the others, from the same resamples of the rows."""
    truth = methods[0].runs[0].labels
    guesses = [[run.scored(metric) for run in method.runs] for method in methods]
    found = scores(metric, truth, guesses, labels if len(labels) == 2 else ())
    named = {method.spec.name: each for method, each in zip(methods, found, strict=True)}
    first = methods[0].spec.name
    return Compared(
        named,
        tuple(difference(rival, named[first], score) for rival, score in named.items() if rival != first),
    )


def estimate(found: BootstrapEstimate) -> NumberWithInterval:
    """A resampled number in the form of the report.

    If all resamples are equal (every text is right, or none), the interval is left out.
    """
    if np.ptp(found.draws) == 0:
        return NumberWithInterval(value=found.value)
    return NumberWithInterval(value=found.value, low=found.interval.low, high=found.interval.high)


def difference(rival: str, ours: BootstrapEstimate, theirs: BootstrapEstimate) -> Lead:
    """TLM's lead over a rival: better, worse or unclear (inconclusive)."""
    lead = combine([(1, ours), (-1, theirs)])
    low, high = lead.interval.low, lead.interval.high
    answer: Literal["better", "worse", "unclear"] = "unclear"
    if low > 0 and min(ours.by_seed) > max(theirs.by_seed):
        answer = "better"
    elif high < 0 and max(ours.by_seed) < min(theirs.by_seed):
        answer = "worse"
    return Lead(
        rival=rival, difference=NumberWithInterval(value=lead.value, low=low, high=high), answer=answer
    )


def verdict(
    differences: Sequence[Lead],
    *,
    score: NumberWithInterval,
    metric: str,
    rows: int,
    split: str,
    by_seed: Sequence[float],
    seconds: Mapping[str, float],
) -> WorthVerdict:
    """The rule of this module's docstring. `seconds`: method → seconds of one training."""
    given = {each.rival: each for each in differences}
    cheaper = [given[name] for name in CHEAPER if name in given]
    answer = _answer(cheaper)
    texts = formatting.counted(rows, f"{split} text")
    scored = f"TLM scores {formatting.percent(score.value)} ({formatting.metric_name(metric)} on {texts})"
    better, worse, unclear = (
        [each for each in cheaper if each.answer == kind] for kind in ("better", "worse", "unclear")
    )
    if answer == "yes":
        sentence = (
            f"Yes, TLM was worth it: {scored}, {formatting.listed([_against(each) for each in better])}."
        )
    elif answer == "no":
        sentence = (
            f"No, TLM was not worth it here: {scored}, {formatting.listed([_against(each) for each in worse])}. "
            "Use the cheaper method."
        )
    elif answer == "partly":
        sentence = (
            f"Partly: {scored}, {formatting.listed([_against(each) for each in better])}. The comparison with "
            f"{_THEM[unclear[0].rival]} is inconclusive ({_lead(unclear[0])})."
        )
    else:
        sentence = (
            f"Inconclusive whether TLM was worth it: {scored}, "
            f"{formatting.listed([_against(each) for each in unclear])}. "
            "Prefer the cheaper method until more texts or seeds give a clear answer."
        )
    return WorthVerdict(
        answer=answer, sentence=sentence, reasons=tuple(_reasons(given, rows, split, by_seed, seconds))
    )


def _answer(cheaper: Sequence[Lead]) -> Answer:
    kinds = {each.answer for each in cheaper}
    if "worse" in kinds:
        return "no"
    if kinds == {"better"}:
        return "yes"
    return "partly" if "better" in kinds else "unclear"


def _lead(each: Lead) -> str:
    return (
        f"{formatting.signed(each.difference.value)} points {formatting.interval(each.difference, 'signed')}"
    )


def _against(each: Lead) -> str:
    value = each.difference.value
    size = formatting.percent(abs(value))
    more = "more" if value >= 0 else "less"
    return f"{size} points {more} than {_THEM[each.rival]} {formatting.interval(each.difference, 'signed')}"


def _reasons(
    given: Mapping[str, Lead],
    rows: int,
    split: str,
    by_seed: Sequence[float],
    seconds: Mapping[str, float],
) -> list[str]:
    reasons = []
    if "tfidf" in seconds:
        ours, theirs = seconds["tlm"], seconds["tfidf"]
        reasons.append(
            f"The cost: one training took {formatting.duration(ours)}, after retrieval; TF-IDF took "
            f"{formatting.duration(theirs)}."
        )
    if (random := given.get("random")) is not None:
        meaning = {
            "better": "the retrieved passages help, not just more text",
            "worse": "random passages did better than the retrieved ones: look at the retrieved passages",
            "unclear": "it is inconclusive whether the choice of passages matters",
        }[random.answer]
        reasons.append(f"The retrieval: {_against(random)}; {meaning}.")
    if (labelled := given.get("labelled-only")) is not None:
        meaning = {
            "better": "the unlabelled texts help",
            "worse": "the unlabelled texts hurt: leave them out (`unlabelled:` in the file of config/own/)",
            "unclear": "it is inconclusive whether the unlabelled texts help",
        }[labelled.answer]
        reasons.append(f"The unlabelled texts: {_against(labelled)}; {meaning}.")
    widest = max((each.difference.high or 0) - (each.difference.low or 0) for each in given.values())
    reasons.append(
        f"With {formatting.counted(rows, f'{split} text')}, differences of less than about "
        f"{formatting.percent(widest / 2)} points "
        "are inconclusive. The 95 % intervals cover the choice of these texts, but not the choice of the training seed."
    )
    if len(by_seed) == 1:
        reasons.append(
            "There is one training seed; another seed would give somewhat different scores (set `seeds:` in the scale)."
        )
    else:
        each = ", ".join(map(formatting.percent, by_seed))
        reasons.append(f"TLM’s scores by training seed: {each}.")
    return reasons
