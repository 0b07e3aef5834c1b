"""Table 9: training texts and the passages that they retrieved, with shared words marked (Section 4.4.2).

Place in the flow: task, retrieval and corpus → one cell a task (`results/cells/table9/<task>/examples.json`) → CSV and
an HTML page. Texts are chosen by rule: a task's training texts are ordered by the score of their best passage, and
those at evenly spaced quantiles are shown, each with its best passages. Marked words are index terms that text and
passage share, except common English words, which have little weight in BM25 too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.experiments import ExamplesSpec
from tlm.config.retrieval import IndexSpec, RetrievalSpec
from tlm.errors import TlmError
from tlm.results.rendering import csv_text
from tlm.results.static import page
from tlm.retrieval.analyser import analyse_with
from tlm.retrieval.queries import query_texts, training_texts

_WORD = re.compile(r"\w+(?:['’.:]\w+)*")  # near UAX #29: a word here is one word for the analyser
_QUERY_WORDS = 60  # of a longer text, the part with the most shared words is shown
_PASSAGE_WORDS = 80

Segment = tuple[str, bool]
"""A part of a text, and whether it is marked."""


@dataclass(frozen=True)
class Word:
    """A word of a text: its position and its index terms."""

    start: int
    end: int
    terms: frozenset[str]


def build_examples(
    spec: ExamplesSpec, task_dir: Path, retrieval_dir: Path, corpus_dir: Path
) -> dict[str, Any]:
    """The examples of one task. Raises TlmError if the retrieval is of another task or found no passage."""
    manifest = read_manifest(retrieval_dir, "retrieval")
    retrieval = RetrievalSpec.model_validate(manifest.parameters)
    queries = training_texts(task_dir)
    if manifest.inputs["task"] != queries.task:
        raise TlmError(f"{retrieval_dir}: made from other texts than those of {task_dir}; retrieve again")
    chosen = _chosen(retrieval_dir / "topk.parquet", spec.queries)
    found = pq.read_table(
        retrieval_dir / "topk.parquet",
        filters=[("query_id", "in", list(chosen)), ("rank", "<=", spec.passages)],
    ).to_pylist()
    passages = _passages(corpus_dir, [each["passage_id"] for each in found])
    query_strings, _ = query_texts(queries.texts, retrieval.query)
    place = {int(row): number for number, row in enumerate(queries.ids)}
    examples = []
    for row, quantile in chosen.items():
        shown, query = queries.texts[place[row]].as_py(), query_strings[place[row]].as_py()
        hits = sorted((each for each in found if each["query_id"] == row), key=lambda each: each["rank"])
        texts = [passages[each["passage_id"]]["text"] for each in hits]
        in_query, *in_passages = _terms([query, *texts], retrieval.index)
        shared = [in_query & terms for terms in in_passages]
        examples.append(
            {
                "row_id": row,
                "quantile": quantile,
                "query": _marked(shown, frozenset().union(*shared), _QUERY_WORDS, retrieval.index),
                "passages": [
                    {
                        "rank": each["rank"],
                        "passage_id": each["passage_id"],
                        "source": passages[each["passage_id"]]["source"],
                        "score": round(float(each["score"]), 3),
                        "text": _marked(text, terms, _PASSAGE_WORDS, retrieval.index),
                        "shared": sorted(terms),
                    }
                    for each, text, terms in zip(hits, texts, shared, strict=True)
                ],
            }
        )
    name = read_manifest(task_dir, "task").parameters["task"]
    corpus = read_manifest(corpus_dir, "corpus")
    digests = {"task": queries.task, "retrieval": manifest.digest, "corpus": corpus.digest}
    return {"task": name, "examples": examples, "made_from": digests}


def _chosen(topk: Path, count: int) -> dict[int, float]:
    """Row id → quantile of its best passage's score among the task's training texts; ties by row id."""
    best = pq.read_table(topk, columns=["query_id", "score"], filters=[("rank", "=", 1)])
    if best.num_rows == 0:
        raise TlmError(f"{topk}: no query found a passage; check task and corpus")
    order = sorted(zip(best["score"].to_pylist(), best["query_id"].to_pylist(), strict=True))
    quantiles = [(number + 0.5) / count for number in range(min(count, len(order)))]
    return {int(order[int(quantile * len(order))][1]): quantile for quantile in quantiles}


def _passages(corpus_dir: Path, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for part in sorted(corpus_dir.glob("part-*.parquet")):
        rows = pq.read_table(part, filters=[("passage_id", "in", sorted(set(ids)))]).to_pylist()
        found.update({row["passage_id"]: row for row in rows})
    if missing := sorted(set(ids) - set(found)):
        raise TlmError(f"{corpus_dir}: no passage {missing[0]}, which was retrieved from it; build it again")
    return found


def _terms(texts: Sequence[str], index: IndexSpec) -> list[frozenset[str]]:
    """The terms of each text as the index sees them, without common English words."""
    analysed = analyse_with(list(texts), index.model_copy(update={"stop_words": "english"}))
    strings = analysed.terms.strings()
    stream = analysed.stream.tolist()
    return [
        frozenset(strings[term] for term in stream[start:end])
        for start, end in pairwise(analysed.starts.tolist())
    ]


def _words(text: str, index: IndexSpec) -> list[Word]:
    spans = [match.span() for match in _WORD.finditer(text)]
    terms = _terms([text[start:end] for start, end in spans], index) if spans else []
    return [Word(start, end, found) for (start, end), found in zip(spans, terms, strict=True)]


def _marked(text: str, shared: frozenset[str], limit: int, index: IndexSpec) -> list[Segment]:
    """The text in segments; of a long text, the first part of `limit` words with the most shared words."""
    words = _words(text, index)
    marks = [bool(word.terms & shared) for word in words]
    first = max(range(max(1, len(words) - limit + 1)), key=lambda at: (sum(marks[at : at + limit]), -at))
    last = min(len(words), first + limit)
    begin = words[first].start if first else 0
    finish = words[last - 1].end if last < len(words) else len(text)
    segments: list[Segment] = [("… ", False)] if first else []
    position = begin
    for word, mark in zip(words[first:last], marks[first:last], strict=True):
        if mark:
            segments += [(text[position : word.start], False), (text[word.start : word.end], True)]
            position = word.end
    segments.append((text[position:finish] + (" …" if last < len(words) else ""), False))
    return [segment for segment in segments if segment[0]]


def as_csv(cells: Sequence[Mapping[str, Any]]) -> str:
    """One row a passage; shared words are in [brackets], and listed in the last column."""
    header = [
        "task",
        "row_id",
        "quantile",
        "query",
        "rank",
        "passage_id",
        "source",
        "score",
        "passage",
        "shared",
    ]
    rows = (
        [
            cell["task"],
            example["row_id"],
            example["quantile"],
            _bracketed(example["query"]),
            passage["rank"],
            passage["passage_id"],
            passage["source"],
            passage["score"],
            _bracketed(passage["text"]),
            " ".join(passage["shared"]),
        ]
        for cell in cells
        for example in cell["examples"]
        for passage in example["passages"]
    )
    return csv_text(header, rows)


def _bracketed(segments: Sequence[Sequence[Any]]) -> str:
    return "".join(f"[{text}]" if marked else text for text, marked in segments)


def as_page(spec: ExamplesSpec, cells: Sequence[Mapping[str, Any]]) -> str:
    """An HTML page that loads nothing else; every text is escaped."""
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in (*_RULE, *spec.notes))
    blocks = [f"<h1>{html.escape(spec.title)}</h1>", f"<ul>{notes}</ul>"]
    for cell in cells:
        blocks.append(f"<h2>{html.escape(cell['task'])}</h2>")
        for example in cell["examples"]:
            hits = "".join(
                f"<li><p>{_html(passage['text'])}</p><p class=soft>rank {passage['rank']}, "
                f"{html.escape(passage['source'])}, passage {passage['passage_id']}, BM25 {passage['score']:.1f}"
                "</p></li>"
                for passage in example["passages"]
            )
            blocks.append(
                f"<section><div class=query><p>{_html(example['query'])}</p><p class=soft>training text "
                f"{example['row_id']}, quantile {example['quantile']:.2f}</p></div><ol>{hits}</ol></section>"
            )
    return page(spec.title, "\n".join(blocks), _STYLE)


def _html(segments: Sequence[Sequence[Any]]) -> str:
    return "".join(
        f"<mark>{html.escape(text)}</mark>" if marked else html.escape(text) for text, marked in segments
    )


_RULE = (
    "Each training text is a query; beside it are its best passages by BM25.",
    "The texts are chosen by rule: a task's training texts are ordered by the score of their best passage, and those "
    "at evenly spaced quantiles are shown.",
    "Marked: index terms that text and passage share, except common English words. Of a long text, the part with the "
    "most shared terms is shown.",
)
_STYLE = """
body { max-width: 68rem; }
h2 { border-bottom: 1.5px solid var(--ink); padding-bottom: .2rem; }
section { display: grid; grid-template-columns: 2fr 3fr; gap: 0 2.2rem; padding: .7rem 0; }
section { border-bottom: 1px solid #ddd; }
section p { font-family: Georgia, "Noto Serif", serif; margin: 0 0 .2rem; }
section .soft { font-family: system-ui, sans-serif; margin-bottom: .8rem; }
.query { border-left: 3px solid var(--line); padding-left: .9rem; align-self: start; }
section ol { margin: 0; padding-left: 1.3rem; }
section ol li { color: inherit; font-size: inherit; }
mark { background: none; color: var(--accent); font-weight: 700; }
@media (max-width: 45rem) {
  section { grid-template-columns: minmax(0, 1fr); }
  section ol { margin-top: .6rem; }
}
@media print {
  @page { size: A4 portrait; margin: 15mm; }
  section, section ol li { break-inside: avoid; }
  mark { text-decoration: underline; color: inherit; }
}
"""
