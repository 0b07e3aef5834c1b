"""The rule that makes settings of data: what it gives at the sizes of the paper and of the demo, and at the edges."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.errors import TlmError
from tlm.own.command import seconds_of
from tlm.own.defaults import (
    DataSizes,
    choose,
    internal_length,
    internal_share,
    papers_k,
    papers_rho1,
    read_times,
    top_k,
    training_threads,
    trainings,
)

DEMO = DataSizes(np.full(2000, 30), 250_000, 118, 170e6)


def clock(rate=1e4, fixed=30.0):
    """Seconds of one training on a machine that reads `rate` tokens a second, and a sixteenth of that with 4 x 256."""

    def seconds(training):
        slow = {"demo": 1, "mini": 16}[training["like"]] * (4 if "hidden_size" in training["model"] else 1)
        stage2 = training["stage2"]["epochs"] * 2000 * 30
        return (
            fixed + len(training["seeds"]) * slow * (training["stage1"]["budget"]["tokens"] + stage2) / rate
        )

    return seconds


@pytest.mark.parametrize(
    ("rows", "k", "rho1"),
    [(515, 5000, 999), (4169, 5000, 999), (20_000, 500, 99), (115_000, 50, 3), (180_040, 50, 3)],
)
def test_the_papers_k_and_rho1_by_the_number_of_texts(rows, k, rho1):
    assert (papers_k(rows), papers_rho1(rows)) == (k, rho1)


def test_the_papers_own_scale_comes_out_of_the_rule():
    chemprot = DataSizes(np.full(4169, 60), 30_000_000, 128, 16e9)
    assert internal_share(chemprot, 128, 4_915_200_000) == 999  # 150,000 steps of 256 x 128
    assert top_k(chemprot, 4.9e9) == (5000, None)


def test_the_tuned_demo_comes_out_of_the_rule():
    assert internal_share(DEMO, 128, 600_000) == 3 and top_k(DEMO, 450_000)[0] == 10
    assert internal_share(DEMO, 128, 3_000_000) == 3 and top_k(DEMO, 2_250_000)[0] == 50


def test_more_time_is_a_larger_model_and_the_time_is_kept():
    sizes = []
    for granted in (300, 3600, 12 * 3600, 30 * 86400):
        choice = choose(DEMO, granted, clock(), {})
        assert choice.seconds <= granted * 1.05
        sizes.append(choice.size)
    assert sizes == ["2 x 128", "2 x 128", "4 x 256", "6 x 384"]


@pytest.mark.parametrize(
    ("seeds", "compare", "cores", "threads"),
    [
        (1, False, 2, 2),
        (1, True, 2, 1),
        (1, True, 16, 5),
        (2, True, 16, 2),
        (2, False, 16, 8),
        (3, True, 8, 1),
    ],
)
def test_the_trainings_share_all_cores(seeds, compare, cores, threads):
    trained = trainings(seeds, compare=compare, unlabelled=False)
    assert trained == seeds * (3 if compare else 1)
    assert training_threads(trained, cores) == threads
    assert threads == 1 or threads * trained <= cores


def test_one_model_gets_at_least_three_quarters_of_the_time_whatever_is_granted():
    for granted in (600, 1800, 3600, 4 * 3600, 86400):
        training = choose(DEMO, granted, clock(), {}).training
        assert training["seeds"] == [1]
        assert clock(fixed=0)(training) >= 0.75 * (granted - 30)


def test_long_texts_are_read_to_their_end_if_the_time_is_enough_to_read_each_twice():
    long = DataSizes(np.full(1500, 400), 250_000, 118, 170e6)
    found = {}
    for granted in (30, 260, 360):
        choice = choose(long, granted, clock(), {})
        found[granted] = choice.training["stage1"]["internal_length"], choice.size
        assert (
            choice.training["model"]["max_length"] >= choice.training["stage2"]["length"] == found[granted][0]
        )
        assert ("longer than" in " ".join(choice.notes)) == (found[granted][0] < 400)
    assert [length for length, _ in found.values()] == [128, 256, 416]
    assert {size for _, size in found.values()} == {"2 x 128"}  # before a larger model


def test_pairs_are_read_twenty_times_or_a_note_warns():
    pairs = DataSizes(np.full(5749, 40), 250_000, 118, 170e6, pair=True)
    assert internal_share(pairs, 64, 8_000_000) == 1 and read_times(pairs, 64, 8_000_000, 1) < 20
    assert internal_share(pairs, 64, 60_000_000) == 3 and read_times(pairs, 64, 60_000_000, 3) >= 20
    little, much = (choose(pairs, granted, clock(), {}) for granted in (600, 30 * 3600))
    assert "reads each pair" in " ".join(little.notes) and "reads each pair" not in " ".join(much.notes)
    single = replace(pairs, pair=False)
    assert internal_share(single, 64, 8_000_000) == 3
    assert "reads each pair" not in " ".join(choose(single, 600, clock(), {}).notes)


def test_too_little_time_gives_a_note_and_the_smallest_run():
    choice = choose(DEMO, 20, clock(), {})
    assert choice.training["stage1"]["budget"] == {"tokens": 200_000}
    assert choice.training["stage2"]["epochs"] == 2 and "too short" in choice.notes[0]


def test_k_is_lowered_with_a_note_for_a_small_corpus():
    k, line = top_k(DataSizes(np.full(300, 30), 800, 100, 1e5), 1e6)
    assert k == 20 and "K is 20, not" in line and "800 passages" in line


def test_settings_of_the_user_stay():
    choice = choose(DEMO, 3600, clock(), {"tokenizer": {"pretrained": "x"}, "k": 7, "stage1": {"rho1": 1}})
    assert choice.training["k"] == 7 and choice.training["stage1"]["rho1"] == 1
    assert choice.training["tokenizer"]["pretrained"] == "x"


@given(st.lists(st.integers(3, 5000), min_size=1, max_size=50), st.sampled_from([128, 256, 512]))
def test_a_length_holds_95_percent_or_is_the_longest_allowed(lengths, longest):
    length = internal_length(np.array(lengths), longest)
    assert 32 <= length <= longest and length % 32 == 0
    assert length == longest or np.mean(np.array(lengths) <= length) >= 0.95


@given(st.integers(2, 10**6), st.floats(1, 1e8), st.floats(1e4, 1e12))
def test_k_is_never_more_than_the_paper_or_a_twentieth_of_the_corpus(rows, passages, external):
    k, _ = top_k(DataSizes(np.full(min(rows, 1000), 30), passages, 100, 1e6), external)
    assert 1 <= k <= max(1, min(papers_k(min(rows, 1000)), passages / 20))


@pytest.mark.parametrize(
    ("text", "seconds"), [("45m", 2700), ("1h", 3600), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)]
)
def test_budgets_as_people_say_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "soon", "1h and"])
def test_invalid_budgets_raise(text):
    with pytest.raises(TlmError, match="write a time such as 45m, 1h"):
        seconds_of(text)
