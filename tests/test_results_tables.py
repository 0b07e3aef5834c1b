import csv
import io
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tlm.artifacts import write_json, write_manifest
from tlm.config.base import parse
from tlm.config.experiments import TableSpec, cell_specs, columns_of
from tlm.errors import TlmError
from tlm.results.cells import build_cell
from tlm.results.reported import load_reported
from tlm.results.tables import assemble_table

ROOT = Path(__file__).parent.parent
REPORTED = load_reported(ROOT / "config" / "reported.yaml")
TASKS = ["news", "trials"]
TABLE = parse(
    TableSpec,
    {
        "title": "Main results",
        "columns": [
            {"id": "parameters", "fact": "parameters"},
            {"id": "flops", "fact": "flops"},
            {"id": "matmul_flops", "fact": "matmul_flops"},
            {"id": "data", "fact": "data"},
            {"tasks": "all", "metric": "primary", "split": "test"},
            {"id": "average", "average": True},
            {"tasks": "all", "metric": "mlm_loss", "split": "dev"},
            {"id": "seconds", "fact": "seconds"},
        ],
        "rows": [
            {"id": "tlm", "label": "TLM", "variant": "tlm"},
            {"id": "tfidf", "label": "TF-IDF + logistic regression", "variant": "tfidf"},
            {"id": "reported-bert-base", "reported": "table2/bert-base"},
        ],
        "notes": ["A note of this table."],
    },
    "test",
)
SCORES = {("news", 0): 0.80, ("news", 1): 0.84, ("trials", 0): 0.60, ("trials", 1): 0.70}


def make_run(root, task, variant, seed, score, *, loss=2.5, stage1=True):
    folder = root / "runs" / "smoke" / task / variant / f"seed{seed}" / "evaluation"
    folder.mkdir(parents=True)
    metrics = {"task": task, "metric": "macro_f1"}
    for split in ("dev", "test"):
        value = score if split == "test" else score - 0.1
        metrics[split] = {"n": 10, "primary": value, "metrics": {"macro_f1": value, "accuracy": 0.9}}
    metrics["dev"]["mlm_loss"] = loss if stage1 else None
    write_json(folder / "metrics.json", metrics)
    flops = {"parameters": None, "data": None, "stage1": None, "stage2": None}
    if stage1:
        flops = {
            "parameters": 5_000_000,
            "data": {"bytes": 2_000_000 if task == "news" else 4_000_000, "passages": 9},
            "stage1": {"tokens": {"real": 1000}, "paper": 3e13, "matmul": {"total": 2e13}},
            "stage2": {"matmul": {"total": 1e12}},
        }
    write_json(folder / "flops.json", flops)
    parameters = {"scale": "smoke", "task": task, "variant": variant, "seed": seed}
    write_manifest(folder, "evaluation", counts={}, parameters=parameters)
    write_json(folder / "timing.json", {"train_seconds": 60.0 + seed})
    return folder / "manifest.json"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """variant → (task, seed) → manifest, with paths relative to the project's root."""
    monkeypatch.chdir(tmp_path)
    found = {"tlm": {}, "tfidf": {}}
    for (task, seed), score in SCORES.items():
        found["tlm"][task, seed] = make_run(Path(), task, "tlm", seed, score)
    for task in TASKS:
        found["tfidf"][task, 0] = make_run(Path(), task, "tfidf", 0, 0.5, stage1=False)
    return found


def specs():
    return cell_specs(
        "table2",
        TABLE,
        scale="smoke",
        tasks=TASKS,
        seeds_of=lambda variant: [0] if variant == "tfidf" else [0, 1],
    )


def needed(spec, runs):
    return [runs[spec.variant][task, seed] for task in spec.column.tasks for seed in spec.seeds]


def all_cells(runs):
    return {key: build_cell(spec, needed(spec, runs)) for key, spec in specs().items()}


