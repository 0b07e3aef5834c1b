"""Every format and compression gives the same rows; every fault names file and row."""

import bz2
import gzip
import json
import lzma
import random
import zipfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import workbook_toy
import zstandard

from tlm.config.data import CorpusPart, SplitRule, TaskSpec
from tlm.config.parser_specs import Delimited, Mixed
from tlm.corpus.parsers import documents, units
from tlm.errors import TlmError
from tlm.formats.files import Input, find, open_text
from tlm.formats.registry import FORMATS, Format, open_writer, read_rows
from tlm.formats.tables import Chunk, TableOptions, declared_options
from tlm.serving.reading import ChunkReader
from tlm.tasks.parsers import parse_examples

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
    return list(read_rows(Input(path), declared_options(Delimited(format="delimited", **options), wanted)))


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


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_a_renamed_column_of_where_raises_in_every_format(tmp_path, kind):
    """Otherwise a corpus that keeps the rows with `language: en` would silently lose all rows."""
    path = tmp_path / f"news.{kind}"
    rows = [{"text": "one", "lang": "en"}, {"text": "two", "lang": "de"}]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "xlsx":
        workbook_toy.write_workbook(path, {"a": [["text", "lang"], ["one", "en"]]})
    elif kind in ("jsonl", "json"):
        path.write_text(
            "".join(json.dumps(row) + "\n" for row in rows) if kind == "jsonl" else json.dumps(rows)
        )
    else:
        comma = "," if kind == "csv" else "\t"
        path.write_text("".join(f"{one}{comma}{other}\n" for one, other in [("text", "lang"), ("one", "en")]))
    parser = {"format": "delimited", "where": {"language": ["en"]}}
    part = CorpusPart.model_validate({"source": "news", "parser": parser})
    with pytest.raises(TlmError, match=r"no column 'language'.*there are text, lang"):
        list(documents(part, [Input(path)], Counter()))


def test_a_zip_is_opened_up(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/b.csv", CSV)
        archive.writestr("x/a.jsonl.gz", gzip.compress(JSONL.encode()))
    found = find(tmp_path, "*.zip")
    assert [file.member for file in found] == ["x/b.csv", "x/a.jsonl.gz"]
    for file in found:
        options = declared_options(Delimited(format="delimited"), ["text", "label"])
        assert [row for _, row in read_rows(file, options)] == ROWS


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
        ("a.csv", b'text,label\nx,y\n"open,y\n', "a.csv: row 2: a quotation mark is not closed"),
        ("a.csv", b"text,label\nx,\xa3\n", "a.csv: not utf-8 (byte 0xa3)"),
        ("a.jsonl", b'{"text": "x"}\n{"text"\n', "a.jsonl: row 2: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl: row 1: not a JSON object"),
        ("a.parquet", b"PAR1 no", "a.parquet: not a Parquet file"),
        ("a.xlsx", b"", "a.xlsx: not a workbook, or a broken one"),
        ("a.doc", b"", "a.doc: cannot be read; convert it to text first"),
        ("a.data", b"", "a.data: its name must end in one of .csv, .tsv, .tab, .jsonl"),
        (
            "a.json",
            b'[{"text": "x", "label": "y"}',
            "a.json: row 2: not JSON (a comma or the end of the array",
        ),
        ("a.json", b'{"data": []}', "a.json: row 1: no column 'text'; there are data"),
        ("a.txt", b"words", "a.txt: .txt holds texts without labels; a file of rows ends in one of .csv"),
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
    assert len(read(path, ["text"])) == 40_000
    path.write_bytes(frames[0] + frames[1][: int(kept if kept >= 1 else kept * len(frames[1]))])
    if kept == 0:
        assert len(read(path, ["text"])) == 20_000
        return
    with pytest.raises(TlmError, match=r"zst: truncated or broken \(the last frame is cut short\)"):
        read(path, ["text"])


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


def test_suffixes_in_capitals_are_the_same_formats(tmp_path):
    (tmp_path / "T.CSV.GZ").write_bytes(gzip.compress(CSV.encode()))
    assert read(tmp_path / "T.CSV.GZ") == [(1, ROWS[0]), (2, ROWS[1])]
    with zipfile.ZipFile(tmp_path / "T.ZIP", "w") as archive:
        archive.writestr("A.JSONL", JSONL)
    assert [file.member for file in find(tmp_path, "*.ZIP")] == ["A.JSONL"]


@pytest.mark.parametrize("spelling", ["utf-8", "utf8", "UTF_8", "U8", "utf-8-sig"])
def test_a_byte_order_mark_is_not_text_in_any_spelling_of_utf8(tmp_path, spelling):
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + CSV.replace("label,text", "text,label")).encode())
    assert [number for number, _ in read(path, encodings=[spelling])] == [1, 2]


