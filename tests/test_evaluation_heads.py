"""Positional and vertical heads on attention matrices made by hand, where the right answer is plain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.artifacts import verify
from tlm.errors import TlmError
from tlm.evaluation.attention_heads import (
    AttentionExample,
    count,
    head_table,
    interval,
    is_positional,
    is_vertical,
    read_attention,
    resampled_shares,
    shares,
    stack,
    write_attention,
)

TOKENS = 12  # [CLS], nine words, a period, [SEP]
SPECIAL = np.arange(TOKENS) % (TOKENS - 1) == 0
VERTICAL = SPECIAL | (np.arange(TOKENS) == TOKENS - 2)
RESAMPLING = (1, 200)


def pointing(targets, tokens=TOKENS):
    """One head whose query i looks at targets[i] most, and a little everywhere."""
    weights = np.full((1, 1, tokens, tokens), 0.1 / tokens)
    weights[0, 0, np.arange(tokens), targets] += 0.9
    return weights


def shifted(by, tokens=TOKENS):
    return pointing(np.clip(np.arange(tokens) + by, 0, tokens - 1), tokens)


def shares_of(weights, special=SPECIAL, vertical=VERTICAL):
    hits = stack([count(weights, queries=~special, targets=vertical)])
    return shares(hits.positional, hits.queries)[0, 0], shares(hits.vertical, hits.queries)[0, 0]


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("tokens", [4, 6, 12, 40])
def test_attention_to_one_neighbour_is_positional_even_in_short_texts(by, tokens):
    special = np.arange(tokens) % (tokens - 1) == 0
    positional, vertical = shares_of(shifted(by, tokens), special, special)
    assert positional == 1 and is_positional(positional)
    # The word beside [CLS] or [SEP] looks at it.
    assert vertical == pytest.approx(1 / (tokens - 2)) and not is_vertical(vertical)


@pytest.mark.parametrize("by", [0, -2, 2, 5])
def test_attention_at_another_fixed_distance_is_neither(by):
    positional, vertical = shares_of(shifted(by), vertical=SPECIAL)
    assert positional <= 0.1 + 1e-9  # at the end of the text there is no token at that distance
    assert not is_positional(positional) and not is_vertical(vertical)


@pytest.mark.parametrize("column", [0, TOKENS - 1, TOKENS - 2])
def test_a_column_on_cls_sep_or_period_is_vertical(column):
    positional, vertical = shares_of(pointing(np.full(TOKENS, column)))
    assert vertical == 1 and is_vertical(vertical) and not is_positional(positional)


def test_a_column_on_a_word_is_neither():
    positional, vertical = shares_of(pointing(np.full(TOKENS, 4)))
    assert vertical == 0 and positional == pytest.approx(2 / 10)


def test_equal_attention_to_everything_is_neither():
    """Ties are shared out: a plain argmax would find all maxima on [CLS] and call the head vertical."""
    positional, vertical = shares_of(np.full((1, 1, TOKENS, TOKENS), 1 / TOKENS))
    assert positional == pytest.approx(2 / TOKENS) and vertical == pytest.approx(3 / TOKENS)


def test_both_neighbours_count_and_have_separate_columns():
    steps = np.where(np.arange(TOKENS) % 2 == 0, 1, -1)
    queries, where = count(
        pointing(np.clip(np.arange(TOKENS) + steps, 0, TOKENS - 1)), queries=~SPECIAL, targets=VERTICAL
    )
    assert queries == 10
    assert where["previous"][0, 0] == 5 and where["next"][0, 0] == 5


def test_positional_is_at_least_and_vertical_more_than_90_percent():
    assert is_positional(np.array(0.9)) and not is_positional(np.array(0.8999))
    assert not is_vertical(np.array(0.9)) and is_vertical(np.array(0.9001))
    nine_of_ten = np.arange(TOKENS) + 1
    nine_of_ten[[3, -1]] = [8, 0]
    positional, _ = shares_of(pointing(nine_of_ten))
    assert is_positional(positional)
    column = np.zeros(TOKENS, int)
    column[3] = 8
    _, vertical = shares_of(pointing(column))
    assert not is_vertical(vertical)


def test_rows_of_special_tokens_do_not_count():
    weights = shifted(-1)
    weights[0, 0, SPECIAL] = 0
    weights[0, 0, SPECIAL, 5] = 1
    assert shares_of(weights)[0] == 1


@given(st.integers(0, 2**32 - 1), st.integers(4, 15))
def test_counts_agree_with_a_loop_over_queries(seed, tokens):
    draw = np.random.default_rng(seed)
    weights = draw.integers(0, 4, (2, 3, tokens, tokens)).astype(float)  # few values: many ties
    special, vertical = draw.random(tokens) < 0.3, draw.random(tokens) < 0.3
    _, where = count(weights, queries=~special, targets=vertical)
    for layer, head in np.ndindex(2, 3):
        expected = {"previous": 0.0, "next": 0.0, "vertical": 0.0}
        for query in np.flatnonzero(~special):
            row = weights[layer, head, query]
            best = [key for key in range(tokens) if row[key] == row.max()]
            for key in best:
                expected["previous"] += (key == query - 1) / len(best)
                expected["next"] += (key == query + 1) / len(best)
                expected["vertical"] += vertical[key] / len(best)
        assert {kind: part[layer, head] for kind, part in where.items()} == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1))
def test_only_the_order_of_weights_counts(seed):
    draw = np.random.default_rng(seed)
    weights = draw.random((1, 2, 8, 8))
    special = np.arange(8) % 7 == 0
    one = count(weights, queries=~special, targets=special)
    other = count(weights**3, queries=~special, targets=special)
    assert all(np.array_equal(one[1][kind], other[1][kind]) for kind in one[1])


def test_weights_that_are_not_numbers_raise():
    weights = shifted(1)
    weights[0, 0, 3, 3] = np.nan
    with pytest.raises(TlmError, match="diverged"):
        count(weights, queries=~SPECIAL, targets=VERTICAL)


def test_texts_without_a_token_raise_only_if_all_texts_are_empty():
    empty = count(np.full((1, 1, 2, 2), 0.5), queries=np.zeros(2, bool), targets=np.ones(2, bool))
    full = count(shifted(1), queries=~SPECIAL, targets=VERTICAL)
    assert stack([empty, full]).queries.tolist() == [0, 10]
    with pytest.raises(TlmError, match="no text"):
        stack([empty, empty])


def two_heads(texts=30):
    """One head always ahead, one that is so in about nine of ten texts."""
    found = []
    for number in range(texts):
        unsure = shifted(1) if number % 10 else shifted(4)
        found.append(count(np.concatenate([shifted(1), unsure], axis=1), queries=~SPECIAL, targets=VERTICAL))
    return stack(found)


def test_intervals_hold_the_share_and_have_no_width_only_for_certain_shares():
    rows = head_table(two_heads(), RESAMPLING).to_pylist()
    assert [(row["layer"], row["head"]) for row in rows] == [(1, 1), (1, 2)]
    sure, unsure = rows
    assert sure["positional"] == sure["positional_low"] == sure["positional_high"] == pytest.approx(1)
    assert unsure["positional_low"] < unsure["positional"] < unsure["positional_high"]
    assert unsure["next"] == pytest.approx(unsure["positional"]) and unsure["previous"] == 0


def test_resamples_are_the_same_for_every_model_and_follow_the_seed():
    hits = two_heads()
    one = resampled_shares(hits.positional, hits.queries, (1, 50))
    assert one.shape == (50, 1, 2)
    assert np.array_equal(one, resampled_shares(hits.positional, hits.queries, (1, 50)))
    assert not np.array_equal(one, resampled_shares(hits.positional, hits.queries, (2, 50)))


def test_the_interval_of_a_mean_is_near_the_textbook_one():
    draw = np.random.default_rng(0)
    part = (draw.random((400, 1, 1)) < 0.3).astype(float)
    low, high = interval(resampled_shares(part, np.ones(400), (1, 4000)))
    half = 1.96 * part.std() / 20
    assert low[0, 0] == pytest.approx(part.mean() - half, abs=0.006)
    assert high[0, 0] == pytest.approx(part.mean() + half, abs=0.006)


def test_the_artifact_reads_back_as_it_was_written(tmp_path):
    hits = two_heads()
    tokens = ("[CLS]", *(f"w{number}" for number in range(9)), ".", "[SEP]")
    example = AttentionExample("w0 …", tokens, shifted(1).astype(np.float32), SPECIAL, VERTICAL)
    parameters = {"task": "toy", "variant": "tlm", "seed": 1, "spec": {"seed": 1, "resamples": 200}}
    bytes_ = []
    for name in ("one", "two"):
        write_attention(
            tmp_path / name,
            hits,
            {"toy": example},
            resampling=RESAMPLING,
            parameters=parameters,
            inputs={"task": "digest"},
        )
        bytes_.append((tmp_path / name / "manifest.json").read_bytes())
    assert bytes_[0] == bytes_[1]
    manifest = verify(tmp_path / "one", "attention")
    assert manifest.counts == {"texts": 30, "maxima": 300, "heads": 2, "positional": 2, "vertical": 0}
    back = read_attention(tmp_path / "one" / "manifest.json")
    assert np.array_equal(back.hits.positional, hits.positional)
    assert back.examples["toy"].tokens == tokens and back.resampling == RESAMPLING
    assert np.array_equal(back.examples["toy"].weights, example.weights)
    assert is_positional(shares(back.examples["toy"].hits.positional, np.array([10.0])))[0, 0]
