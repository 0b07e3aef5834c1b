"""Other delimiters and formats, nested values: each file is read, or refused in one clear line."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import workbook_toy

from tlm.config.data import CorpusPart
from tlm.config.parser_specs import Delimited, Mixed
from tlm.corpus.parsers import documents
from tlm.errors import TlmError, did_you_mean
from tlm.formats import json_files
from tlm.formats.delimited import recognised_delimiter
from tlm.formats.files import Input, open_text
from tlm.formats.registry import ADVICE, FORMATS, format_of, read_chunks, read_rows
from tlm.formats.tables import OPTIONS, TableOptions, declared_options

ROWS = [(1, {"text": "a rose, red", "label": "garden"}), (2, {"text": "a pan", "label": "kitchen"})]


def read(path: Path, wanted=("text", "label"), flags=None, settings=None, **options):
    parser = Delimited(format="delimited", **options)
    return list(read_rows(Input(path), declared_options(parser, wanted, flags, settings)))


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.csv", 'text,label\n"a rose, red",garden\na pan,kitchen\n', None),
        ("a.csv", "text;label\na rose, red;garden\na pan;kitchen\n", ";"),
        ("a.csv", "text\tlabel\na rose, red\tgarden\na pan\tkitchen\n", "\t"),
        ("a.csv", "text|label\na rose, red|garden\na pan|kitchen\n", "|"),
        ("a.tsv", "text;label\na rose, red;garden\na pan;kitchen\n", ";"),
        ("a.tsv", "text\tlabel\na rose, red\tgarden\na pan\tkitchen\n", None),
    ],
)
def test_the_delimiter_is_recognised_by_the_header(tmp_path, name, text, found):
    path = write(tmp_path / name, text)
    assert read(path) == ROWS
    options = declared_options(Delimited(format="delimited"), ("text", "label"))
    assert recognised_delimiter(Input(path), options) == found


def test_a_declared_delimiter_and_a_file_without_a_header(tmp_path):
    path = write(tmp_path / "a.csv", "a rose, red~garden\na pan~kitchen\n")
    assert read(path, delimiter="~", columns=["text", "label"]) == ROWS
    path = write(tmp_path / "b.csv", "a rose, red;garden\na pan;kitchen\n")
    assert read(path, columns=["text", "label"]) == ROWS


def test_a_header_in_another_delimiter_still_names_its_columns(tmp_path):
    path = write(tmp_path / "a.csv", "body;label\nx;y\n")
    with pytest.raises(
        TlmError, match=r"no column 'text'; there are body, label; name the column with --text"
    ):
        read(path, flags={"text": "--text"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'text\tlabel\n"He left\ta\nno\tb\n',
            r"row 1: a quotation mark is not closed; close it, or read quotation marks as plain characters",
        ),
        (
            'text\tlabel\n"He" left\ta\nno\tb\n',
            r"row 1: text follows a closing quotation mark; .*plain characters \(--no-quotes\)",
        ),
        ("text\tlabel\nx\ta\tb\n", r"row 1: 3 fields, 2 columns; the delimiter is a tab: .* \(--delimiter\)"),
    ],
)
def test_a_broken_row_names_the_option_that_mends_it(tmp_path, text, message):
    path = write(tmp_path / "a.tsv", text)
    with pytest.raises(TlmError, match=message):
        read(path, settings=OPTIONS)
    if '"' in text:
        assert len(read(path, quoting=False)) == 2


def test_empty_columns_of_a_spreadsheet_export_are_no_columns_of_one_name(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label,,\n"a rose, red",garden,,\na pan,kitchen,,\n')
    assert read(path) == ROWS


@pytest.mark.parametrize("form", ["array", "lines", "indented"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("piece", [3, 40, 1 << 16])
def test_a_json_array_is_read_like_lines(tmp_path, monkeypatch, suffix, form, piece):
    monkeypatch.setattr(json_files, "_READ", piece)
    rows = [row for _, row in ROWS] * 20
    rows[3] = {"text": 'é "\\" ] , [ {', "label": "x" * 100}
    text = {
        "array": json.dumps(rows),
        "lines": "\n".join(map(json.dumps, rows)),
        "indented": "\n " + json.dumps(rows, indent=2, ensure_ascii=False) + "\n",
    }[form]
    assert [row for _, row in read(write(tmp_path / f"a{suffix}", text))] == rows


def test_an_array_is_not_held_in_memory(tmp_path):
    path = write(tmp_path / "a.json", "[" + ",".join(['{"text": "x", "label": "y"}'] * 50_000) + ",")
    rows = read_rows(Input(path), declared_options(Delimited(format="delimited"), ("text",)))
    assert next(rows) == (1, {"text": "x"})  # the fault at the end is not reached
    with pytest.raises(TlmError, match="row 50001: not JSON"):
        list(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "row 1: not JSON"),
        ("[1]", "row 1: not a JSON object"),
        ('[{"text": "x", "label": "y"} {', "row 2: not JSON (a comma or the end of the array is missing)"),
        ('[{"text": "x", "label": "y"}] []', "text follows the end of the array"),
        ('[{"text": "x", "label": tru}]', "row 1: not JSON"),
        ('[{"text": "x', "row 1: not JSON (the element has no end)"),
        ('[{"text": "a", "text": "b"}]', "two keys are called 'text'"),
        ("[" * 100_000, "row 1: not JSON"),
    ],
)
def test_a_fault_of_an_array_names_its_element(tmp_path, text, message):
    with pytest.raises(TlmError) as caught:
        read(write(tmp_path / "a.json", text))
    assert message in str(caught.value)


def test_nested_keys_name_a_text(tmp_path):
    rows = [
        {"text": {"en": "a rose, red", "de": "eine Rose"}, "label": "garden"},
        {"text": {"en": "a pan"}, "label": "kitchen"},
    ]
    lines = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for path in (lines, tmp_path / "a.parquet"):
        found = read(path, ("text.en", "label"), text="text.en")
        assert [row["text.en"] for _, row in found] == ["a rose, red", "a pan"]
        with pytest.raises(
            TlmError,
            match=r"'text' holds an object with the keys en, de; name one of them, such as --text text\.en",
        ):
            read(path, flags={"text": "--text"})
    assert read(lines, ("text.fr",)) == [(1, {"text.fr": None}), (2, {"text.fr": None})]
    dotted = write(tmp_path / "b.jsonl", '{"text.en": "x", "text": {"en": "y"}}')
    assert read(dotted, ("text.en",)) == [(1, {"text.en": "x"})]


def test_bytes_are_decoded(tmp_path):
    table = pa.table(
        {"text": pa.array(["é".encode()], pa.binary()), "label": pa.array([b"\xff"], pa.binary())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", ("text",)) == [(1, {"text": "é"})]
    with pytest.raises(TlmError, match="row 1: column 'label' holds bytes that are not UTF-8 text"):
        read(tmp_path / "a.parquet")


def test_a_workbook_is_read(tmp_path):
    path = tmp_path / "a.xlsx"
    rows = [
        ["text", "label", "n"],
        ["a rose, red", "garden", 1],
        [None, None, None],
        ["a pan", "kitchen", 2.5],
    ]
    workbook_toy.write_workbook(path, {"Rows": rows, "Empty": []})
    found = read(path, ("text", "label", "n"))
    assert found == [(1, ROWS[0][1] | {"n": "1"}), (2, ROWS[1][1] | {"n": "2.5"})]
    workbook_toy.write_workbook(path, {"Notes": [["x"]], "Rows": rows})
    assert len(read(path, sheet="Rows")) == 2
    with pytest.raises(TlmError, match=r"has 2 sheets with cells \(Notes, Rows\); choose one \(--sheet\)"):
        read(path, settings=OPTIONS)
    with pytest.raises(TlmError, match=r"no sheet 'rows' \(did you mean 'Rows'\?\); there are Notes, Rows"):
        read(path, sheet="rows")
    workbook_toy.write_workbook(path, {"Rows": [["text", "text"], ["x", "y"]]})
    with pytest.raises(TlmError, match="two columns are called 'text'"):
        read(path)


def test_fasttext_lines_are_labels_and_texts(tmp_path):
    path = write(tmp_path / "train.txt", "__label__garden a rose, red\n\n__label__kitchen a pan\n")
    assert read(path) == [(1, ROWS[0][1]), (3, ROWS[1][1])]
    assert format_of(Input(path)) is FORMATS["fasttext"]
    both = write(tmp_path / "b.ft", "__label__a __label__b words\nwords\n")
    (chunk,) = read_chunks(Input(both), TableOptions(), 10)
    assert list(chunk.values("label")) == [["a", "b"], None] and list(chunk.values("text")) == [
        "words",
        "words",
    ]


PAGE = """<!doctype html><html><head><title>T</title><script>var x</script></head><body><nav>Home</nav>
<article><h1>Roses</h1><p>A <b>red</b> rose.</p><p>Caf&eacute;.</p></article><footer>Imprint</footer></body></html>"""


@pytest.mark.parametrize("page", [PAGE, PAGE.replace("article", "div")])
def test_a_web_page_is_one_document_without_menus(tmp_path, page):
    path = write(tmp_path / "a.html", page)
    part = CorpusPart(source="s", parser=Mixed(format="mixed"))
    (found,) = documents(part, [Input(path)], Counter())
    assert found[-3:] == ["Roses", "A red rose.", "Café."] and "Home" not in " ".join(found)


def test_a_web_page_declares_its_encoding(tmp_path):
    page = '<meta charset="iso-8859-1"><p>Café.</p>'
    part = CorpusPart(source="s", parser=Mixed(format="mixed"))
    (found,) = documents(part, [Input(write(tmp_path / "a.htm", page.encode("latin-1")))], Counter())
    assert found == ["Café."]
    (found,) = documents(part, [Input(write(tmp_path / "b.htm", "<p>Café.</p>"))], Counter())
    assert found == ["Café."]
    assert not list(documents(part, [Input(write(tmp_path / "c.htm", ""))], Counter()))


@pytest.mark.parametrize("suffix", ADVICE)
def test_a_format_that_is_not_read_has_advice(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", b"x")
    with pytest.raises(TlmError, match=f"a{suffix}: cannot be read; "):
        read(path)


def test_a_corpus_mixes_formats(tmp_path):
    part = CorpusPart(source="s", parser=Mixed(format="mixed", text="body"))
    files = {
        "a.csv": "id;body\n1;from csv\n",
        "b.json": '[{"body": "from json"}]',
        "c.txt": "__label__x from fasttext",
        "d.md": "from markdown",
        "e.html": "<p>from html",
    }
    found = [
        document
        for name, text in files.items()
        for document in documents(part, [Input(write(tmp_path / name, text))], Counter())
    ]
    assert found == [["from csv"], ["from json"], ["from fasttext"], ["from markdown"], ["from html"]]


def test_messages_name_the_option_of_the_command_line(tmp_path):
    path = write(tmp_path / "a.csv", b"text,label\ncaf\xe9,x\n")
    with pytest.raises(
        TlmError, match=r"not utf-8 \(byte 0xe9\); save it as UTF-8 or name its encoding with --encoding$"
    ):
        read(path, settings=OPTIONS)
    path = write(tmp_path / "b.csv", "text,label\nx,y\n".encode("utf-16"))
    with pytest.raises(
        TlmError, match=r"name its encoding with --encoding utf-16 \(it begins with a mark of UTF-16\)"
    ):
        read(path, settings=OPTIONS)
    assert read(path, encodings=["utf-16"]) == [(1, {"text": "x", "label": "y"})]
    with pytest.raises(TlmError, match=r"unknown encoding 'latin_11' \(did you mean"):
        read(path, encodings=["latin_11"])
    with (
        pytest.raises(TlmError, match="'rot13' is not an encoding of text"),
        open_text(Input(path), ["rot13"]),
    ):
        pass


def test_a_member_with_a_password_raises(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "text,label\nx,y\n")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # "encrypted", in the member's header and in the archive's directory
    content[content.index(b"PK\1\2") + 8] |= 1
    write(path, bytes(content))
    options = declared_options(Delimited(format="delimited"), ("text",))
    with pytest.raises(TlmError, match=r"a\.zip:a\.csv: needs a password; unpack the archive first"):
        list(read_rows(Input(path, "a.csv"), options))


def test_suggestions_ignore_case():
    assert did_you_mean("TEXT", ["text", "label"]) == " (did you mean 'text'?)"
    assert did_you_mean("zzz", ["text"]) == ""