def test_columns_follow_the_tasks_of_the_scale():
    columns = columns_of(TABLE, TASKS)
    assert [column.id for column in columns] == [
        "parameters",
        "flops",
        "matmul_flops",
        "data",
        "news",
        "trials",
        "average",
        "news.mlm_loss",
        "trials.mlm_loss",
        "seconds",
    ]
    average = columns[6]
    assert (average.tasks, average.metric, average.split) == (("news", "trials"), "primary", "test")
    assert columns[4].tasks == ("news",)
    assert set(specs()) == {(row, column.id) for row in ("tlm", "tfidf") for column in columns}


def test_a_cell_is_the_mean_and_sample_deviation_over_seeds(runs):
    cell = all_cells(runs)["tlm", "trials"]
    assert cell["mean"] == pytest.approx(65.0)
    assert cell["sd"] == pytest.approx(statistics.stdev([60.0, 70.0]))
    assert cell["values"] == {"0": pytest.approx(60.0), "1": pytest.approx(70.0)}
    assert (cell["unit"], cell["source"], cell["split"]) == ("percent", "measured", "test")
    assert cell["metrics"] == {"trials": "macro_f1"}
    assert [part["path"] for part in cell["made_from"]] == [
        f"runs/smoke/trials/tlm/seed{seed}/evaluation" for seed in (0, 1)
    ]
    assert all(len(part["digest"]) == 64 for part in cell["made_from"])


def test_the_average_is_taken_over_tasks_first(runs):
    cell = all_cells(runs)["tlm", "average"]
    series = [(80 + 60) / 2, (84 + 70) / 2]
    assert cell["mean"] == pytest.approx(statistics.fmean(series))
    assert cell["sd"] == pytest.approx(statistics.stdev(series))
    assert len(cell["made_from"]) == 4


def test_facts_are_means_over_tasks_and_blank_where_there_is_none(runs):
    cells = all_cells(runs)
    assert cells["tlm", "data"]["mean"] == 3_000_000
    assert cells["tlm", "flops"]["mean"] == 3e13
    assert cells["tlm", "matmul_flops"]["mean"] == 2e13
    assert cells["tlm", "seconds"]["mean"] == pytest.approx(60.5)
    assert cells["tlm", "news.mlm_loss"]["mean"] == 2.5
    assert cells["tlm", "news.mlm_loss"]["unit"] == "nats"
    for column in ("parameters", "flops", "data", "news.mlm_loss"):
        assert cells["tfidf", column]["mean"] is None
        assert cells["tfidf", column]["values"] == {}
    assert cells["tfidf", "news"]["sd"] is None  # a single seed has no deviation


def test_cells_do_not_depend_on_the_order_of_the_runs(runs):
    spec = specs()["tlm", "average"]
    assert build_cell(spec, needed(spec, runs)) == build_cell(spec, needed(spec, runs)[::-1])


def test_titles_and_labels_are_no_part_of_a_cell():
    changed = TABLE.model_copy(update={"title": "Another", "notes": ()})
    other = cell_specs("table2", changed, scale="smoke", tasks=TASKS, seeds_of=lambda _: [0, 1])
    same = cell_specs("table2", TABLE, scale="smoke", tasks=TASKS, seeds_of=lambda _: [0, 1])
    assert other == same


def test_wrong_runs_are_named(runs, tmp_path):
    spec = specs()["tlm", "trials"]
    good = needed(spec, runs)
    with pytest.raises(TlmError, match="run smoke/trials/tlm/seed1 is missing"):
        build_cell(spec, good[:1])
    with pytest.raises(
        TlmError, match="is smoke/news/tlm/seed0, which is not part of cell table2/tlm/trials"
    ):
        build_cell(spec, [*good, runs["tlm"]["news", 0]])
    with pytest.raises(TlmError, match="give each run once"):
        build_cell(spec, [*good, good[0]])
    with pytest.raises(TlmError, match="no such artifact"):
        build_cell(spec, [tmp_path / "nowhere"])
    odd = make_run(tmp_path / "odd", "trials", "tlm", 1, 0.7, stage1=False)
    loss = specs()["tlm", "trials.mlm_loss"]
    with pytest.raises(TlmError, match=r"run smoke/trials/tlm/seed1 has no trials\.mlm_loss"):
        build_cell(loss, [good[0], odd])


