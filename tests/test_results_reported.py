import re
from pathlib import Path

import pytest

from tlm.config.reported import load_reported, reported_line
from tlm.config.training import paper_tokens
from tlm.errors import TlmError
from tlm.evaluation.flops import paper_flops

FILE = Path(__file__).parent.parent / "config" / "reported.yaml"
REPORTED = load_reported(FILE)
EIGHT = ["agnews", "hyperpartisan", "helpfulness", "imdb", "acl-arc", "scierc", "chemprot", "rct"]
# The paper's own slips, stated in the notes of their tables: the mean of the printed cells, rounded.
SLIPS = {("table2", "tlm-large"): 85.73, ("tableA.2", "tlm-large"): 85.73, ("table10", "tlm-small"): 82.59}


def rows_with_average():
    for name, table in REPORTED.tables.items():
        for row_name, row in table.rows.items():
            if "average" in row.cells:
                yield name, row_name, row


def cell_means(row):
    """One number a task: a task of two numbers counts with their mean."""
    tasks: dict[str, list[float]] = {}
    for column, value in row.cells.items():
        if column not in ("parameters", "flops", "data", "average"):
            tasks.setdefault(column.partition(".")[0], []).append(value.mean)
    return {task: sum(values) / len(values) for task, values in tasks.items()}


