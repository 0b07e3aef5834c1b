"""Building: the same bytes however it was built, resumed, appended to, or shared out."""

import json
import shutil

import numpy as np
import pytest
from retrieval_corpora import write_corpus

from tlm.artifacts import verify
from tlm.config.retrieval import IndexSpec
from tlm.errors import TlmError
from tlm.retrieval import index as index_module
from tlm.retrieval.analyser import analyse
from tlm.retrieval.blocks import build_block, open_block, write_block
from tlm.retrieval.index import build_index, build_share, parse_share

SPEC = IndexSpec()
TEXTS = [f"passage {i} of {i % 7} and {'word ' * (i % 5)}" for i in range(1050)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(index_module, "PASSAGES", 200)


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", TEXTS, parts=3)


def built(monkeypatch):
    """Names of the blocks that are built from now on."""
    names = []

    def spy(path, block, key):
        names.append(path.name)
        write_block(path, block, key)

    monkeypatch.setattr(index_module, "write_block", spy)
    return names


def test_a_block_holds_the_postings(tmp_path):
    texts = ["a b a", "", "b c", "a " * 300]
    write_block(tmp_path / "block", build_block(analyse(texts)), {"made": "here"})
    block = open_block(tmp_path / "block")
    terms = block.terms.strings()
    assert np.all(np.diff(block.hashes.astype(object)) > 0)
    postings = {}
    for number, term in enumerate(terms):
        span = slice(block.starts[number], block.starts[number + 1])
        counts = block.counts[span].astype(int)
        for i, at in enumerate(range(span.start, span.stop)):
            if counts[i] == 255:
                counts[i] = block.large[np.searchsorted(block.large_at, at)]
        postings[term] = dict(zip(block.documents[span].tolist(), counts.tolist(), strict=True))
    assert postings == {"a": {0: 2, 3: 300}, "b": {0: 1, 2: 1}, "c": {2: 1}}
    assert block.lengths.tolist() == [3, 0, 2, 300]


def test_threads_make_no_difference(tmp_path, corpus):
    manifests = [build_index(corpus, tmp_path / f"index{n}", SPEC, n) for n in (1, 2, 3)]
    assert len({manifest.digest for manifest in manifests}) == 1
    assert manifests[0].counts["passages"] == len(TEXTS)
    assert len(manifests[0].files) == 6
    verify(tmp_path / "index1")


def test_an_interrupted_build_continues(tmp_path, corpus, monkeypatch):
    whole = build_index(corpus, tmp_path / "whole", SPEC, 1)
    names = []

    def dies(path, block, key):
        if len(names) == 3:
            raise KeyboardInterrupt
        names.append(path.name)
        write_block(path, block, key)

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "write_block", dies)
        with pytest.raises(KeyboardInterrupt):
            build_index(corpus, tmp_path / "index", SPEC, 1)
    assert not (tmp_path / "index").exists()
    (tmp_path / ".index.partial" / "block-000004.bin").write_bytes(b"torn")  # what is no block is no use
    later = built(monkeypatch)
    assert build_index(corpus, tmp_path / "index", SPEC, 1).digest == whole.digest
    assert later == ["block-000003.bin", "block-000004.bin", "block-000005.bin"]


def test_an_appended_shard_rebuilds_only_the_last_block(tmp_path, corpus, monkeypatch):
    build_index(corpus, tmp_path / "index", SPEC, 1)
    more = write_corpus(tmp_path / "more", TEXTS + [f"new {i}" for i in range(350)], parts=4)
    for part in range(3):  # as an append leaves it: the first parts are the same files
        shutil.copy(corpus / f"part-{part:05d}.parquet", more)
    rewritten = write_appended(more)
    fresh = build_index(rewritten, tmp_path / "fresh", SPEC, 1)
    names = built(monkeypatch)
    assert build_index(rewritten, tmp_path / "index", SPEC, 1).digest == fresh.digest
    assert names == ["block-000005.bin", "block-000006.bin"]


def write_appended(directory):
    """Give part 3 the new passages, and make the manifest anew."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tlm.artifacts import write_manifest

    texts = [f"new {i}" for i in range(350)]
    ids = pa.array(range(len(TEXTS), len(TEXTS) + 350), pa.int64())
    table = pa.table({"passage_id": ids, "text": pa.array(texts), "source": pa.array(["s"] * 350)})
    pq.write_table(table, directory / "part-00003.parquet")
    write_manifest(directory, "corpus", counts={"passages": len(TEXTS) + 350}, parameters={})
    return directory


def test_shares_make_the_same_index(tmp_path, corpus, monkeypatch):
    whole = build_index(corpus, tmp_path / "whole", SPEC, 1)
    shares = [tmp_path / f"share{i}" for i in range(4)]
    for i, share in enumerate(shares):
        build_share(corpus, share, SPEC, 1, (i, 4))
    names = built(monkeypatch)
    assert build_index(corpus, tmp_path / "index", SPEC, 1, shares).digest == whole.digest
    assert names == []


def test_other_analyser_settings_rebuild_all_blocks(tmp_path, corpus, monkeypatch):
    build_index(corpus, tmp_path / "index", SPEC, 1)
    names = built(monkeypatch)
    build_index(corpus, tmp_path / "index", IndexSpec(k1=2.0), 1)
    assert names == []  # k1 is the search's
    build_index(corpus, tmp_path / "index", IndexSpec(stop_words="english"), 1)
    assert len(names) == 6


def test_unusable_inputs_raise(tmp_path, corpus):
    with pytest.raises(TlmError, match=r"holds no passages"):
        build_index(write_corpus(tmp_path / "empty", []), tmp_path / "index", SPEC, 1)
    for text in ("3/3", "x", "1", "-1/2"):
        with pytest.raises(TlmError, match=r"share"):
            parse_share(text)
    build_index(corpus, tmp_path / "index", SPEC, 1)
    path = tmp_path / "index" / "block-000000.bin"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(TlmError, match=r"block-000000.bin"):
        open_block(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(TlmError, match=r"not a block"):
        open_block(path)


def test_ids_must_be_dense(tmp_path, corpus):
    manifest = json.loads((corpus / "manifest.json").read_text())
    shutil.copy(corpus / "part-00000.parquet", corpus / "part-00001.parquet")
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TlmError, match=r"part-00001.*not dense"):
        build_index(corpus, tmp_path / "index", SPEC, 1)
