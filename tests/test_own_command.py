"""`tlm new`: what it writes is what is built, what it says is true, and every fault of the data is one line."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import toy
from own_toy import new, write_project

from tlm.config.base import load_yaml
from tlm.config.forecast import forecast_seconds, read_forecast
from tlm.corpus.build import build_corpus
from tlm.cost.jobs import read_project
from tlm.errors import TlmError
from tlm.plan import runs, tables
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task
from tlm.training.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    return write_project(tmp_path_factory.mktemp("own") / "project")


@pytest.fixture
def project(shipped, tmp_path, monkeypatch) -> Path:
    """A project's folder, with a task and a corpus of one's own in it, and the working directory there."""
    folder = tmp_path / "project"
    shutil.copytree(shipped, folder)
    monkeypatch.chdir(folder)
    return folder


def test_it_writes_a_file_that_builds_and_prints_its_findings(project, capsys):
    new("--task", "rows.csv", "--description", "Where it is: garden, say.")
    printed = capsys.readouterr().out
    assert "200 (train 1" in printed and "3: garden 34%" in printed and "en (Latin script" in printed
    assert "snakemake results/tasks/mine/report.html" in printed
    assert "K is " in printed and "a query takes at most a 20th" in printed  # lowered, and the output says so
    written = load_yaml(project / "config/own/mine.yaml")
    assert written["description"] == "Where it is: garden, say." and written["language"] == "en"
    loaded = read_project([])
    tables.check(loaded)
    run = runs.resolve(loaded.at("mine"), "mine", "tlm", 1)
    assert run.spec.stage1.budget.tokens > 200_000 and run.selection.size <= 1000 / 20
    fetch_source("mine", loaded.data.sources["mine"], project / "source", project / "cache", {})
    counts = build_task("mine", loaded.data.tasks["mine"], project / "source", project / "task").counts
    rows = ", ".join(f"{split} {count:,}" for split, count in counts["rows"].items())
    assert rows in printed


def test_the_forecast_of_every_job_is_kept_for_the_build(project, capsys):
    new("--task", "rows.csv")
    found = read_forecast(project / "config/own/mine.forecast.json")
    assert found.granted == 1200 and found.wall <= 1200 and found.cores == 2
    rules = [job.rule for job in found.jobs]
    assert {"fetch", "corpus", "retrieve", "stage1", "evaluate", "linear", "export", "task_report"} <= set(
        rules
    )
    assert rules.count("stage1") == 1
    run = runs.resolve(read_project([]).at("mine"), "mine", "tlm", 1)
    assert forecast_seconds(project / "config/own/mine.forecast.json", Path(run.stage1)) > 0.5 * found.wall
    assert (
        forecast_seconds(None, Path(run.stage1)) is None
        and forecast_seconds(project / "x", Path("y")) is None
    )


def test_a_limit_of_stage_1_keeps_the_build_within_the_granted_time(project):
    new("--task", "rows.csv", "--stop-at-budget")
    found = read_forecast(project / "config/own/mine.forecast.json")
    budget = runs.resolve(read_project([]).at("mine"), "mine", "tlm", 1).spec.stage1.budget
    seconds = next(job.seconds for job in found.jobs if job.rule == "stage1")
    assert budget.tokens > 0 and budget.seconds == pytest.approx(seconds + 1200 - found.wall, abs=1)


def test_the_steps_before_the_decay_stay_when_the_budget_grows(project):
    new("--task", "rows.csv")
    stage1 = load_yaml(project / "config/own/mine.yaml")["training"]["stage1"]
    spec = runs.resolve(read_project([]).at("mine"), "mine", "tlm", 1).spec.stage1
    assert stage1["optimizer"]["warmup_steps"] == spec.optimizer.warmup(10**6) > 0
    plateau = stage1["optimizer"]["warmup_steps"] / 0.05 * 0.4
    assert 16 <= plateau / stage1["evaluate_every"] <= 17.5 and spec.evaluations == 4


def seconds(text: str) -> int:
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", text))


def test_the_time_is_for_one_model_unless_a_comparison_or_seeds_divide_it(project, capsys):
    model, runs_line = {}, {}
    for given in ("", "--compare", "--seeds 2"):
        new("--task", "rows.csv", "--force", *given.split())
        printed = capsys.readouterr().out
        whole, own = re.search(r"about (\S+) of the 20m0s granted.*; (\S+) of it train", printed).groups()
        assert seconds(whole) <= 1200
        model[given], runs_line[given] = seconds(own) / seconds(whole), printed
        view = read_project([]).at("mine")
        assert view.seeds == ([1, 2] if "seeds" in given else [1])
        assert view.own["mine"].compare == (given == "--compare")
    assert "1 training (tlm; 1 seed)" in runs_line[""] and "--compare would add" in runs_line[""]
    assert "3 trainings (tlm, task-only, random; 1 seed)" in runs_line["--compare"]
    assert "2 trainings (tlm; 2 seeds)" in runs_line["--seeds 2"]
    assert model[""] >= 0.75 and model["--compare"] < 0.6  # three jobs on two cores: two rounds


@pytest.mark.parametrize("form", ["lists", "separator", "columns"])
def test_several_labels_a_text(project, capsys, form):
    toy.write_tags(project / "tags.jsonl", 200)
    frame = pd.read_json(project / "tags.jsonl", lines=True)
    given = {
        "lists": ("tags.jsonl", "--multi-label"),
        "separator": ("tags.csv", "--label-separator", "|", "--metric", "mean_average_precision"),
        "columns": ("flags.csv", "--label-columns", "garden,harbour,kitchen"),
    }[form]
    if form == "separator":
        frame.assign(label=frame.label.map("|".join)).to_csv(project / "tags.csv", index=False)
    if form == "columns":
        flags = {label: [int(label in each) for each in frame.label] for label in toy.LABELS}
        pd.DataFrame({"text": frame.text, **flags}).to_csv(project / "flags.csv", index=False)
    new("--task", *given)
    printed = capsys.readouterr().out
    rows, none = len(frame), sum(not each for each in frame.label)
    mean = sum(map(len, frame.label)) / rows
    assert f"; {mean:.1f} labels a row, at most 3; {none / rows:.0%} of the rows have none" in printed
    loaded = read_project([])
    task = loaded.data.tasks["mine"]
    assert task.problem == "multi_label"
    assert task.metric == ("mean_average_precision" if form == "separator" else "macro_f1")
    fetch_source("mine", loaded.data.sources["mine"], project / "source", project / "cache", {})
    built = build_task("mine", task, project / "source", project / "task")
    assert built.parameters["labels"] == list(toy.LABELS)
    assert sum(each["without"] for each in built.counts["label_sets"].values()) == none


def test_rare_labels_are_named_and_can_be_left_out(project, capsys):
    toy.write_tags(project / "tags.jsonl", 200)
    lines = [json.loads(line) for line in (project / "tags.jsonl").read_text().splitlines()]
    for line in lines[:5]:
        line["label"].append("storm at sea")
    (project / "tags.jsonl").write_text("\n".join(map(json.dumps, lines)))
    new("--task", "tags.jsonl", "--multi-label")
    printed = capsys.readouterr().out
    assert "1 of 4 labels have fewer than 20 rows (storm at sea)" in printed
    assert "--merge 'storm at sea='" in printed
    new("--task", "tags.jsonl", "--multi-label", "--merge", "storm at sea=", "--force")
    assert "labels        3:" in capsys.readouterr().out
    with pytest.raises(TlmError, match="--merge garden=: write OLD=NEW"):
        new("--task", "rows.csv", "--merge", "garden=", "--force")


def test_options_for_several_labels_that_do_not_fit_are_refused(project):
    toy.write_tags(project / "tags.jsonl", 40)
    with pytest.raises(TlmError, match="--regression and several labels a row exclude each other"):
        new("--task", "tags.jsonl", "--multi-label", "--regression")
    with pytest.raises(TlmError, match="--label-separator and --label-columns exclude each other"):
        new("--task", "tags.jsonl", "--label-separator", "|", "--label-columns", "a,b")
    with pytest.raises(
        TlmError, match=r"holds a list of .* values; a row needs one value; add --multi-label"
    ):
        new("--task", "tags.jsonl")
    with pytest.raises(TlmError, match=r"name it with --label-separator"):
        new("--task", "rows.csv", "--multi-label")
    with pytest.raises(TlmError, match=r"no column 'garden'.*name the column with --label-columns"):
        new("--task", "rows.csv", "--label-columns", "garden,kitchen")
    rows = [{"text": f"text {n}", "label": [f"tag {n}", "common"]} for n in range(40)]
    (project / "free.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TlmError, match="41 different labels, and 40 of them occur in one row: too many"):
        new("--task", "free.jsonl", "--multi-label")


def test_a_written_configuration_is_not_written_over(project):
    new("--task", "rows.csv")
    before = (project / "config/own/mine.yaml").read_text()
    with pytest.raises(TlmError, match="exists; give --force"):
        new("--task", "rows.csv")
    new("--task", "rows.csv", "--force", "--budget", "40m")
    assert (project / "config/own/mine.yaml").read_text() != before


def test_pairs_regression_given_splits_and_compressed_files(project, capsys):
    toy.write_pairs(project / "a.csv", 120, 1)
    frame = pd.read_csv(project / "a.csv")
    frame[:80].to_parquet(project / "train.parquet")
    frame[80:100].to_csv(project / "dev.tsv.gz", sep="\t", index=False)
    frame[100:].to_json(project / "test.jsonl.zst", orient="records", lines=True)
    files = ("--task", "train.parquet", "--dev", "dev.tsv.gz", "--test", "test.jsonl.zst")
    new(*files, "--text", "first", "--pair", "second", "--label", "score", "--regression")
    printed = capsys.readouterr().out
    assert (
        "120 (train 80, dev 20, test 20; as given)" in printed and "numbers from 0 to 5, mean 2.5" in printed
    )
    view = read_project([]).at("mine")
    assert view.data.tasks["mine"].split == "given" and view.data.tasks["mine"].metric == "pearson_spearman"


def test_duplicates_and_rows_left_out_are_counted(project, capsys):
    frame = pd.read_csv(project / "rows.csv")
    frame.to_csv("train.csv", index=False)
    pd.concat([frame[:30], frame[:2]]).to_csv("test.csv", index=False)
    blank = pd.DataFrame({"id": [900, 901], "text": ["", "A text."], "label": ["garden", None]})
    pd.concat([frame, blank]).to_csv("train.csv", index=False)
    with pytest.raises(TlmError, match=r"train\.csv: row 201: empty text in column text"):
        new("--task", "train.csv", "--test", "test.csv")
    new("--task", "train.csv", "--test", "test.csv", "--skip-empty")
    printed = capsys.readouterr().out
    assert re.search(r"(2\d|3[012]) test texts are in train, too", printed) and "2 rows repeat" in printed
    assert "2 rows without text or label" in printed


def test_a_corpus_of_many_files_is_seen_through_a_sample(project, monkeypatch, capsys):
    monkeypatch.setattr("tlm.own.findings.SMALL", 1000)
    for number in range(5):
        toy.write_corpus(project / f"heap/{number}/part.txt", 300, seed=number)
    new("--task", "rows.csv", corpus=("heap/**/*.txt",))
    printed = capsys.readouterr().out
    size = sum(path.stat().st_size for path in project.glob("heap/*/part.txt")) / 1e3
    assert (
        "5 (" in printed
        and f"about {0.95 * size:.0f} kB" in printed
        and "estimated from parts of 5 files" in printed
    )
    assert load_yaml(project / "config/own/mine.yaml")["corpus"] == {"files": ["heap/**/*.txt"]}


def write(name: str, content) -> None:
    path = Path(name)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)


GOOD = "text,label\n" + "".join(f"a text number {n},{'ab'[n % 2]}\n" for n in range(40))


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, ["--task", "row.csv"], r"--task row\.csv: no such file \(did you mean 'rows\.csv'\?\)"),
        (
            {},
            ["--task", "rows.csv", "--text", "txt"],
            r"rows\.csv: no column 'txt' \(did you mean 'text'\?\)",
        ),
        ({}, ["--task", "rows.csv", "--label", "id"], "200 different values in 200 rows.*--regression"),
        ({}, ["--task", "rows.csv", "--label", "text"], "different values in 200 rows.*another --label"),
        (
            {},
            ["--task", "rows.csv", "--regression"],
            r"rows\.csv: row 1: label 'garden' is not a number in column label",
        ),
        (
            {"a.csv": GOOD + "odd,c\n"},
            ["--task", "a.csv"],
            r"a\.csv: row 41: label 'c' in column label has only this row",
        ),
        ({"a.csv": GOOD.replace(",b", ",a")}, ["--task", "a.csv"], "all training rows have the label 'a'"),
        ({"a.csv": GOOD + ",a\n"}, ["--task", "a.csv"], r"a\.csv: row 41: empty text in column text"),
        ({"a.csv": GOOD + "words,\n"}, ["--task", "a.csv"], r"a\.csv: row 41: no label in column label"),
        ({"a.csv": GOOD + "one,two,three\n"}, ["--task", "a.csv"], r"a\.csv: row 41: 3 fields, 2 columns"),
        ({"a.csv": GOOD.encode() + b"caf\xe9,a\n"}, ["--task", "a.csv"], r"a\.csv: not utf-8 \(byte 0xe9\)"),
        (
            {"a.parquet": b"PAR1 no"},
            ["--task", "a.parquet"],
            r"a\.parquet: not a Parquet file, or a broken one",
        ),
        ({"a.jsonl": '{"text": 1\n'}, ["--task", "a.jsonl"], r"a\.jsonl: row 1: not JSON"),
        ({"a.csv": "text,label\n"}, ["--task", "a.csv"], "has no rows"),
        (
            {"a.csv": GOOD, "t.csv": "text,label\nx,c\ny,c\n"},
            ["--task", "a.csv", "--test", "t.csv"],
            "'c' never occurs in the training",
        ),
        ({"a.xlsx": b"PK"}, ["--task", "a.xlsx"], r"a\.xlsx: not a workbook, or a broken one"),
        (
            {"n.csv": "text,label\n" + "".join(f"words {n},3\n" for n in range(30))},
            ["--task", "n.csv", "--regression"],
            "is 3 in every row",
        ),
        ({}, ["--task", "rows.csv", "--merge", "a:b"], "write OLD=NEW"),
        ({}, ["--task", "rows.csv", "--metric", "f1"], r"--metric: Input should be .*, got 'f1'"),
        ({}, ["--task", "rows.csv", "--tokenizer", "/nowhere"], "tokenizer '/nowhere' cannot be loaded"),
    ],
)
def test_a_fault_of_the_task_is_one_line_and_nothing_is_written(project, files, arguments, message):
    for name, content in files.items():
        write(name, content)
    with pytest.raises(TlmError, match=message) as caught:
        new(*arguments)
    assert "\n" not in str(caught.value) and not (project / "config/own").exists()


@pytest.mark.parametrize(
    ("files", "corpus", "message"),
    [
        ({}, ["dumps/*.jsonl"], r"--corpus dumps/\*\.jsonl: the glob matches no file; quote it"),
        ({}, ["rows.csv"], r"rows\.csv is both task and corpus"),
        ({}, ["*.*"], r"rows\.csv: in --task and in --corpus"),
        ({"a.csv": "body\nwords\n"}, ["a.csv"], r"a\.csv: no column 'text'; there are body"),
        ({"a.txt": b"caf\xe9"}, ["a.txt"], r"a\.txt: not utf-8"),
        ({"a.txt": ""}, ["a.txt"], "no text in 1 of 1 files"),
        ({"a.jsonl.gz": b"no gzip"}, ["a.jsonl.gz"], r"a\.jsonl\.gz: truncated or broken"),
        ({"a.parquet": b"no"}, ["a.parquet"], r"a\.parquet: not a Parquet file"),
        ({"a.doc": "x"}, ["a.doc"], r"a\.doc: cannot be read; convert it to text first"),
        ({}, ["demmo"], r"--corpus: no corpus 'demmo' \(did you mean 'demo'\?\); .* or name files"),
    ],
)
def test_a_fault_of_the_corpus_is_one_line_and_nothing_is_written(project, files, corpus, message):
    for name, content in files.items():
        write(name, content)
    with pytest.raises(TlmError, match=message):
        new("--task", "rows.csv", corpus=corpus)
    assert not (project / "config/own").exists()


@pytest.mark.parametrize("name", ["toy", "Caps", "demo"])
def test_a_taken_or_invalid_name_raises_at_once(project, name):
    with pytest.raises(TlmError, match="choose another name"):
        new("--task", "rows.csv", name=name)


def test_outside_a_project_it_raises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TlmError, match="run this command in the project's folder"):
        new("--task", "rows.csv")


def test_text_files_without_blank_lines_are_read_by_lines(project, capsys):
    lines = [json.loads(line)["text"] for line in (project / "heap.jsonl").read_text().splitlines()]
    (project / "heap.txt").write_text("\n".join(lines) + "\n")
    new("--task", "rows.csv", corpus=("heap.txt",))
    assert load_yaml(project / "config/own/mine.yaml")["corpus"]["unit"] == "line"


def test_writing_without_spaces_gets_characters_all_the_way(project, capsys):
    topics = {"吃": "米饭面条豆腐白菜鸡蛋苹果", "住": "房子窗户门床桌子椅子灯"}
    texts = [
        (
            label,
            "".join(words[(n * 5 + i * 7) % len(words)] for i in range(12)) + "，我们今天在这里看见了它们。",
        )
        for n in range(60)
        for label, words in topics.items()
    ]
    pd.DataFrame({"text": [text for _, text in texts], "label": [label for label, _ in texts]}).to_csv(
        "zh.csv"
    )
    (project / "zh.txt").write_text(
        "\n\n".join("".join(text for _, text in texts[n : n + 9]) for n in range(100))
    )
    new("--task", "zh.csv", corpus=("zh.txt",))
    printed = capsys.readouterr().out
    assert "zh (Han script, a guess)" in printed and "note: 0" not in printed
    loaded = read_project([])
    written = loaded.own["mine"]
    assert written.corpus.spaces is False and written.training.tokenizer["pretrained"].startswith(
        "config/own/mine."
    )
    for source in ("mine", "mine-corpus"):
        fetch_source(source, loaded.data.sources[source], project / source, project / "cache", {})
    counts = build_corpus(
        "mine",
        loaded.data.corpora["mine"],
        {"mine-corpus": project / "mine-corpus"},
        project / "c",
        workers=1,
    ).counts
    assert counts["passages"] == pytest.approx(int(re.search(r"(\d+) passages", printed)[1]), rel=0.2)
    lengths = [len(text) for text in pd.read_parquet(project / "c/part-00000.parquet").text]
    assert max(lengths) <= 120 and min(lengths) >= 40
    build_tokenizer(None, project / "t", loaded.own_scales["mine"].tokenizer)
