"""Every format and compression gives the same rows; every fault names file and row."""

import bz2
import gzip
import json
import lzma
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tlm.config.data import Delimited
from tlm.errors import TlmError
from tlm.sources.formats import Input, find, open_text, rows

ROWS = [{"text": 'He said "no",\nthen é', "label": "a"}, {"text": "two", "label": None}]
CSV = 'label,text\na,"He said ""no"",\nthen é"\n,two\n'
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS) + "\n"
COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


def read(path: Path, wanted=("text", "label"), **options):
    return list(rows(Input(path), Delimited(format="delimited", **options), wanted))


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_all_formats_agree(tmp_path, kind, compression):
    path = tmp_path / f"a.{kind}{compression}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        content = path.read_bytes()
    else:
        text = {
            "csv": CSV,
            "tsv": CSV.replace("label,", "label\t").replace("a,", "a\t").replace("\n,", "\n\t"),
        }
        content = text.get(kind, JSONL).encode()
    path.write_bytes(COMPRESS[compression](content))
    assert read(path) == [(1, ROWS[0]), (2, ROWS[1])]


def test_a_zip_is_opened_up(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/b.csv", CSV)
        archive.writestr("x/a.jsonl.gz", gzip.compress(JSONL.encode()))
    found = find(tmp_path, "*.zip")
    assert [file.member for file in found] == ["x/b.csv", "x/a.jsonl.gz"]
    for file in found:
        assert [row for _, row in rows(file, Delimited(format="delimited"), ["text", "label"])] == ROWS


def test_find_keeps_the_order_of_the_globs_and_wants_matches(tmp_path):
    for name in ("b.csv", "a.csv", "c/d.csv", "manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [file.path.name for file in find(tmp_path, ["c/*", "*.csv", "**/*"])]
    assert names == ["d.csv", "a.csv", "b.csv"]
    with pytest.raises(TlmError, match=r"no file matches 'x\*'; there are a\.csv, b\.csv, c/d\.csv"):
        find(tmp_path, "x*")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,lab\nx,y\n", "a.csv: no column 'label' (did you mean 'lab'?); there are text, lab"),
        ("a.csv", b"text,label\nx\n", "a.csv: row 1: 1 fields, 2 columns"),
        ("a.csv", b'text,label\nx,y\n"open,y\n', "a.csv: row 2: unexpected end of data"),
        ("a.csv", b"text,label\nx,\xa3\n", "a.csv: not utf-8 (byte 0xa3)"),
        ("a.jsonl", b'{"text": "x"}\n{"text"\n', "a.jsonl: row 2: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl: row 1: not a JSON object"),
        ("a.parquet", b"PAR1 no", "a.parquet: not a Parquet file"),
        ("a.xlsx", b"", "a.xlsx: none of .csv, .tsv, .jsonl, .parquet"),
        ("a.csv.gz", gzip.compress(CSV.encode() * 500)[:-40], "a.csv.gz: truncated or broken"),
        ("a.csv.zst", b"no frame", "a.csv.zst: truncated or broken"),
        ("a.csv.bz2", bz2.compress(CSV.encode())[:-8], "a.csv.bz2: truncated or broken"),
        ("a.csv.xz", lzma.compress(CSV.encode())[:-8], "a.csv.xz: truncated or broken"),
    ],
)
def test_faults_name_file_and_row(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TlmError) as caught:
        read(tmp_path / name)
    assert message in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.99])
def test_truncated_zstd_is_not_taken_for_whole(tmp_path, kept):
    # Many frames of many blocks, of text that does not compress well: parts of it come out before the cut.
    draw = random.Random(1)
    text = "".join(f'{{"text": "{draw.random()}"}}\n' for _ in range(20_000))
    frames = [zstandard.compress(text.encode()), zstandard.compress(text.encode())]
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(frames))
    assert len(read(path)) == 40_000
    path.write_bytes(frames[0] + frames[1][: int(kept if kept >= 1 else kept * len(frames[1]))])
    if kept == 0:
        assert len(read(path)) == 20_000
        return
    with pytest.raises(TlmError, match=r"zst: truncated or broken \(the last frame is cut short\)"):
        read(path)


def test_encodings_are_tried_in_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("£5".encode("cp1252"))
    with open_text(Input(path), ["utf-8", "cp1252"]) as stream:
        assert (stream.read(), stream.encoding) == ("£5", "cp1252")
    path.write_bytes("\ufeff£5".encode())
    with open_text(Input(path), ["utf-8", "cp1252"]) as stream:
        assert stream.read() == "£5"
    with pytest.raises(TlmError, match="unknown encoding 'klingon'"), open_text(Input(path), ["klingon"]):
        pass


def test_headerless_and_unquoted(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('1\t"odd\n2\teven\n')
    got = read(path, ("c", "t"), columns=["c", "t"], quoting=False)
    assert got == [(1, {"c": "1", "t": '"odd'}), (2, {"c": "2", "t": "even"})]
