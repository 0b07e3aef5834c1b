"""Table 9: texts chosen by rule, shared words marked, nothing lost and nothing unescaped."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval_corpora import write_corpus, write_task

from tlm.config.experiments import ExamplesSpec
from tlm.config.retrieval import IndexSpec, RetrievalSpec
from tlm.errors import TlmError
from tlm.results.examples import _marked, as_csv, as_page, build_examples
from tlm.retrieval.index import build_index
from tlm.retrieval.stage import retrieve

SPEC = ExamplesSpec(title="Texts & passages", queries=2, passages=2, notes=("A <note>.",))
PASSAGES = [
    "The boat is at anchor, and the crew sleeps.",
    "Roses <b>bloom</b> near the harbour wall.",
    "Nobody minds the old oven.",
    "Salt and pepper, then onions: the cook's day.",
]
QUERIES = ["The anchor of the boat", "Pepper & salt", "the oven and the crew", "a rose, a wall"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    build_index(write_corpus(folder / "corpus", PASSAGES, parts=2), folder / "index", IndexSpec(), 1)
    write_task(folder / "task", QUERIES)
    retrieve(folder / "index", folder / "task", folder / "found", RetrievalSpec(k=3), 1)
    return folder


@pytest.fixture(scope="module")
def cell(folders):
    return build_examples(SPEC, folders / "task", folders / "found", folders / "corpus")


def test_texts_are_at_even_quantiles_of_their_best_score(cell):
    shown = cell["examples"]
    assert [each["quantile"] for each in shown] == [0.25, 0.75]
    best = [each["passages"][0]["score"] for each in shown]
    assert best == sorted(best) and len({each["row_id"] for each in shown}) == 2
    assert all([p["rank"] for p in each["passages"]] == [1, 2] for each in shown)


def test_shared_words_are_index_terms_except_common_words(folders):
    every = ExamplesSpec(title="T", queries=4, passages=1)
    cell = build_examples(every, folders / "task", folders / "found", folders / "corpus")
    shared = {each["row_id"]: each["passages"][0]["shared"] for each in cell["examples"]}
    assert shared == {0: ["anchor", "boat"], 1: ["pepper", "salt"], 2: ["crew"], 3: ["wall"]}
    query = next(each["query"] for each in cell["examples"] if each["row_id"] == 1)
    assert [text for text, marked in query if marked] == ["Pepper", "salt"]


def test_csv_and_page(cell):
    rows = list(csv.DictReader(io.StringIO(as_csv([cell]))))
    assert len(rows) == 4 and {row["task"] for row in rows} == {"t"}
    page = as_page(SPEC, [cell])
    assert "<title>Texts &amp; passages</title>" in page and "A &lt;note&gt;." in page
    assert "<mark>" in page and "<b>" not in page


def test_the_retrieval_of_another_task_raises(folders, tmp_path):
    other = write_task(tmp_path / "task", ["something else"])
    with pytest.raises(TlmError, match="other texts"):
        build_examples(SPEC, other, folders / "found", folders / "corpus")


words = st.lists(st.sampled_from(["boat", "Anchor", "the", "x", "it's", "&", "naïve", "3.5"]), max_size=30)


@given(words, st.sets(st.sampled_from(["boat", "anchor", "naïve"])), st.integers(1, 40))
def test_marking_changes_no_character(parts, shared, limit):
    text = ", ".join(parts)
    segments = _marked(text, frozenset(shared), limit, IndexSpec())
    shown = "".join(segment for segment, _ in segments).removeprefix("… ").removesuffix(" …")
    assert shown in text
    assert {segment.lower() for segment, marked in segments if marked} <= shared
    if limit >= 60 or len(parts) <= limit:
        assert shown == text
        assert sum(marked for _, marked in segments) == sum(part.lower() in shared for part in parts)
