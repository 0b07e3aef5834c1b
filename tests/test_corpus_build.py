"""Corpora from files to shards: nothing lost, nothing twice, the same with any number of workers."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import citation, seal, section, write_medline

from tlm.artifacts import verify
from tlm.config.data import CorpusSpec, TaskSpec
from tlm.corpus import build as module
from tlm.corpus.build import build_corpus
from tlm.corpus.sample import build_sample
from tlm.errors import TlmError
from tlm.formats.files import find
from tlm.sources.medline import articles
from tlm.tasks.parsers import parse_examples
from tlm.text import clean

ROOT = Path(__file__).resolve().parent.parent


def corpus(*parsers, **changes) -> CorpusSpec:
    parts = [{"source": f"s{number}", "parser": parser} for number, parser in enumerate(parsers)]
    return CorpusSpec.model_validate({"parts": parts, **changes})


def build(tmp_path: Path, spec: CorpusSpec, workers: int = 1):
    folders = {source: seal(tmp_path / source) for source in spec.sources}
    return build_corpus("c", spec, folders, tmp_path / "c", workers=workers)


def passages(tmp_path: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / "c").glob("part-*.parquet"))])


JSONL = {"format": "delimited", "files": "*.jsonl"}
TEXT = {"format": "text", "files": "*.txt"}


def test_passages_and_counts_of_the_toy_corpus(tmp_path):
    toy.write_corpus(tmp_path / "s0" / "a.jsonl", 200)
    toy.write_corpus(tmp_path / "s1" / "a.txt", 200, seed=2)
    manifest = build(tmp_path, corpus(JSONL, TEXT))
    verify(tmp_path / "c", "corpus")
    rows = passages(tmp_path)
    assert list(rows.columns) == ["passage_id", "text", "source"]
    assert list(rows.passage_id) == list(range(len(rows))) and str(rows.passage_id.dtype) == "int64"
    assert manifest.counts["passages"] == len(rows) == sum(rows.source.isin(["s0", "s1"]))
    assert manifest.counts["words"] == rows.text.str.split().str.len().sum()
    assert manifest.counts["bytes"] == sum(len(text.encode()) for text in rows.text)
    written = [json.loads(line)["text"] for line in (tmp_path / "s0" / "a.jsonl").read_text().splitlines()]
    assert " ".join(rows.text[rows.source == "s0"]) == " ".join(written)
    assert " ".join(rows.text[rows.source == "s1"]) == clean((tmp_path / "s1" / "a.txt").read_text())
    assert rows.text.str.split().str.len().between(40, 120).all()


def test_any_number_of_workers_gives_the_same_bytes(tmp_path, monkeypatch):
    for number in range(3):
        toy.write_corpus(tmp_path / "s0" / f"{number}.jsonl", 30, seed=number)
    spec = corpus(JSONL)
    assert build(tmp_path, spec, workers=1) == build(tmp_path, spec, workers=2)


def test_shards_are_full_and_ids_continue(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_PASSAGES", 20)
    monkeypatch.setattr(module, "_BATCH", 10)
    toy.write_corpus(tmp_path / "s0" / "a.jsonl", 40)
    manifest = build(tmp_path, corpus(JSONL))
    sizes = [len(pd.read_parquet(tmp_path / "c" / name)) for name in manifest.files]
    assert len(sizes) > 2 and set(sizes[:-1]) == {20}
    assert list(passages(tmp_path).passage_id) == list(range(sum(sizes)))


def test_exact_duplicates_are_removed_and_counted(tmp_path):
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "a.txt").write_text("one two\n\nthree\n\none  two\n")
    (tmp_path / "s0" / "b.txt").write_text("three\n\nfour")
    manifest = build(tmp_path, corpus(TEXT))
    assert list(passages(tmp_path).text) == ["one two", "three", "four"]
    assert manifest.counts["duplicates_removed"] == 2 and manifest.counts["documents"] == 5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.sampled_from('ab .!\n\t"é\u0301A'), max_size=300), min_size=1, max_size=5))
def test_no_word_of_any_document_is_lost(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("c")
    (folder / "s0").mkdir()
    # A number before each, so that no two documents are the same.
    texts = [f"{number} {text}" for number, text in enumerate(texts)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "s0" / "a.jsonl").write_text(lines)
    manifest = build(folder, corpus(JSONL, min_words=2, max_words=400))
    assert manifest.counts["duplicates_removed"] == 0
    wanted = [word for text in texts for word in clean(text).split()]
    assert " ".join(passages(folder).text).split() == wanted


@pytest.mark.parametrize(
    ("unit", "expected"), [("paragraph", ["a b", "c"]), ("line", ["a", "b", "c"]), ("file", ["a b c"])]
)
def test_units_of_plain_text(tmp_path, unit, expected):
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "a.txt.gz").write_bytes(gzip.compress(b"a\nb\n\nc\n"))
    build(tmp_path, corpus({"format": "text", "unit": unit}))
    assert list(passages(tmp_path).text) == expected


def test_an_empty_corpus_raises_and_leaves_no_files(tmp_path):
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "a.txt").write_text(" \n\n \x00\n")
    with pytest.raises(TlmError, match="corpus c: empty; its sources s0 hold no text"):
        build(tmp_path, corpus(TEXT))
    assert [path.name for path in tmp_path.iterdir()] == ["s0"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_file_stops_the_build(tmp_path, workers):
    toy.write_corpus(tmp_path / "s0" / "a.jsonl", 30)
    (tmp_path / "s0" / "b.jsonl").write_text('{"text": "x"}\n{"text": \n')
    with pytest.raises(TlmError, match=r"b\.jsonl: row 2: not JSON"):
        build(tmp_path, corpus(JSONL), workers=workers)
    assert [path.name for path in tmp_path.iterdir()] == ["s0"]


def test_rows_without_text_are_counted(tmp_path):
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "a.jsonl").write_text('{"text": "x"}\n{"text": null}\n{"text": " "}\n')
    manifest = build(tmp_path, corpus(JSONL))
    assert manifest.counts["sources"]["s0"]["left_out"] == {"empty texts": 2}


def test_medline_task_and_corpus_share_no_article(tmp_path):
    write_medline(
        tmp_path / "s0" / "1.xml.gz",
        *(citation(number, section(f"Aim {number}.", "OBJECTIVE")) for number in range(5)),
        *(citation(number, section(f"Plain {number}.")) for number in range(5, 9)),
        citation(9, section("Odd.", "UNASSIGNED")),
    )
    # Later versions, one of which changes its mind.
    write_medline(
        tmp_path / "s0" / "2.xml.gz",
        citation(1, section("Aim 1 again.")),
        citation(5, section("Go.", "METHODS")),
    )
    manifest = build(tmp_path, corpus({"format": "medline_abstracts"}))
    in_corpus = set(passages(tmp_path).text)
    assert in_corpus == {"Plain 5.", "Plain 6.", "Plain 7.", "Plain 8.", "Odd."}
    assert manifest.counts["sources"]["s0"]["left_out"] == {"articles that serve the task": 5}
    parser = {"format": "medline_sentences"}
    split = {"by": "document"}
    spec = TaskSpec.model_validate({"source": "s0", "parser": parser, "metric": "micro_f1", "split": split})
    in_task = {example.document for example in parse_examples(spec, tmp_path / "s0", Counter())}
    others = {each.pmid for each in articles(find(tmp_path / "s0", "*.xml.gz")) if not each.labelled}
    assert in_task == {"0", "1", "2", "3", "4"} and not in_task & others


def test_botocore_documentation_without_html_and_without_repeats(tmp_path):
    model = {
        "documentation": "<p>The <code>Ping</code> service &amp; more.</p><ul><li>First.</li><li>Second.",
        "shapes": {
            "A": {
                "documentation": "<p>First.</p>",
                "members": {"documentation": {"documentation": "Third."}},
            },
            "B": {"documentation": ""},
        },
    }
    for service in ("a", "b"):
        path = tmp_path / "s0" / service / "2020-01-01" / "service-2.json.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(json.dumps(model).encode()))
    manifest = build(tmp_path, corpus({"format": "botocore"}))
    assert list(passages(tmp_path).text) == ["The Ping service & more. First. Second. Third."]
    assert manifest.counts["sources"]["s0"]["left_out"] == {"empty texts": 1, "repeated paragraphs": 6}


def test_script(tmp_path):
    toy.write_corpus(tmp_path / "s0" / "a.jsonl", 30)
    toy.write_corpus(tmp_path / "s1" / "a.txt", 30)
    spec = corpus(JSONL, TEXT)
    for source in spec.sources:
        seal(tmp_path / source)
    command = [sys.executable, "scripts/corpus.py", "--name", "c", "--spec", spec.model_dump_json()]
    command += ["--made-from", *(str(tmp_path / source / "manifest.json") for source in spec.sources)]
    command += ["--threads", "2", "--output", str(tmp_path / "c")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert verify(tmp_path / "c", "corpus").counts["documents"] == 60


def test_a_book_with_one_sentence_per_line_is_cut_between_sentences(tmp_path):
    (tmp_path / "s0").mkdir()
    lines = [f"this is the sentence of number {number} and it is in lower case ." for number in range(30)]
    (tmp_path / "s0" / "book.txt").write_text("\n".join(lines))
    manifest = build(tmp_path, corpus({"format": "text", "unit": "lines", "lines": 20}))
    assert manifest.counts["documents"] == 2
    assert all(text.endswith("case .") for text in passages(tmp_path).text)
    assert " ".join(passages(tmp_path).text) == " ".join(lines)


def sample(tmp_path, share: float, name: str = "sample"):
    spec = CorpusSpec.model_validate({"sample": {"of": "c", "share": share}})
    return build_sample(name, spec, spec.sample, tmp_path / "c", tmp_path / name)


def test_a_sample_is_a_corpus_of_about_its_share_and_samples_are_nested(tmp_path):
    toy.write_corpus(tmp_path / "s0" / "a.jsonl", 400)
    whole = build(tmp_path, corpus(JSONL))
    tenth, half = sample(tmp_path, 0.1, "tenth"), sample(tmp_path, 0.5, "half")
    for manifest, share in ((tenth, 0.1), (half, 0.5)):
        for count in ("passages", "words", "bytes"):
            assert manifest.counts[count] == pytest.approx(share * whole.counts[count], rel=0.25)
    rows = pd.read_parquet(tmp_path / "tenth" / "part-00000.parquet")
    assert list(rows.passage_id) == list(range(len(rows)))
    assert tenth.counts["words"] == rows.text.str.split().str.len().sum()
    larger = list(pd.read_parquet(tmp_path / "half" / "part-00000.parquet").text)
    assert set(rows.text) < set(larger) < set(passages(tmp_path).text)
    assert [text for text in passages(tmp_path).text if text in set(larger)] == larger
    assert tenth.inputs == {"corpus/c": whole.digest}
    assert sample(tmp_path, 0.1, "tenth") == tenth


def test_an_empty_sample_raises(tmp_path):
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "a.txt").write_text("one two")
    build(tmp_path, corpus(TEXT))
    with pytest.raises(TlmError, match="no passage of c falls in a share of 1e-06"):
        sample(tmp_path, 0.000001)
