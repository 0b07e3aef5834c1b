import csv
import io
import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tlm.artifacts import write_json, write_manifest
from tlm.config.base import load_yaml, parse
from tlm.config.experiments import CellSpec, Row, Table, TableSpec
from tlm.config.reported import load_reported
from tlm.config.scale import ScaleSpec
from tlm.errors import TlmError
from tlm.plan.tables import columns_of
from tlm.results.cells import build_cell
from tlm.results.tables import assemble_table

ROOT = Path(__file__).parent.parent
REPORTED = load_reported(ROOT / "config" / "reported.yaml")
TASKS = ["news", "trials"]
SCALE = parse(ScaleSpec, load_yaml(ROOT / "config/scales/smoke.yaml"), "smoke").model_copy(
    update={"tasks": TASKS}
)
SPEC = parse(
    TableSpec,
    {
        "title": "Main results",
        "reported": "table2",
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
        ],
        "notes": ["A note of this table."],
    },
    "test",
)


def resolved(spec, tasks, name="table2", reported="", **changes):
    """The table that `tlm.plan.tables` would make of a declaration of plain rows."""
    rows = tuple(
        Row(
            id=row.id,
            label=row.label or row.id,
            variant=row.variant,
            scale="smoke",
            reported=reported or row.id,
            texts=row.texts,
        )
        for row in spec.rows
    )
    columns = tuple(columns_of(spec, SCALE.model_copy(update={"tasks": tasks})))
    values = {
        "title": spec.title,
        "reported": spec.reported,
        "notes": spec.notes,
        "transpose": spec.transpose,
    }
    return Table(**{"name": name, "columns": columns, "rows": rows, **values, **changes})


TABLE = resolved(SPEC, TASKS, reported="bert-base")
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
    if variant == "tfidf":
        parameters["chosen"] = {"strength": 10.0, "class_weights": "balanced", "dev": 0.515}
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


def specs(table=TABLE, seeds=(0, 1)):
    return {
        (row.id, column.id): CellSpec(
            table=table.name,
            row=row.id,
            scale="smoke",
            variants=dict.fromkeys(column.tasks, row.variant),
            seeds=(0,) if row.variant == "tfidf" else seeds,
            column=column,
        )
        for row in table.rows
        for column in table.columns
        if column.kind != "text"
    }


def needed(spec, runs):
    return [runs[spec.variants[task]][task, seed] for task in spec.column.tasks for seed in spec.seeds]


def all_cells(runs):
    return {key: build_cell(spec, needed(spec, runs)) for key, spec in specs().items()}


def test_columns_follow_the_tasks_of_the_scale():
    columns = columns_of(SPEC, SCALE)
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


def test_facts_are_means_over_tasks_or_empty(runs):
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


def test_wrong_runs_raise(runs, tmp_path):
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
    rendered = assemble_table(TABLE, list(all_cells(runs).values()), REPORTED)
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(rendered.csv))}
    theirs = [f"reported-{name}" for name in REPORTED.tables["table2"].rows]
    assert list(rows) == [
        "tlm",
        "reported-bert-base",
        "tfidf",
        *(n for n in theirs if n != "reported-bert-base"),
    ]
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
    rendered = assemble_table(TABLE, list(all_cells(runs).values()), REPORTED)
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
    assert "(2 seeds; TF-IDF + logistic regression: 1 seed" in theirs
    assert (
        "- TF-IDF + logistic regression, chosen on dev: news C = 10, balanced class weights (dev 51.50); "
        in theirs
    )
    assert theirs.count("chosen on dev") == 1  # no other row chooses anything
    widths = {line.count("|") for line in ours.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_reported_rows_share_the_block_if_columns_are_equal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = parse(
        TableSpec,
        {
            "title": "Two stages",
            "reported": "table7",
            "columns": [{"tasks": "all", "split": "dev"}],
            "rows": [{"id": "two-stage", "label": "two-stage", "variant": "tlm"}],
        },
        "test",
    )
    tasks = ["agnews", "imdb", "chemprot", "acl-arc"]
    table = resolved(table, tasks, "table7")
    plan = specs(table, seeds=(0,))
    cells = [build_cell(spec, [make_run(Path(), spec.column.id, "tlm", 0, 0.9)]) for spec in plan.values()]
    rendered = assemble_table(table, cells, REPORTED)
    assert "## Reported" not in rendered.markdown
    assert "| two-stage | 80.00 | 80.00 | 80.00 | 80.00 |" in rendered.markdown
    lines = [line for line in rendered.markdown.splitlines() if line.startswith("| ") and "9" in line]
    assert lines[0] == "| two-stage (reported) | 94.51 | 94.40 | 83.64 | 76.37 |"
    assert lines[1].startswith("| without stage 2 (reported) |")


def test_missing_and_unknown_cells_raise(runs):
    cells = list(all_cells(runs).values())
    with pytest.raises(TlmError, match=r"cell results/cells/table2/tlm/parameters\.json is missing"):
        assemble_table(TABLE, cells[1:], REPORTED)
    strange = dict(cells[0], row="plm")
    with pytest.raises(TlmError, match="no cell table2/plm/parameters"):
        assemble_table(TABLE, [*cells, strange], REPORTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [{"id": "a", "average": True}]}, "this average needs columns of tasks before it"),
        ({"columns": [{"fact": "flops"}]}, "needs an id"),
        (
            {"columns": [{"id": "f", "fact": "flops", "tasks": "all"}]},
            "exactly one of fact, tasks, average and text",
        ),
        ({"columns": [{"id": "f", "fact": "flop"}]}, "fact"),
        ({"columns": [{"tasks": "all", "metric": "mlm_loss"}]}, "set split: dev"),
        ({"columns": [{"id": "x", "tasks": "all"}]}, "leave out id"),
        ({"columns": [{"id": "x", "fact": "data", "split": "dev"}]}, "belong to columns of tasks"),
        ({"rows": [{"id": "a", "label": "A", "variant": "tlm"}] * 2}, "declared twice"),
        ({"rows": [{"id": "a", "label": "A"}]}, "exactly one of variant, sweep and baselines"),
        ({"rows": [{"variant": "tlm"}]}, "needs an id"),
        ({"rows": [{"id": "a", "sweep": "k"}]}, "leave out id"),
        ({"columns": [{"id": "x", "text": "X"}]}, "texts and the columns of texts differ in 'x'"),
        ({"rows": [{"id": "A/b", "label": "A", "variant": "tlm"}]}, "pattern"),
        ({"colums": []}, "did you mean 'columns'"),
    ],
)
def test_wrong_declarations_raise_one_line(change, message):
    values = SPEC.model_dump(exclude_unset=True)
    with pytest.raises(TlmError, match=message):
        parse(TableSpec, {**values, **change}, "config/experiments.yaml")


