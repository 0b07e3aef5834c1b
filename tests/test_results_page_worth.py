"""Was TLM worth it: the rule on differences, and the sentence that tells it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.results.page import formatting
from tlm.results.page.task_report import Lead, NumberWithInterval
from tlm.results.page.worth import difference, estimate, verdict
from tlm.statistics import BootstrapEstimate


def resampled(value, spread, by_seed=None):
    draws = value + spread * np.linspace(-1, 1, 101)
    return BootstrapEstimate(value, draws, tuple(by_seed or (value,)))


@pytest.mark.parametrize(
    ("ours", "theirs", "answer"),
    [
        (resampled(0.8, 0.01), resampled(0.7, 0.0), "better"),
        (resampled(0.7, 0.01), resampled(0.8, 0.0), "worse"),
        (resampled(0.8, 0.2), resampled(0.7, 0.0), "unclear"),  # the interval contains 0
        (resampled(0.8, 0.01, (0.9, 0.7)), resampled(0.75, 0.0, (0.75,)), "unclear"),  # seeds disagree
        (resampled(0.8, 0.01, (0.79, 0.81)), resampled(0.7, 0.0, (0.7, 0.7)), "better"),
        (resampled(1.0, 0.0), resampled(1.0, 0.0), "unclear"),
    ],
)
def test_a_lead_is_conclusive_if_texts_and_seeds_agree(ours, theirs, answer):
    assert difference("tfidf", ours, theirs).answer == answer


def verdict_on(**answers):
    values = {"better": (0.05, 0.03, 0.07), "worse": (-0.05, -0.07, -0.03), "unclear": (0.01, -0.02, 0.04)}
    differences = [
        Lead(
            rival=rival.replace("_", "-"),
            difference=NumberWithInterval(
                value=values[answer][0], low=values[answer][1], high=values[answer][2]
            ),
            answer=answer,
        )
        for rival, answer in answers.items()
    ]
    return verdict(
        differences,
        score=NumberWithInterval(value=0.8),
        metric="macro_f1",
        rows=400,
        split="test",
        by_seed=(0.79, 0.81),
        seconds={"tlm": 600, "tfidf": 2},
    )


@pytest.mark.parametrize(
    ("tfidf", "task_only", "answer", "start"),
    [
        ("better", "better", "yes", "Yes, TLM was worth it:"),
        ("better", "worse", "no", "No, TLM was not worth it here:"),
        ("worse", "unclear", "no", "No, TLM was not worth it here:"),
        ("better", "unclear", "partly", "Partly:"),
        ("unclear", "better", "partly", "Partly:"),
        ("unclear", "unclear", "unclear", "Inconclusive whether TLM was worth it:"),
    ],
)
@pytest.mark.parametrize("random", ["better", "worse", "unclear"])
def test_verdict_follows_the_rule(tfidf, task_only, answer, start, random):
    found = verdict_on(tfidf=tfidf, task_only=task_only, random=random)
    assert found.answer == answer  # whatever random passages do
    assert found.sentence.startswith(start) and found.sentence.endswith(".")
    assert "80.0 (macro-F1 on 400 test texts)" in found.sentence
    if tfidf == "worse":
        assert "5.0 points less than TF-IDF" in found.sentence and "[−7.0, −3.0]" in found.sentence
    assert any("10 min" in reason and "2 s" in reason for reason in found.reasons)
    assert any("79.0, 81.0" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (
            "better",
            "5.0 points more than the same training without the unlabelled texts .*; the unlabelled texts help",
        ),
        ("worse", "5.0 points less than .*; the unlabelled texts hurt: leave them out"),
        ("unclear", "1.0 points more than .*; it is inconclusive whether the unlabelled texts help"),
    ],
)
def test_the_reasons_say_what_unlabelled_texts_brought(answer, meaning):
    found = verdict_on(tfidf="better", labelled_only=answer)
    assert found.answer == "yes"
    (reason,) = [each for each in found.reasons if each.startswith("The unlabelled texts: ")]
    assert re.search(meaning, reason)


def test_an_estimate_without_spread_has_no_interval():
    assert estimate(resampled(1.0, 0.0)) == NumberWithInterval(value=1.0)
    assert estimate(resampled(0.5, 0.1)).low < 0.5


@given(st.floats(-1, 1))
def test_signs_match_the_numbers(value):
    text = formatting.signed(value)
    assert float(text.replace("−", "-")) == pytest.approx(100 * value, abs=0.051)
    assert text[0] == (
        "+" if float(f"{100 * value:.1f}") > 0 else "−" if float(f"{100 * value:.1f}") < 0 else "0"
    )


@given(st.floats(0.01, 1e6))
def test_durations_are_rounded_by_at_most_5_percent(seconds):
    units = {"s": 1, "min": 60, "h": 3600}
    parts = formatting.duration(seconds).split()
    total = sum(float(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    assert total == pytest.approx(seconds, rel=0.06)


def test_texts_are_cut_between_words():
    assert formatting.shortened("short", 10) == "short"
    assert formatting.shortened("one two three four", 12) == "one two …"
    assert formatting.shortened("x" * 50, 10) == "x" * 8 + " …"
    assert formatting.listed(["a"]) == "a" and formatting.listed(["a", "b", "c"]) == "a, b and c"
    assert formatting.sure(0.99999) == "more than 99.9 %" and formatting.size(123456) == "123 kB"
    assert formatting.flops(1.234e13) == "1.23 × 10¹³" and formatting.percent(-0.5) == "−50.0"
