"""The audit stage: a task against its training split, a corpus and a selection; and real data with known answers."""

import io
import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from retrieval_corpora import write_corpus

from tlm.artifacts import read_manifest, write_manifest
from tlm.audit import texts
from tlm.audit.overlap import Audited
from tlm.audit.stage import audit_task
from tlm.config.retrieval import RandomSelector
from tlm.errors import TlmError
from tlm.retrieval.selection import select

LONG = " ".join(f"w{i}" for i in range(30))
SHORT = "five words are just enough"
TINY = "good film"


def write_task(directory, **splits):
    """A task artifact of the given texts, or pairs of texts, a split."""
    directory.mkdir(parents=True)
    first = 0
    for split, rows in splits.items():
        pairs = isinstance(rows[0], tuple)
        columns = {"row_id": pa.array(range(first, first + len(rows)), pa.int64())}
        columns["text"] = pa.array([row[0] if pairs else row for row in rows], pa.string())
        if pairs:
            columns["text_pair"] = pa.array([row[1] for row in rows], pa.string())
        pq.write_table(pa.table(columns), directory / f"{split}.parquet")
        first += len(rows)
    rows = {split: len(splits.get(split, ())) for split in ("train", "dev", "test")}
    write_manifest(directory, "task", counts={"rows": rows}, parameters={"task": "t"})
    return directory


def matches(folder):
    return [tuple(row.values()) for row in pq.read_table(folder / "matches.parquet").to_pylist()]


def kinds(folder):
    return pq.read_table(folder / "rows.parquet")["kind"].to_pylist()


def test_rows_are_found_by_their_strongest_kind(tmp_path):
    part = " ".join(LONG.split()[5:20])
    task = write_task(
        tmp_path / "task", train=["x"], dev=[LONG, SHORT, TINY, "!!!"], test=[SHORT, "nothing of it"]
    )
    corpus = write_corpus(
        tmp_path / "corpus", ["x", f"so {part} y", f"He said: {SHORT}!", TINY, LONG.upper() + "."]
    )
    counts = audit_task(task, corpus, tmp_path / "audit").counts
    assert matches(tmp_path / "audit") == [
        ("dev", 1, "text", 1, "run", 15, 30),
        ("dev", 2, "text", 2, "verbatim", 5, 5),
        ("test", 5, "text", 2, "verbatim", 5, 5),
        ("dev", 3, "text", 3, "equal", 2, 2),
        ("dev", 1, "text", 4, "equal", 30, 30),
    ]
    assert kinds(tmp_path / "audit") == ["equal", "verbatim", "equal", None, "verbatim", None]
    dev = {"rows": 4, "equal": 2, "verbatim": 3, "half": 3, "run": 1, "contaminated": 3, "short": 2}
    test = {"rows": 2, "equal": 0, "verbatim": 1, "half": 1, "run": 0, "contaminated": 1, "short": 1}
    assert counts == {"dev": dev, "test": test, "others": 5, "others_contaminated": 4}
    rows = pq.read_table(tmp_path / "audit/rows.parquet").to_pylist()
    found = {"kind": "equal", "longest": 30, "covered": 30, "matches": 2}
    assert rows[0] == {"split": "dev", "row_id": 1, "words": 30, **found, "short": False}


def test_a_text_split_over_two_passages_is_found_by_its_runs(tmp_path):
    listed = LONG.split()
    task = write_task(tmp_path / "task", train=["x"], dev=[LONG], test=[" ".join(listed[:24])])
    corpus = write_corpus(tmp_path / "corpus", ["a " + " ".join(listed[:14]), " ".join(listed[14:]) + " b"])
    audit_task(task, corpus, tmp_path / "audit")
    rows = pq.read_table(tmp_path / "audit/rows.parquet").to_pylist()
    assert [(row["kind"], row["longest"], row["covered"], row["matches"]) for row in rows] == [
        ("run", 16, 30, 2),
        ("run", 14, 14, 1),
    ]


def test_an_audit_against_a_task_reads_its_training_split(tmp_path):
    task = write_task(tmp_path / "task", train=[LONG, TINY, "z " + LONG], dev=[TINY], test=["other", LONG])
    manifest = audit_task(task, task, tmp_path / "audit")
    assert pq.read_schema(tmp_path / "audit/matches.parquet").names[3] == "train_row_id"
    assert [(row[1], row[3], row[4]) for row in matches(tmp_path / "audit")] == [
        (5, 0, "equal"),
        (3, 1, "equal"),
        (5, 2, "verbatim"),
    ]
    assert manifest.inputs == {"task": read_manifest(task).digest}
    assert manifest.counts["test"]["equal"] == 1 and manifest.counts["others"] == 3


