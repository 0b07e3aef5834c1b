"""Splits depend on nothing but the data and the seed, and no text stands on both sides."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tlm.config.data import SplitRule
from tlm.tasks.parsers import Example
from tlm.tasks.splits import duplicates, key, limited, split_examples, without_straddlers

EXAMPLES = st.lists(
    st.builds(
        Example,
        text=st.sampled_from([f"text {number}" for number in range(40)] + ["Text 1", "TEXT 2"]),
        label=st.sampled_from("ab"),
        document=st.sampled_from("pqrstuvwxyz"),
        where=st.just("f: row 1"),
    ),
    max_size=80,
)


def rule(by: str, **changes) -> SplitRule:
    return SplitRule(by=by, **{"dev": 0.2, "test": 0.3, "seed": 1, **changes})


@given(EXAMPLES)
def test_by_document_keeps_documents_and_after_the_rule_no_text_straddles(examples):
    assigned = split_examples(examples, rule("document"))
    homes = defaultdict(set)
    for example in assigned:
        homes[example.document].add(example.split)
    assert all(len(splits) == 1 for splits in homes.values())
    kept, removed = without_straddlers(assigned)
    counts = duplicates(kept)
    assert counts["dev_in_train"] == counts["test_in_train"] == counts["test_in_dev"] == 0
    assert len(kept) + sum(removed.values()) == len(examples)
    assert [example for example in kept if example.split == "train"] == [
        example for example in assigned if example.split == "train"
    ]


@given(EXAMPLES)
def test_by_row_keeps_every_row_and_equal_texts_together(examples):
    assigned = split_examples(examples, rule("row"))
    assert [example.text for example in assigned] == [example.text for example in examples]
    homes = defaultdict(set)
    for example in assigned:
        homes[key(example)].add(example.split)
    assert all(len(splits) == 1 for splits in homes.values())


@given(EXAMPLES, st.randoms())
def test_splits_do_not_depend_on_the_order_of_documents(examples, random):
    shuffled = list(examples)
    random.shuffle(shuffled)
    homes = [
        {example.document: example.split for example in split_examples(each, rule("document"))}
        for each in (examples, shuffled)
    ]
    assert homes[0] == homes[1]


def example(number: int, label: str, **changes) -> Example:
    return Example(**{"text": f"t{number}", "label": label, "document": str(number), "where": "f", **changes})


def test_by_row_is_stratified_and_the_seed_matters():
    examples = [example(number, "ab"[number % 5 == 0]) for number in range(1000)]
    first = split_examples(examples, rule("row"))
    counts = Counter((each.label, each.split) for each in first)
    assert counts == {
        ("a", "train"): 400,
        ("a", "dev"): 160,
        ("a", "test"): 240,
        ("b", "train"): 100,
        ("b", "dev"): 40,
        ("b", "test"): 60,
    }
    assert split_examples(examples, rule("row")) == first
    assert split_examples(examples, rule("row", seed=2)) != first


def test_adding_documents_moves_none():
    examples = [example(number, "a") for number in range(200)]
    fewer = split_examples(examples[:100], rule("document"))
    assert split_examples(examples, rule("document"))[:100] == fewer


def test_a_given_test_split_stays_and_only_dev_is_carved_off():
    given = [example(number, "a", split="test") for number in range(10)]
    free = [example(number, "a", split="train") for number in range(5, 105)]
    assigned = split_examples(given + free, rule("row"))
    assert Counter(each.split for each in assigned) == {"train": 80, "dev": 20, "test": 10}
    kept, removed = without_straddlers(assigned, {"train", "test"})
    assert sum(each.split == "test" for each in kept) == 10 and removed["test"] == 0
    assert duplicates(kept)["test_in_dev"] == 0


def test_duplicates_are_counted_by_kind():
    rows = [
        ("x", "train"),
        ("X", "train"),
        ("y", "train"),
        ("x", "dev"),
        ("y", "test"),
        ("y", "test"),
        ("x", "test"),
    ]
    examples = [
        example(number, "ab"[number == 6], text=text, split=split)
        for number, (text, split) in enumerate(rows)
    ]
    assert duplicates(examples) == {
        "within_train": 1,
        "within_dev": 0,
        "within_test": 1,
        "dev_in_train": 1,
        "test_in_train": 3,
        "test_in_dev": 1,
        "conflicting_labels": 1,
    }


@given(EXAMPLES, st.integers(1, 20))
def test_limit_takes_a_fixed_sample_in_order(examples, most):
    assigned = split_examples(examples, rule("row"))
    taken = limited(assigned, {"train": most}, 1)
    train = [example for example in taken if example.split == "train"]
    assert len(train) == min(most, sum(example.split == "train" for example in assigned))
    iterator = iter(assigned)
    assert all(any(each is other for other in iterator) for each in taken)
    assert limited(taken, {"train": most}, 1) == taken