def test_table_as_csv(runs):
    rendered = assemble_table("table2", TABLE, TASKS, list(all_cells(runs).values()), REPORTED)
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(rendered.csv))}
    assert list(rows) == ["tlm", "tfidf", "reported-bert-base"]
    assert rows["tlm"]["source"] == "measured"
    assert (rows["tlm"]["trials"], rows["tlm"]["trials_sd"]) == ("65.0000", "7.0711")
    assert (rows["tlm"]["flops"], rows["tlm"]["data"]) == ("3.0000e+13", "3000000")
    assert rows["tlm"]["agnews"] == ""
    assert (rows["tfidf"]["flops"], rows["tfidf"]["news"], rows["tfidf"]["news_sd"]) == ("", "50.0000", "")
    bert = rows["reported-bert-base"]
    assert bert["source"] == "reported (table2/bert-base)"
    assert (bert["agnews"], bert["agnews_sd"], bert["average"]) == ("93.5000", "0.1500", "83.4600")
    assert (bert["flops"], bert["data"], bert["news"]) == ("2.7900e+19", "16000000000", "")


def test_table_as_markdown(runs):
    rendered = assemble_table("table2", TABLE, TASKS, list(all_cells(runs).values()), REPORTED)
    ours, _, theirs = rendered.markdown.partition("## Reported by the paper (arXiv:2111.04130v2)")
    lines = [line for line in ours.splitlines() if line.startswith("| TLM |")]
    assert lines == [
        "| TLM | 5.00 M | 3.00E13 | 2.00E13 | 3.00 MB | 82.00 ± 2.83 | 65.00 ± 7.07 | 73.50 ± 4.95 | "
        "2.50 ± 0.00 | 2.50 ± 0.00 | 1m0s |"
    ]
    assert "| TF-IDF + logistic regression |  |  |  |  | 50.00 | 50.00 | 50.00 |  |  | 1m0s |" in ours
    assert "| BERT-Base (reported) | 109 M | 2.79E19 | 16.0 GB | 93.50 ± 0.15 |" in theirs
    assert "- A note of this table." in theirs
    assert "news: macro-F1 on test" in theirs
    assert "TLM: 2 seeds; TF-IDF + logistic regression: 1 seed" in theirs
    widths = {line.count("|") for line in ours.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_reported_rows_share_the_block_where_the_columns_are_the_papers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = parse(
        TableSpec,
        {
            "title": "Two stages",
            "columns": [{"tasks": "all", "split": "dev"}],
            "rows": [
                {"id": "two", "label": "two-stage", "variant": "tlm"},
                {"id": "reported-two", "reported": "table7/two-stage"},
            ],
        },
        "test",
    )
    tasks = ["agnews", "imdb", "chemprot", "acl-arc"]
    plan = cell_specs("table7", table, scale="smoke", tasks=tasks, seeds_of=lambda _: [0])
    cells = [build_cell(spec, [make_run(Path(), spec.column.id, "tlm", 0, 0.9)]) for spec in plan.values()]
    rendered = assemble_table("table7", table, tasks, cells, REPORTED)
    assert "## Reported" not in rendered.markdown
    assert "| two-stage | 80.00 | 80.00 | 80.00 | 80.00 |" in rendered.markdown
    assert "| two-stage (reported) | 94.51 | 94.40 | 83.64 | 76.37 |" in rendered.markdown


def test_missing_and_strange_cells_are_named(runs):
    cells = list(all_cells(runs).values())
    with pytest.raises(TlmError, match=r"cell results/cells/table2/tlm/parameters\.json is missing"):
        assemble_table("table2", TABLE, TASKS, cells[1:], REPORTED)
    strange = dict(cells[0], row="plm")
    with pytest.raises(TlmError, match="no cell table2/plm/parameters"):
        assemble_table("table2", TABLE, TASKS, [*cells, strange], REPORTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [{"id": "a", "average": True}]}, "no tasks stand before this average"),
        ({"columns": [{"fact": "flops"}]}, "needs an id"),
        (
            {"columns": [{"id": "f", "fact": "flops", "tasks": "all"}]},
            "exactly one of fact, tasks and average",
        ),
        ({"columns": [{"id": "f", "fact": "flop"}]}, "fact"),
        ({"columns": [{"tasks": "all", "metric": "mlm_loss"}]}, "set split: dev"),
        ({"columns": [{"id": "x", "tasks": "all"}]}, "leave out id"),
        ({"columns": [{"id": "x", "fact": "data", "split": "dev"}]}, "belong to columns of tasks"),
        ({"rows": [{"id": "a", "label": "A", "variant": "tlm"}] * 2}, "declared twice"),
        ({"rows": [{"id": "a", "label": "A"}]}, "exactly one of variant and reported"),
        ({"rows": [{"id": "a", "variant": "tlm"}]}, "needs a label"),
        ({"rows": [{"id": "A/b", "label": "A", "variant": "tlm"}]}, "pattern"),
        ({"colums": []}, "did you mean 'columns'"),
    ],
)
def test_wrong_declarations_are_one_line(change, message):
    values = TABLE.model_dump(exclude_unset=True)
    with pytest.raises(TlmError, match=message):
        parse(TableSpec, {**values, **change}, "config/experiments.yaml")