def test_hidden_members_of_a_zip_are_skipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x.csv", "__MACOSX/._x.csv", ".x.csv", "d/.git/x.csv", "./y.csv"):
            archive.writestr(name, CSV)
    assert [file.member for file in find(tmp_path, "a.zip")] == ["x.csv", "./y.csv"]


def test_a_missing_key_names_file_row_and_keys(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "a"}\n\n{"content": "y", "label": "a"}\n')
    with pytest.raises(TlmError, match=r"a\.jsonl: row 3: no column 'text'; there are content, label"):
        read(path)
    path.write_text('{"text": null, "label": ""}\n')
    assert read(path) == [(1, {"text": None, "label": None})]


def test_nan_is_a_missing_value(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": NaN, "label": NaN}\n')
    table = pa.table({"text": pa.array([None], pa.string()), "label": pa.array([float("nan")])})
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        assert read(tmp_path / name) == [(1, {"text": None, "label": None})]


def test_two_columns_of_one_name_raise(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,text\nx,a,y\n")
    (tmp_path / "a.tsv").write_text("x\ta\n")
    twice = pa.Table.from_arrays([pa.array(["x"])] * 3, names=["text", "label", "text"])
    pq.write_table(twice, tmp_path / "a.parquet")
    for name, options in (("a.csv", {}), ("a.tsv", {"columns": ["text", "text"]}), ("a.parquet", {})):
        with pytest.raises(TlmError, match=r"a\..*: two columns are called 'text'; rename one"):
            read(tmp_path / name, ["text"], **options)


def test_a_value_with_parts_is_no_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ["x"], "label": "a"}\n')
    with pytest.raises(TlmError, match=r"a\.jsonl: row 1: column 'text' holds a list of 1 values"):
        read(tmp_path / "a.jsonl")


def test_an_unknown_kind_names_the_known_ones(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(
        TlmError, match=r"no format 'cvs' \(`kind:`\) \(did you mean 'csv'\?\); there are csv, tsv"
    ):
        read(tmp_path / "a.csv", kind="cvs")


def test_a_new_entry_serves_tasks_corpora_and_predictions(tmp_path, monkeypatch):
    """A toy format, `column=value` fields between semicolons, added to the table of formats and nowhere else."""

    def read_toy(source, options, rows, watch):
        with open_text(source, options.encodings, watch) as stream:
            found = [dict(field.split("=") for field in line.strip().split(";")) for line in stream]
        yield Chunk(range(1, len(found) + 1), {name: [row[name] for row in found] for name in found[0]})

    @contextmanager
    def write_toy(path, name, source):
        lines = []
        yield lambda chunk, added: lines.extend(added["prediction"].to_pylist())
        path.write_text("".join(f"prediction={line}\n" for line in lines))

    monkeypatch.setitem(FORMATS, "toy", Format((".toy",), read_toy, write_toy))
    path = tmp_path / "a.toy.gz"
    path.write_bytes(gzip.compress(b"text=a boat;label=sea\ntext=a rose;label=garden\n"))

    delimited = Delimited(format="delimited")
    task = TaskSpec(source="s", parser=delimited, metric="macro_f1", split=SplitRule(by="row"))
    examples = list(parse_examples(task, tmp_path, Counter()))
    assert [(each.text, each.label) for each in examples] == [("a boat", "sea"), ("a rose", "garden")]

    part = CorpusPart(source="s", parser=Mixed(format="mixed"))
    found = [document for unit in units(part, tmp_path) for document in documents(part, unit, Counter())]
    assert found == [["a boat"], ["a rose"]]

    reader = ChunkReader(path, TableOptions(required=("text",)), 10)
    (chunk,) = reader.chunks()
    assert chunk.values("text") == ["a boat", "a rose"] and reader.position.done == path.stat().st_size
    out = tmp_path / "out.toy"
    with open_writer(out, out, path) as write:
        write(chunk, {"prediction": pa.array(["sea", "garden"])})
    assert out.read_text() == "prediction=sea\nprediction=garden\n"