def test_pairs_are_joined_in_training_rows_and_separate_in_passages(tmp_path):
    premise = LONG.replace("w", "v")
    dev = [(LONG, SHORT), (LONG, premise), ("unheard of", SHORT), (TINY, TINY)]
    task = write_task(tmp_path / "task", train=[(premise, SHORT), (LONG, SHORT)], dev=dev)
    corpus = write_corpus(tmp_path / "corpus", [f"{LONG} x", f"y {SHORT}"])
    assert "test" not in audit_task(task, task, tmp_path / "train").counts
    assert kinds(tmp_path / "train") == [
        "equal",
        "run",
        None,
        None,
    ]  # half a pair in common is no pair in common
    counts = audit_task(task, corpus, tmp_path / "corpus-audit").counts
    assert kinds(tmp_path / "corpus-audit") == ["verbatim", "run", "part", None]
    assert [row[2] for row in matches(tmp_path / "corpus-audit")] == [
        "text",
        "text",
        "text_pair",
        "text_pair",
    ]
    assert (counts["dev"]["verbatim"], counts["dev"]["contaminated"], counts["dev"]["short"]) == (1, 3, 1)


def test_an_audit_depends_on_neither_shards_nor_batches(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(3)]
    passages = [" ".join(draw.choice(vocabulary, draw.integers(1, 40))) for _ in range(400)]
    task = write_task(tmp_path / "task", train=["x"], dev=passages[::7], test=[LONG, *passages[5:300:11]])
    one = audit_task(task, write_corpus(tmp_path / "one", passages), tmp_path / "a")
    monkeypatch.setattr(texts, "_BATCH", 64)
    monkeypatch.setattr("tlm.audit.overlap._ROOM", 3)
    many = audit_task(task, write_corpus(tmp_path / "many", passages, parts=3), tmp_path / "b")
    assert one.counts == many.counts and one.counts["dev"]["verbatim"] == len(passages[::7])
    for name in ("matches", "rows"):
        assert pq.read_table(tmp_path / f"a/{name}.parquet") == pq.read_table(tmp_path / f"b/{name}.parquet")


def test_an_audit_of_a_selection_finds_the_matches_of_its_passages(tmp_path):
    passages = [LONG if i % 3 else f"something else {i}" for i in range(30)]
    task = write_task(tmp_path / "task", train=["x"], dev=[LONG])
    corpus = write_corpus(tmp_path / "corpus", passages)
    like = tmp_path / "like"
    like.mkdir()
    write_manifest(like, "selection", counts={"passages": 10}, parameters={})
    select(RandomSelector(like="like", seed=1), corpus, tmp_path / "selection", {"like": like})
    audit_task(task, corpus, tmp_path / "a")
    audit_task(task, tmp_path / "selection", tmp_path / "b")
    chosen = set(pq.read_table(tmp_path / "selection/passages.parquet")["passage_id"].to_pylist())
    assert matches(tmp_path / "b") == [row for row in matches(tmp_path / "a") if row[3] in chosen]
    assert 0 < len(matches(tmp_path / "b")) < 20


def test_unusable_inputs_raise(tmp_path):
    task = write_task(tmp_path / "task", train=["x"], dev=["y"])
    index = tmp_path / "index"
    index.mkdir()
    write_manifest(index, "index", counts={}, parameters={})
    with pytest.raises(
        TlmError, match="holds a 'index' artifact; an audit reads a corpus, a selection or a task"
    ):
        audit_task(task, index, tmp_path / "audit")
    alone = write_task(tmp_path / "alone", train=["x"])
    with pytest.raises(TlmError, match="neither dev nor test rows"):
        audit_task(alone, alone, tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def stored(path):
    """The `text` of a packed file of JSON lines."""
    with path.open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        return pa.array([json.loads(line)["text"] for line in lines], pa.large_string())


def standing_whole(audited, others):
    found = set()
    for begin in range(0, len(others), 8192):
        for shared in audited.find(others[begin : begin + 8192]):
            found.update(shared.text[shared.whole].tolist())
    return len(found)


def test_known_faults_of_real_splits_are_found(shared):
    for task, rows, known in (("citation_intent", 139, 52), ("imdb", 25_000, 43)):
        audited = Audited(stored(shared / f"tasks/{task}/test.jsonl.zst"))
        assert len(audited.sizes) == rows
        assert standing_whole(audited, stored(shared / f"tasks/{task}/train.jsonl.zst")) == known


def test_known_faults_of_a_real_corpus_are_found_in_bounded_time(shared):
    tests = {task: stored(shared / f"tasks/{task}/test.jsonl.zst") for task in ("sciie", "citation_intent")}
    audited = Audited(pa.concat_arrays(list(tests.values())))
    found, passages, spent = set(), 0, 0.0
    for path in sorted((shared / "corpus").glob("part-*.jsonl.zst")):
        others = stored(path)
        passages += len(others)
        before = time.process_time()
        for begin in range(0, len(others), 8192):
            for pairs in audited.find(others[begin : begin + 8192]):
                found.update(pairs.text[pairs.whole].tolist())
        spent += time.process_time() - before
    assert passages == 725_216
    first = len(tests["sciie"])
    assert (first, sum(text < first for text in found)) == (974, 40)
    assert sum(text >= first for text in found) == 18
    assert spent < 60  # seconds of one core, a few on most
