"""`tlm predict`: every format in and out, in order, in bounded memory; pipes; faults by file, row and column."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import workbook_toy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_toy import TEXTS, expected_logits, random_model, tlm
from toy import LABELS
from training_toy import LENGTH, Toy

from tlm.artifacts import read_manifest, write_manifest
from tlm.errors import TlmError
from tlm.evaluation.outputs import Encoded
from tlm.formats.files import Input
from tlm.formats.registry import format_of, open_writer, writer_of
from tlm.formats.tables import TableOptions
from tlm.serving.classifier import Classifier, Outputs
from tlm.serving.folder import find_model
from tlm.serving.predict import PredictOptions, predict_file
from tlm.serving.predict_lines import predict_lines
from tlm.serving.reading import ChunkReader


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    return random_model(tmp_path_factory.mktemp("model") / "toy", toy)


@pytest.fixture(scope="module")
def classifier(folder) -> Classifier:
    return Classifier.load(folder, device="cpu", threads=1)


def write(path, texts, **others):
    """Rows with an id before and a list behind the text, in the format that the name tells."""
    columns = {"id": list(range(len(texts))), "text": texts, **others}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=7)
        return path
    out = io.StringIO()
    if ".jsonl" in path.name:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    elif ".txt" in path.name:
        out.writelines(text + "\n" for text in texts)
    else:
        writer = csv.DictWriter(
            out, columns, delimiter="\t" if ".tsv" in path.name else ",", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
    if path.suffix == ".zst":
        pack = zstandard.ZstdCompressor().compress
    path.write_bytes(pack(out.getvalue().encode()))
    return path


def read(path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    elif path.suffix in (".gz", ".bz2", ".xz"):
        data = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[path.suffix].decompress(data)
    text = data.decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text), delimiter="\t" if ".tsv" in path.name else ","))


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("in.csv", "out.csv"),
        ("in.csv.gz", "out.parquet"),
        ("in.tsv.xz", "out.jsonl"),
        ("in.jsonl", "out.tsv.gz"),
        ("in.jsonl.zst", "out.jsonl.zst"),
        ("in.parquet", "out.parquet"),
        ("in.parquet", "out.csv.xz"),
        ("in.txt.bz2", "out.csv.bz2"),
    ],
)
def test_formats(folder, classifier, tmp_path, source, destination):
    logits = expected_logits(folder, TEXTS)
    path = write(tmp_path / source, TEXTS)
    summary = predict_file(
        classifier, path, tmp_path / destination, PredictOptions(rows=16, probabilities=True)
    )
    found = read(tmp_path / destination)
    assert summary.rows == len(found) == len(TEXTS)
    assert [row["text"].rstrip() for row in found] == [text.rstrip() for text in TEXTS]
    assert [row["prediction"] for row in found] == [LABELS[place] for place in logits.argmax(axis=1)]
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answers = [[float(row[f"probability_{label}"]) for label in LABELS] for row in found]
    assert np.allclose(answers, odds, atol=2e-6)
    assert np.allclose([float(row["probability"]) for row in found], odds.max(axis=1), atol=2e-6)
    if ".txt" not in source:
        assert [str(row["id"]) for row in found] == [str(number) for number in range(len(TEXTS))]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([source, destination])


def test_parquet_keeps_its_types(classifier, tmp_path):
    lists = [[1, 2], None, [3]]
    path = write(tmp_path / "in.parquet", TEXTS[:3], tags=lists)
    predict_file(classifier, path, tmp_path / "out.parquet", PredictOptions())
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("id").type == pa.int64() and table["tags"].to_pylist() == lists
    assert table.schema.field("prediction").type == pa.string()


def test_the_same_bytes_again_and_whatever_the_chunk(classifier, tmp_path):
    path = write(tmp_path / "in.csv", TEXTS)
    outputs = []
    for number, rows in enumerate((3, 3, 7, 1000)):
        predict_file(classifier, path, tmp_path / f"{number}.csv.gz", PredictOptions(rows=rows))
        outputs.append((tmp_path / f"{number}.csv.gz").read_bytes())
    assert outputs[0] == outputs[1]
    tables = [read(tmp_path / f"{number}.csv.gz") for number in range(4)]
    for other in tables[2:]:
        assert [row["prediction"] for row in other] == [row["prediction"] for row in tables[0]]


def test_batch_size_changes_nothing_but_rounding(folder, classifier, tmp_path):
    path = write(tmp_path / "in.csv", TEXTS)
    one = Classifier.load(folder, device="cpu", threads=1, batch=1)
    tables = []
    for number, each in enumerate((classifier, one)):
        predict_file(each, path, tmp_path / f"{number}.csv", PredictOptions())
        tables.append(read(tmp_path / f"{number}.csv"))
    for here, there in zip(*tables, strict=True):
        assert here["prediction"] == there["prediction"]
        assert float(here["probability"]) == pytest.approx(float(there["probability"]), abs=2e-6)


def test_pairs_and_numbers(toy, tmp_path):
    folder = random_model(tmp_path / "m", toy, pair=True, regression=True, architecture="bert")
    classifier = Classifier.load(folder, device="cpu", threads=1)
    first, second = TEXTS[:20], TEXTS[20:40]
    pq.write_table(pa.table({"first": first, "second": second}), tmp_path / "in.parquet")
    predict_file(classifier, tmp_path / "in.parquet", tmp_path / "out.csv", PredictOptions(prefix="new_"))
    found = read(tmp_path / "out.csv")
    assert list(found[0]) == ["first", "second", "new_prediction"]
    wanted = expected_logits(folder, first, second)[:, 0]
    assert np.allclose([float(row["new_prediction"]) for row in found], wanted, atol=1e-5)
    pq.write_table(pa.table({"q": first, "a": second}), tmp_path / "other.parquet")
    options = PredictOptions(text=("q",), pair="a")
    predict_file(classifier, tmp_path / "other.parquet", tmp_path / "other.csv", options)
    assert [row["prediction"] for row in read(tmp_path / "other.csv")] == [
        row["new_prediction"] for row in found
    ]


def test_a_file_without_a_header_and_texts_of_several_columns(folder, classifier, tmp_path):
    halves = [text.split(" ", 3) for text in TEXTS[:5]]
    (tmp_path / "in.csv").write_text("".join(f"{' '.join(h[:3])},{h[3].replace(',', '')}\n" for h in halves))
    options = PredictOptions(names=("head", "rest"), text=("head", "rest"))
    predict_file(classifier, tmp_path / "in.csv", tmp_path / "out.jsonl", options)
    found = read(tmp_path / "out.jsonl")
    wanted = expected_logits(folder, [f"{row['head']} {row['rest']}" for row in found]).argmax(axis=1)
    assert [row["prediction"] for row in found] == [LABELS[place] for place in wanted]


def test_json_lines_keep_absent_and_null_keys_apart(classifier, tmp_path):
    lines = [{"text": "a boat"}, {"more": [1], "text": "a rose"}, {"text": "a pan", "none": None}]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    predict_file(classifier, path, tmp_path / "out.jsonl", PredictOptions(rows=2))
    found = read(tmp_path / "out.jsonl")
    assert [{k: v for k, v in row.items() if not k.startswith("pr")} for row in found] == lines
    predict_file(classifier, path, tmp_path / "out.csv", PredictOptions())
    assert [row["more"] for row in read(tmp_path / "out.csv")] == ["", "[1]", ""]
    for name in ("late.csv", "late.parquet"):
        with pytest.raises(TlmError, match=r"in\.jsonl: row 3: column 'none' is new"):
            predict_file(classifier, path, tmp_path / name, PredictOptions(rows=2))
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_empty_table_gives_an_empty_table(classifier, tmp_path, suffix):
    path = write(tmp_path / f"in.{suffix}", [])
    assert predict_file(classifier, path, tmp_path / "out.csv", PredictOptions()).rows == 0
    header = "prediction,probability" if suffix == "jsonl" else "id,text,prediction,probability"
    assert (tmp_path / "out.csv").read_text().startswith(header)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id,body\n1,a boat\n",
            r"in\.csv: no column 'text'; there are id, body; name the column with --text",
        ),
        ("text,text\na,b\n", "two columns are called 'text'"),
        ("id,text\n1,a boat\n2,\n", r"in\.csv: row 2: no text in column text"),
        ("id,text\n1,a boat\n2\n", r"in\.csv: row 2: 1 fields, 2 columns"),
        ('id,text\n1,a boat\n2,"b" c\n', r"in\.csv: row 2: "),
        ("text,prediction\na,b\n", "has a column 'prediction' already"),
        ("", "empty, without even a header"),
        (
            b"text\nn\xe4her\n",
            r"in\.csv: not utf-8 \(byte 0xe4\); save it as UTF-8 or name its encoding with --encoding",
        ),
    ],
)
def test_faults_name_file_row_and_column(classifier, tmp_path, content, message):
    path = tmp_path / "in.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TlmError, match=message):
        predict_file(classifier, path, tmp_path / "out.csv", PredictOptions(rows=1))
    assert [each.name for each in tmp_path.iterdir()] == ["in.csv"]


def test_other_faults(classifier, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n{"text": ["b"]}\n')
    with pytest.raises(TlmError, match=r"in\.jsonl: row 2: column 'text' holds a list"):
        predict_file(classifier, path, tmp_path / "out.csv", PredictOptions())
    path.write_text('{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n')
    with pytest.raises(TlmError, match=r"column 'n' holds values of several types.*write \.jsonl"):
        predict_file(classifier, path, tmp_path / "out.parquet", PredictOptions())
    with pytest.raises(TlmError, match="input and output are the same file"):
        predict_file(classifier, path, path, PredictOptions())
    with pytest.raises(
        TlmError, match=r"must end in one of \.csv, \.tsv, \.tab, \.jsonl, \.ndjson, \.parquet,"
    ):
        predict_file(classifier, path, tmp_path / "out.txt", PredictOptions())
    with pytest.raises(TlmError, match="no such file"):
        predict_file(classifier, tmp_path / "none.csv", tmp_path / "out.csv", PredictOptions())
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"text\n" + b"a boat\n" * 9999)[:-9])
    with pytest.raises(TlmError, match=r"in\.csv\.gz: truncated or broken"):
        predict_file(classifier, tmp_path / "in.csv.gz", tmp_path / "out.csv", PredictOptions())
    for name in ("a.data", "a"):
        with pytest.raises(TlmError, match="must end in one of"):
            format_of(Input(tmp_path / name))
    with pytest.raises(TlmError, match="compressed already"):
        writer_of(tmp_path / "a.parquet.gz")


def test_the_members_of_a_zip_are_predicted_one_after_the_other(classifier, tmp_path):
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "text\na boat\na rose\n")
        archive.writestr("__MACOSX/._a.csv", b"\0\xff")
        archive.writestr("b.jsonl", '{"text": "a pan"}\n{"text": ""}\n')
    with pytest.raises(TlmError, match=r"in\.zip:b\.jsonl: row 2: no text in column text"):
        predict_file(classifier, path, tmp_path / "out.jsonl", PredictOptions())
    summary = predict_file(classifier, path, tmp_path / "out.jsonl", PredictOptions(allow_empty=True))
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["a boat", "a rose", "a pan", ""]
    assert (summary.rows, summary.empty) == (4, 1)


def test_options_of_reading_a_file(classifier, tmp_path):
    (tmp_path / "in").write_text('id;text\n1;"a boat\n2;a rose\n')
    options = PredictOptions(kind="csv", quoting=False)
    assert predict_file(classifier, tmp_path / "in", tmp_path / "out.csv", options).rows == 2
    (tmp_path / "in.csv").write_text("id~text\n1~a boat\n")
    assert (
        predict_file(
            classifier, tmp_path / "in.csv", tmp_path / "out.csv", PredictOptions(delimiter="~")
        ).rows
        == 1
    )
    (tmp_path / "in.json").write_text('[{"text": {"en": "a boat"}}]')
    with pytest.raises(TlmError, match=r"keys en; name one of them, such as --text text\.en"):
        predict_file(classifier, tmp_path / "in.json", tmp_path / "out.csv", PredictOptions())
    options = PredictOptions(text=("text.en",))
    assert predict_file(classifier, tmp_path / "in.json", tmp_path / "out.jsonl", options).rows == 1
    workbook_toy.write_workbook(
        tmp_path / "in.xlsx", {"A": [["text"], ["a boat"]], "B": [["text"], ["a rose"]]}
    )
    assert (
        predict_file(classifier, tmp_path / "in.xlsx", tmp_path / "out.csv", PredictOptions(sheet="B")).rows
        == 1
    )


def test_a_pipe_is_an_input(folder, tmp_path):
    out = tmp_path / "out.csv"
    arguments = ["predict", folder, "--input", "/dev/stdin", "--output", out]
    wrong = tlm(*arguments, input="text\na boat\n")
    assert wrong.returncode == 2 and "/dev/stdin: its name must end in" in wrong.stderr
    assert "name its format with --kind" in wrong.stderr
    done = tlm(*arguments, "--kind", "csv", input="text\na boat\na rose\n")
    assert done.returncode == 0, done.stderr
    assert [row["text"] for row in read(out)] == ["a boat", "a rose"]
    wrong = tlm(*arguments, "--kind", "csv", input="body\na boat\n")
    assert "error: /dev/stdin: no column 'text'; there are body; name the column with --text" in wrong.stderr
    missing = tlm("predict", folder, "--input", tmp_path / "ut.csv", "--output", out)
    assert "ut.csv: no such file (did you mean" in missing.stderr


@pytest.mark.parametrize("destination", ["out.csv", "out.parquet", "out.jsonl"])
def test_allow_empty_leaves_predictions_of_rows_without_text_empty(classifier, tmp_path, destination):
    path = write(tmp_path / "in.csv", ["", " \u00ad", "a boat", "a rose"])
    summary = predict_file(classifier, path, tmp_path / destination, PredictOptions(rows=2, allow_empty=True))
    found = read(tmp_path / destination)
    assert (summary.rows, summary.empty, sum(summary.classes.values())) == (4, 2, 2)
    assert [row["prediction"] in LABELS for row in found] == [False, False, True, True]
    assert [bool(row["probability"]) for row in found] == [False, False, True, True]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Ten times the rows, the same peak: of reading, which is all that grows with a file."""
    peaks = []
    for rows in (2_000, 20_000):
        path = write(tmp_path / f"{rows}.csv.gz", ["the boat is at anchor " * 5] * rows)
        reader = ChunkReader(path, TableOptions(required=("text",)), 100)
        tracemalloc.start()
        seen = sum(len(chunk.numbers) for chunk in reader.chunks())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen == rows
        assert reader.position.done == reader.position.total == path.stat().st_size
    assert peaks[1] < 1.2 * peaks[0] + 50_000