def test_duplicate_columns_raise():
    double = SPEC.model_copy(update={"columns": [*SPEC.columns, SPEC.columns[4]]})
    with pytest.raises(TlmError, match="two columns are called 'news'"):
        columns_of(double, SCALE)


def test_a_task_of_two_metrics_counts_once_in_the_average(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = [{"tasks": ["news"]}, {"tasks": ["trials"], "metric": ["macro_f1", "accuracy"]}]
    columns.append({"id": "average", "average": True})
    rows = [{"id": "a", "label": "A", "variant": "tlm"}]
    spec = parse(TableSpec, {"title": "GLUE", "columns": columns, "rows": rows}, "test")
    table = resolved(spec, TASKS, "table10")
    assert [column.id for column in table.columns] == [
        "news",
        "trials.macro_f1",
        "trials.accuracy",
        "average",
    ]
    made = {task: make_run(Path(), task, "tlm", 0, 0.7) for task in TASKS}
    plan = specs(table, seeds=(0,))["a", "average"]
    cell = build_cell(plan, [made[task] for task in plan.column.tasks])
    assert cell["mean"] == pytest.approx((70 + (70 + 90) / 2) / 2)  # accuracy is 0.9
    assert cell["metrics"] == {"news": "macro_f1", "trials": "macro_f1, accuracy"}


def test_texts_and_the_cost_of_a_checkpoint_are_in_their_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = [{"id": "loss", "text": "Loss"}, {"id": "flops", "fact": "flops"}, {"tasks": "all"}]
    rows = [{"id": "bert-base", "label": "BERT", "variant": "bert-base", "texts": {"loss": "L_mlm"}}]
    spec = parse(TableSpec, {"title": "T", "columns": columns, "rows": rows, "reported": "table2"}, "test")
    table = resolved(spec, ["agnews"])
    table = table.model_copy(
        update={"rows": tuple(r.model_copy(update={"pretraining": "table2/bert-base"}) for r in table.rows)}
    )
    run = make_run(Path(), "agnews", "bert-base", 0, 0.7, stage1=False)
    cells = [build_cell(spec, [run]) for spec in specs(table, seeds=(0,)).values()]
    rendered = assemble_table(table, cells, REPORTED)
    ours = next(iter(csv.DictReader(io.StringIO(rendered.csv))))
    assert (ours["loss"], ours["flops"], ours["agnews"]) == ("L_mlm", "2.7900e+19", "70.0000")
    assert ours["source"] == "measured (flops: reported, table2/bert-base)"
    assert "| BERT | L_mlm | 2.79E19 (reported) | 70.00 |" in rendered.markdown
    turned = assemble_table(table.model_copy(update={"transpose": True}), cells, REPORTED).markdown
    assert "| Loss | L_mlm |" in turned


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
    arguments = [str(ROOT / "scripts/table.py"), "--spec", TABLE.model_dump_json()]
    arguments += ["--reported", str(ROOT / "config/reported.yaml")]
    arguments += ["--csv", "results/table2.csv", "--markdown", "results/table2.md"]
    arguments += ["--html", "results/table2.html", "--cells", *cells]
    script(arguments)
    expected = assemble_table(TABLE, [json.loads(Path(c).read_text()) for c in cells], REPORTED)
    assert Path("results/table2.csv").read_text() == expected.csv
    assert Path("results/table2.md").read_text() == expected.markdown
    assert "<td>TLM</td>" in Path("results/table2.html").read_text()
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