@pytest.mark.parametrize(
    ("name", "row_name", "row"),
    rows_with_average(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_printed_average_is_the_mean_of_the_printed_cells(name, row_name, row):
    means = cell_means(row)
    assert len(means) == 8
    mean = sum(means.values()) / 8
    printed = SLIPS.get((name, row_name), row.cells["average"].mean)
    assert abs(mean - printed) <= 0.005 + 1e-9
    assert (printed != row.cells["average"].mean) == ((name, row_name) in SLIPS)


def test_tables_with_eight_tasks_are_complete():
    for name in ("table2", "table8", "tableA.2"):
        for row in REPORTED.tables[name].rows.values():
            assert [task for task in row.cells if task in EIGHT] == EIGHT
    assert [len(REPORTED.tables[name].rows) for name in ("table2", "table3", "table4", "table5")] == [
        7,
        4,
        4,
        5,
    ]
    assert [len(REPORTED.tables[name].rows) for name in ("table6", "table7", "table8", "tableA.2")] == [
        4,
        2,
        3,
        7,
    ]


@pytest.mark.parametrize(
    ("places", "task"),
    [  # the paper prints the same run in several tables
        (["table3/bm25-c-bert", "table4/k5000", "table5/rho1-999", "table6/rho2-20"], "scierc"),
        (["table3/bm25-c-bert", "table4/k5000", "table5/rho1-999", "table6/rho2-20"], "chemprot"),
        (["table2/roberta-base", "tableA.2/roberta-base-own"], "acl-arc"),
        (["table2/tlm-large", "tableA.2/tlm-large"], "rct"),
    ],
)
def test_the_same_run_has_the_same_number_everywhere(places, task):
    cells = [reported_line(REPORTED, place).cells[task] for place in places]
    assert len({(cell["mean"], cell["sd"]) for cell in cells}) == 1


def mean_tokens(scale):
    columns = REPORTED.hyperparameters[scale].values()
    tokens = [
        paper_tokens(
            steps=one.steps,
            batch_size=one.batch_size,
            length=one.length,
            internal_length=one.internal_length,
            rho1=one.rho1,
        )
        for one in columns
    ]
    assert len(tokens) == 8
    return sum(tokens) / 8


@pytest.mark.parametrize(
    ("row", "scale", "parameters", "exact"),
    [
        ("tlm-small", "small", 109e6, 2.739e18),
        ("tlm-medium", "medium", 109e6, 8.304e18),
        ("tlm-large", "large", 355e6, 7.590e19),
    ],
)
def test_golden_flops_of_tlm(row, scale, parameters, exact):
    flops = paper_flops(mean_tokens(scale), parameters)
    assert float(f"{flops:.3e}") == exact
    printed = REPORTED.tables["table2"].rows[row].cells
    assert printed["parameters"].mean == parameters
    assert float(f"{flops:.2e}") == printed["flops"].mean


@pytest.mark.parametrize(
    ("row", "exact"),
    [
        ("bert-base", 2.786e19),
        ("bert-large", 9.073e19),
        ("roberta-base", 1.536e21),
        ("roberta-large", 4.362e21),
    ],
)
def test_golden_flops_of_the_baselines(row, exact):
    recipe = REPORTED.pretraining[row]
    tokens = sum(
        paper_tokens(steps=one.steps, batch_size=one.batch_size, length=one.length) for one in recipe.phases
    )
    flops = paper_flops(tokens, recipe.parameters)
    assert float(f"{flops:.3e}") == exact
    printed = REPORTED.tables["table2"].rows[row].cells
    assert printed["parameters"].mean == recipe.parameters
    assert float(f"{flops:.2e}") == printed["flops"].mean


@pytest.mark.parametrize(("scale", "exact"), [("small", 0.9125e9), ("medium", 1.2125e9), ("large", 3.6375e9)])
def test_golden_data_sizes(scale, exact):
    sizes = [one.data for one in REPORTED.hyperparameters[scale].values()]
    assert sum(sizes) / len(sizes) == pytest.approx(exact, rel=1e-12)
    printed = REPORTED.tables["table2"].rows[f"tlm-{scale}"].cells["data"].mean
    assert abs(exact - printed) <= 0.005e9


def test_k_is_doubled_at_the_large_scale():
    for task in EIGHT:
        assert REPORTED.hyperparameters["large"][task].k == 2 * REPORTED.hyperparameters["medium"][task].k


def test_transcription_against_the_text_of_the_paper(shared):
    """The paper's text contains every printed row with all its digits in this order."""
    text = (shared / "paper" / "tlm-paper.txt").read_text(encoding="utf-8")
    digits = re.sub(r"[^0-9]", "", text)
    for name, table in REPORTED.tables.items():
        if name in ("table1", "tableA.1"):  # texts
            continue
        for row in table.rows.values():
            tasks = [
                value for column, value in row.cells.items() if column not in ("parameters", "flops", "data")
            ]
            decimals = 1 if name == "table10" else 2
            means = [f"{value.mean:.{decimals}f}" for value in tasks]
            if "average" in row.cells:
                means[-1] = f"{tasks[-1].mean:.2f}"
            sds = [f"{value.sd:.2f}" for value in tasks if value.sd is not None]
            if name in ("table2",):  # the subscripts run together after the row
                assert " ".join(means[:8]) in text
                assert " ".join(means[:-1]) + means[-1] in text
                assert "".join(sds) in text
            elif sds:
                pairs = "".join(mean + sd for mean, sd in zip(means, sds, strict=False))
                assert re.sub(r"[^0-9]", "", pairs + "".join(means[len(sds) :])) in digits
            else:
                assert re.sub(r"[^0-9]", "", "".join(means)) in digits


def test_unknown_places_and_bad_files_raise_one_line(tmp_path):
    with pytest.raises(TlmError, match="no row 'table2/bert-huge'"):
        reported_line(REPORTED, "table2/bert-huge")
    bad = tmp_path / "reported.yaml"
    bad.write_text(FILE.read_text(encoding="utf-8").replace("93.50±0.15", "93.50±.15"), encoding="utf-8")
    with pytest.raises(TlmError, match="not of the form mean±sd"):
        load_reported(bad)


def test_text_cells_keep_their_text():
    cells = reported_line(REPORTED, "tableA.1/reported").cells
    assert cells["epochs"]["text"] == "3 or 10"
    assert cells["learning_rate"]["mean"] == 2e-5