def test_memory_does_not_grow_with_the_file_from_end_to_end(classifier, tmp_path):
    """The same of reading and writing together, with a model that costs nothing."""

    class Constant:
        served = classifier.served

        def encode(self, texts, pairs):
            return Encoded([[2, 3]] * len(texts), [[0, 0]] * len(texts), 0)

        def predict(self, encoded, tick):
            rows = len(encoded.ids)
            return Outputs(np.zeros(rows, np.int64), np.full((rows, len(LABELS)), 0.25, np.float32))

    peaks = []
    for rows in (1_000, 10_000):
        path = write(tmp_path / f"{rows}.csv", ["the boat is at anchor " * 5] * rows)
        tracemalloc.start()
        summary = predict_file(Constant(), path, tmp_path / "out.csv", PredictOptions(rows=50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert summary.rows == rows and sum(1 for _ in (tmp_path / "out.csv").open()) == rows + 1
    assert peaks[1] < 1.3 * peaks[0] + 50_000


def test_bf16_differs_in_the_third_digit(folder, classifier, tmp_path):
    """Where the processor has it; elsewhere `auto` is fp32."""
    fast = Classifier.load(folder, device="cpu", precision="auto", threads=1)
    one, other = (each.predict(each.encode(TEXTS, None)).probabilities for each in (classifier, fast))
    assert np.abs(one - other).max() < 0.1 and np.abs(one - other).mean() < 0.01


def test_progress_shows_an_eta(classifier, tmp_path, capsys, monkeypatch):
    path = write(tmp_path / "in.csv", TEXTS * 20)
    ticks = iter(range(0, 10_000, 6))
    monkeypatch.setattr("tlm.progress.time.monotonic", lambda: float(next(ticks)))
    # Also within a chunk: one may take minutes.
    predict_file(classifier, path, tmp_path / "out.csv", PredictOptions(rows=1_000_000))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3 and all("ETA" in line and "rows" in line for line in lines[:-1])
    assert f"{len(TEXTS) * 20:,} rows" in lines[-1] and "done in" in lines[-1]


def piped(classifier, data: bytes, form="tsv", **options) -> str:
    """What comes out of a pipe that `data` went into."""
    ours, theirs = os.pipe()
    feeder = threading.Thread(target=lambda: (os.write(theirs, data), os.close(theirs)))
    feeder.start()
    out = io.StringIO()
    try:
        with os.fdopen(ours, "rb") as stream:
            predict_lines(classifier, stream, out, PredictOptions(**options), form)
    finally:
        feeder.join()
    return out.getvalue()


def test_a_line_in_a_line_out(folder, classifier):
    wanted = [LABELS[place] for place in expected_logits(folder, TEXTS[:9]).argmax(axis=1)]
    lines = piped(classifier, "\n".join(TEXTS[:9]).encode()).splitlines()
    assert [line.split("\t")[0] for line in lines] == wanted
    assert all(0 < float(line.split("\t")[1]) <= 1 for line in lines)
    answers = [
        json.loads(line) for line in piped(classifier, "\r\n".join(TEXTS[:9]).encode(), "jsonl").splitlines()
    ]
    assert [each["prediction"] for each in answers] == wanted and answers[0]["text"] == TEXTS[0]
    assert piped(classifier, b"a boat\n\nrose\n", allow_empty=True).splitlines()[1] == "\t"
    assert piped(classifier, b"") == ""
    for data, message in (
        (b"a\n\nb\n", "line 2: no text"),
        (b"a\nb\xff\n", r"line 2: not UTF-8 \(byte 0xff\)"),
    ):
        with pytest.raises(TlmError, match=message):
            piped(classifier, data)


def test_lines_are_predicted_as_they_come(classifier):
    """The second line is sent only after the first is answered."""
    ours, theirs = os.pipe()
    answered = threading.Event()

    class Out(io.StringIO):
        def flush(self) -> None:
            answered.set()

    out = Out()
    with os.fdopen(ours, "rb") as stream:
        worker = threading.Thread(
            target=predict_lines, args=(classifier, stream, out, PredictOptions(), "tsv")
        )
        worker.start()
        os.write(theirs, b"the boat\nhalf of a li")
        assert answered.wait(60) and out.getvalue().count("\n") == 1
        os.write(theirs, b"ne\n")
        os.close(theirs)
        worker.join(60)
    assert out.getvalue().count("\n") == 2


def test_pairs_in_a_pipe(toy, tmp_path):
    folder = random_model(tmp_path / "m", toy, pair=True)
    classifier = Classifier.load(folder, device="cpu", threads=1)
    lines = [f"{a}\t{b}" for a, b in zip(TEXTS[:5], TEXTS[5:10], strict=True)]
    found = piped(classifier, "\n".join(lines).encode(), "jsonl").splitlines()
    wanted = expected_logits(folder, TEXTS[:5], TEXTS[5:10]).argmax(axis=1)
    assert [json.loads(line)["prediction"] for line in found] == [LABELS[place] for place in wanted]
    assert json.loads(found[0])["text_pair"] == TEXTS[5]
    with pytest.raises(TlmError, match="line 1: this model reads pairs"):
        piped(classifier, b"alone\n")


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12))
def test_a_csv_comes_back_as_it_went_in(tmp_path_factory, texts):
    """Whatever stands in the fields: quotes, line ends, commas."""
    folder = tmp_path_factory.mktemp("csv")
    with (folder / "in.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "n"], *([text, place] for place, text in enumerate(texts))])
    reader = ChunkReader(folder / "in.csv", TableOptions(), 5)
    with open_writer(folder / "tmp", folder / "out.csv", folder / "in.csv") as put:
        for chunk in reader.chunks():
            put(chunk, {"new": pa.array([1.5] * len(chunk.numbers), pa.float64())})
    with (folder / "tmp").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["text", "n", "new"]
    assert [row[0] for row in rows[1:]] == texts and all(row[2] == "1.5" for row in rows[1:])


def test_the_command(folder, tmp_path):
    """A file and a pipe, and mistakes in one line."""
    path = write(tmp_path / "in.csv", TEXTS)
    done = tlm("predict", folder, "--input", path, "--output", tmp_path / "out.jsonl", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert f"{len(TEXTS)} rows; " in done.stderr.splitlines()[-1]
    piped = tlm("predict", folder, "--format", "jsonl", input="\n".join(TEXTS) + "\n")
    assert [json.loads(line)["prediction"] for line in piped.stdout.splitlines()] == [
        row["prediction"] for row in read(tmp_path / "out.jsonl")
    ]
    wrong = tlm("predict", folder, "--input", path)
    assert wrong.returncode == 2
    assert (
        wrong.stderr.startswith("error: --input and --output belong together")
        and wrong.stderr.count("\n") == 1
    )


def test_a_model_is_found_by_its_name(tmp_path):
    (tmp_path / "models/mytask").mkdir(parents=True)
    (tmp_path / "config/own").mkdir(parents=True)
    (tmp_path / "config/own/planned.yaml").touch()
    assert find_model(Path("mytask"), tmp_path) == tmp_path / "models/mytask"
    assert find_model(tmp_path / "models/mytask", tmp_path) == tmp_path / "models/mytask"
    with pytest.raises(
        TlmError, match=r"mytsk: neither a folder nor a model of models/ \(did you mean 'mytask'\?\)"
    ):
        find_model(Path("mytsk"), tmp_path)
    with pytest.raises(
        TlmError, match=r"planned: not built yet; .* `snakemake models/planned/manifest\.json`"
    ):
        find_model(Path("planned"), tmp_path)
    with pytest.raises(TlmError, match=r"other: neither .*; there are mytask"):
        find_model(Path("other"), tmp_path)


def test_a_missing_text_is_empty_only_with_allow_empty(classifier, tmp_path):
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"text": "a boat"}\n{"content": "a rose"}\n{"text": NaN}\n')
    with pytest.raises(TlmError, match=r"in\.jsonl: row 2: no column 'text'; there are content; .* --text"):
        predict_file(classifier, path, out, PredictOptions())
    assert predict_file(classifier, path, out, PredictOptions(allow_empty=True)).empty == 2


def test_a_model_without_a_manifest_is_served(folder, tmp_path):
    """A folder of `transformers` without our manifest: the column is called text, the length is the tokenizer's."""
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "manifest.json").unlink()
    classifier = Classifier.load(copy, device="cpu", threads=1)
    assert classifier.served.length == LENGTH and classifier.served.columns.text == ("text",)


def test_a_length_beyond_the_positions_raises(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    parameters = dict(read_manifest(copy).parameters, length=LENGTH + 1)
    write_manifest(copy, "model", counts={}, parameters=parameters)
    with pytest.raises(TlmError, match="positions end at"):
        Classifier.load(copy, device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(TlmError, match="finds no GPU"):
            Classifier.load(folder, device="cuda")
