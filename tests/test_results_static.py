"""Tables as pages: their text is the Markdown's, escaped, and fits a phone; and the first page of the report."""

import base64
import json
import re

import pytest
from browser import PHONE
from projects import project

from tlm.results.overview import findings, overview, plain, times, versions
from tlm.results.static import table_page, write_table
from tlm.rules import Workflow
from tlm.rules.report import called

WIDE = "| | " + " | ".join(f"task-{n}" for n in range(30)) + " |"
RULE = "| --- | " + " | ".join("---:" for _ in range(30)) + " |"
LINE = "| TLM | " + " | ".join("93.50 ± 0.15" for _ in range(30)) + " |"
MARKDOWN = f"# Main *results*\n\n{WIDE}\n{RULE}\n{LINE}\n\n- <script>alert(1)</script> **bold**\n"


def test_a_page_holds_the_table_and_its_csv():
    page = table_page(MARKDOWN, "row,é\n1,2\n", "table2.csv")
    assert page.count("<td style") == 30 and "<strong>bold</strong>" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    data = re.search(r'download="table2\.csv" href="data:text/csv;base64,([^"]+)"', page)
    assert base64.b64decode(data[1]).decode() == "row,é\n1,2\n"


def test_a_table_is_written_in_its_three_forms(tmp_path):
    paths = [tmp_path / f"table2.{end}" for end in ("csv", "md", "html")]
    write_table("a\n1\n", "# T\n", *paths)
    assert [path.read_text().splitlines()[0] for path in paths] == ["a", "# T", "<!doctype html>"]


def test_a_wide_table_scrolls_in_the_page_and_not_the_page(chromium, tmp_path):
    path = tmp_path / "table2.html"
    path.write_text(table_page(MARKDOWN, "a\n", "table2.csv"))
    page = chromium.open(path, PHONE)
    assert not page.errors and not page.warnings and not page.too_wide()
    assert page.evaluate("(e => e.scrollWidth > 2 * e.clientWidth)(document.querySelector('.scroll'))")
    assert page.text().startswith("Main results")


def test_the_first_page_describes_the_build_and_its_results(tmp_path):
    smoke = project(scale="smoke")
    (tmp_path / "results/differences").mkdir(parents=True)
    (tmp_path / "results/table2.csv").write_text("row\n")
    assert list(findings(smoke, tmp_path)) == [
        "To compare TLM with the linear models, build results/differences/table2.csv."
    ]
    sentence = "TLM does not beat TF-IDF + logistic regression; it is worse on toy (−5.0 [−6.0, −4.0])."
    (tmp_path / "results/differences/table2.md").write_text(f"# T\n\n- {sentence}\n- Points.\n")
    assert list(findings(smoke, tmp_path)) == [sentence]
    (tmp_path / "results/claims.csv").write_text(
        "claim,task,verdict\na,all,supported\na,toy,supported\nb,all,supported\n"
    )
    assert next(findings(smoke, tmp_path)) == "The paper's claims at this scale: 2 supported."

    record = tmp_path / "runs/smoke/toy/tlm/seed1/stage1/record.json"
    record.parent.mkdir(parents=True)
    made = {
        "torch": "2",
        "transformers": "5",
        "precision": "fp32",
        "device": "cpu",
        "processor": "AVX2",
        "threads": 1,
    }
    record.write_text(json.dumps({"environment": made}))
    assert versions("smoke", tmp_path)[0] == (
        "1 stages trained with",
        "torch 2, transformers 5, fp32 on cpu (AVX2), 1 thread",
    )

    for name, seconds in (("task/a", 3), ("stage1/a", 70), ("stage1/b", 10)):
        path = tmp_path / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t100\t1\n")
    assert times(tmp_path) == [
        ("stage1", "2", "1m20s", "1m10s", "105 MB"),
        ("task", "1", "3s", "3s", "105 MB"),
    ]

    first_page = overview(smoke, tmp_path)
    assert first_page["scale"] == "smoke" and ("corpus", "toy") in first_page["facts"]
    assert "    scale: smoke" in first_page["settings"] and "rho1: 3" in first_page["scale_settings"]


def test_markup_is_escaped():
    from docutils.core import publish_parts

    text = "a_b *c* `d` |e| __init__ \\f"
    body = publish_parts(plain(text), writer_name="html")["body"]
    assert re.sub(r"<.*?>", "", body).strip() == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("table2", "Table 2: T"),
        ("tableA.1", "Table A.1: T"),
        ("figureC.2", "Figure C.2: T"),
        ("table2-clean", "T"),
        ("learning", "T"),
    ],
)
def test_results_have_the_names_of_the_paper(name, label):
    assert called(name, "T") == label


def test_a_report_shows_built_results_and_a_build_makes_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    everything = (["a.html", "b.html"], ["c.png"])
    monkeypatch.setattr("sys.argv", ["snakemake", "--cores", "2"])
    assert Workflow(project(scale="smoke")).finals(*everything) == ["a.html", "b.html", "c.png"]
    monkeypatch.setattr("sys.argv", ["snakemake", "--report", "r.html", "--report-after-run"])
    assert len(Workflow(project(scale="smoke")).finals(*everything)) == 3
    for options in (["--report", "r.html"], ["--report=r.html"], ["--report"]):
        monkeypatch.setattr("sys.argv", ["snakemake", *options])
        with pytest.raises(SystemExit):
            Workflow(project(scale="smoke")).finals(*everything)
        assert capsys.readouterr().err.startswith("error: no result is built, so the report would be empty")
    (tmp_path / "b.html").touch()
    assert Workflow(project(scale="smoke")).finals(*everything) == ["b.html"]