def test_columns_of_unknown_or_doubled_tasks_are_refused():
    rows = [{"id": "a", "label": "A", "variant": "tlm"}]
    table = parse(TableSpec, {"title": "T", "columns": [{"tasks": ["imdb"]}], "rows": rows}, "test")
    with pytest.raises(TlmError, match="column of task 'imdb', which the scale does not have"):
        columns_of(table, TASKS)
    double = parse(
        TableSpec,
        {"title": "T", "columns": [{"tasks": "all"}, {"tasks": "all", "split": "dev"}], "rows": rows},
        "t",
    )
    with pytest.raises(TlmError, match="two columns are called 'news'"):
        columns_of(double, TASKS)


def test_scripts(runs, tmp_path):
    cells = []
    for (row, column), spec in specs().items():
        target = Path("results/cells/table2", row, f"{column}.json")
        write_json(target, build_cell(spec, needed(spec, runs)))
        cells.append(str(target))
    spec = specs()["tlm", "average"]
    target = tmp_path / "results/cells/table2/tlm/average.json"
    before = target.read_bytes()
    target.unlink()
    paths = [str(path) for path in needed(spec, runs)]
    script(
        [
            str(ROOT / "scripts/cell.py"),
            "--spec",
            spec.model_dump_json(),
            "--runs",
            *paths,
            "--output",
            str(target),
        ]
    )
    assert target.read_bytes() == before
    arguments = [str(ROOT / "scripts/table.py"), "--name", "table2", "--spec", TABLE.model_dump_json()]
    arguments += ["--tasks", *TASKS, "--reported", str(ROOT / "config/reported.yaml")]
    arguments += ["--csv", "results/table2.csv", "--markdown", "results/table2.md", "--cells", *cells]
    script(arguments)
    expected = assemble_table(
        "table2", TABLE, TASKS, [json.loads(Path(c).read_text()) for c in cells], REPORTED
    )
    assert Path("results/table2.csv").read_text() == expected.csv
    assert Path("results/table2.md").read_text() == expected.markdown
    failed = script(arguments[:-1], code=2)
    assert failed.startswith("error: table table2: cell results/cells/table2/")
    assert failed.count("\n") == 1


def script(arguments, code=0):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_cells_need_no_machine_learning_library():
    heavy = "('torch', 'sklearn', 'pandas', 'numpy')"
    check = f"import sys, tlm.results.tables; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
