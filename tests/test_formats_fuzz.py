"""Any bytes give rows or one line of error, in every format: never a traceback, never an endless loop."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import workbook_toy
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlm.errors import TlmError
from tlm.formats import json_files
from tlm.formats.files import Input, members
from tlm.formats.registry import FORMATS, as_text, format_of, read_chunks
from tlm.formats.tables import TableOptions

ROWS = [{"text": 'a rose; red, "é"', "label": "garden"}, {"text": "a\tpan\n", "label": None}]
FUZZ = settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def _workbook(folder) -> bytes:
    workbook_toy.write_workbook(
        folder / "valid.xlsx", {"a": [["text", "label"], ["a rose", "garden"], [1, 2.5]]}
    )
    return (folder / "valid.xlsx").read_bytes()


def valid(suffix: str, folder) -> bytes:
    """A file of the format without faults."""
    text = {
        ".csv": 'text,label\n"a rose; ""red""\n",garden\na pan,kitchen\n',
        ".tsv": "text\tlabel\na rose\tgarden\n",
        ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
        ".json": json.dumps(ROWS),
        ".txt": "__label__garden a rose\n__label__kitchen a pan\n",
        ".html": "<html><meta charset=utf-8><body><article><p>a <b>rose</b><p>a pan</article></body></html>",
    }
    if suffix in text:
        return text[suffix].encode()
    return {".parquet": _parquet, ".xlsx": lambda: _workbook(folder)}[suffix]()


def read_all(path, **options) -> int:
    """The number of rows; every value as text."""
    count = 0
    for source in members(path):
        for chunk in read_chunks(source, TableOptions(**options), 7):
            for name in chunk.names:
                for number, value in zip(chunk.numbers, chunk.values(name), strict=True):
                    as_text(value, f"{source}: row {number}", name)
            count += len(chunk.numbers)
    return count


def rows_or_one_line(path, **options) -> None:
    """Read a file; a fault is a TlmError of one line that names it."""
    try:
        read_all(path, **options)
    except TlmError as error:
        assert path.name in str(error) and "\n" not in " ".join(str(error).split())


SUFFIXES = [".csv", ".tsv", ".jsonl", ".json", ".txt", ".html", ".parquet", ".xlsx"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_valid_file_is_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(valid(suffix, tmp_path))
    assert read_all(path) >= 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    rows_or_one_line(path)
    rows_or_one_line(
        path, quoting=False, encodings=("utf-8", "latin-1"), required=("text",), only_required=True
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@FUZZ
@given(data=st.data())
def test_a_damaged_file(tmp_path, suffix, data):
    content = bytearray(valid(suffix, tmp_path))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        content = content or bytearray(b"x")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(
        bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    )
    rows_or_one_line(path)


@FUZZ
@given(text=st.text(alphabet='text,label;|\t"\n\r {}[]:\\u00e9ſ', max_size=120))
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".txt"])
def test_text_of_syntax(tmp_path, suffix, text):
    path = tmp_path / f"a{suffix}"
    path.write_text(text, encoding="utf-8")
    rows_or_one_line(path)
    rows_or_one_line(path, names=("text", "label"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(alphabet=st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["text", "label", "é"]), JSON, max_size=3), max_size=6),
    piece=st.integers(1, 50),
    indent=st.none() | st.integers(0, 2),
)
def test_a_json_array_gives_the_rows_that_were_written(tmp_path, monkeypatch, rows, piece, indent):
    monkeypatch.setattr(json_files, "_READ", piece)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, indent=indent))
    found = []
    for chunk in read_chunks(Input(path), TableOptions(), 2):
        columns = {name: chunk.values(name) for name in chunk.names}
        found += [
            {
                name: values[place]
                for name, values in columns.items()
                if values[place] is not json_files.ABSENT
            }
            for place in range(len(chunk.numbers))
        ]
    assert json.dumps(found, sort_keys=True) == json.dumps(rows, sort_keys=True)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_compressed_file(tmp_path, suffix, content):
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(content)
    rows_or_one_line(path)


@pytest.mark.parametrize("suffix", [".zst", ".zip"])
@FUZZ
@given(data=st.data())
def test_a_damaged_compressed_file(tmp_path, suffix, data):
    table = valid(".csv", tmp_path) * 20
    if suffix == ".zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", table)
        content = bytearray(out.getvalue())
    else:
        content = bytearray(zstandard.compress(table))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(bytes(content))
    rows_or_one_line(path)


def test_every_format_is_fuzzed():
    tried = {format_of(Input(__import__("pathlib").Path(f"a{suffix}"))).read for suffix in SUFFIXES}
    assert {each.read for name, each in FORMATS.items() if name != "fasttext"} <= tried
