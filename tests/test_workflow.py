"""The workflow as its users run it, at the smoke scale: built, left alone, changed, interrupted, and misused.

One build serves all tests of this file. Each test works on its own copy of the result.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import documented
import pytest
from browser import PHONE
from conftest import ROOT
from recorded_imports import assert_ran
from workflow_runner import copy_project, environment, planned, snakemake

from tlm.artifacts import sha256_file, verify

RUN = "runs/smoke/toy/tlm/seed1"


def test_table2_holds_a_number_in_every_cell_of_its_measured_rows(built):
    rows = {row["row"]: row for row in csv.DictReader((built / "results/table2.csv").open())}
    for name in ("tlm", "plm"):
        assert rows[name]["source"] == "measured"
        assert 0 <= float(rows[name]["toy"]) <= 100
        assert float(rows[name]["toy_sd"]) >= 0
        assert float(rows[name]["toy.mlm_loss"]) > 0
        assert float(rows[name]["data"]) > 0
    assert float(rows["plm"]["flops"]) >= 2 * float(rows["tlm"]["flops"])
    assert rows["tfidf"]["flops"] == "" and float(rows["tfidf"]["toy"]) > 0
    assert rows["reported-tlm-large"]["source"].startswith("reported")
    assert "| TLM |" in (built / "results/table2.md").read_text()


def test_every_artifact_matches_its_manifest(built):
    manifests = [*built.glob("data/**/manifest.json"), *built.glob("runs/**/manifest.json")]
    assert len(manifests) > 20
    for path in manifests:
        verify(path)


def test_no_query_comes_from_dev_or_test(built):
    import pyarrow.parquet as pq

    planned = set(
        pq.read_table(next(built.glob("data/retrieval/toy/toy/*/topk.parquet")))["query_id"].to_pylist()
    )
    train = set(pq.read_table(built / "data/tasks/toy/train.parquet")["row_id"].to_pylist())
    assert planned == train


def test_the_model_loads_without_this_project(built):
    code = (
        "import sys; sys.modules['tlm'] = None\n"
        "from transformers import pipeline\n"
        f"print(pipeline('text-classification', model='{RUN}/stage2/model')('The boat is at anchor.')[0]['label'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=built, capture_output=True, text=True)
    assert result.stdout.strip() in ("garden", "harbour", "kitchen"), result.stderr


def test_a_finished_model_is_a_target(copy):
    """Its card describes the selection and its corpus, which only a whole build has."""
    assert planned(copy, "models/toy/manifest.json") == {"export": 1}
    assert planned(copy, "models/toy/onnx/model.onnx") == {"export": 1, "export_onnx": 1}
    result = snakemake(copy, "models/toy/manifest.json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("export")
    verify(copy / "models/toy", "model")
    card = (copy / "models/toy/README.md").read_text()
    assert "the 20 best passages by BM25 for each training text" in card and "**Corpus** `toy`: " in card
    assert not planned(copy, "models/toy/manifest.json")
    absent = snakemake(copy, "models/absent/manifest.json")
    assert absent.returncode and "error: no model 'absent': scale smoke has the tasks toy" in absent.stderr


def test_a_finished_build_has_nothing_to_do_even_when_everything_is_touched(copy):
    assert not planned(copy, "results/table2.csv")
    for path in [*copy.glob("data/**/*"), *copy.glob("tlm/**/*.py"), *copy.glob("config/**/*.yaml")]:
        path.touch()
    assert not planned(copy, "results/table2.csv")


def test_a_changed_rho2_reruns_training_and_later_jobs(copy):
    jobs = planned(
        copy, "results/table2.csv", "--config", "scale=smoke", 'overrides={"stage1": {"rho2": 100}}'
    )
    assert jobs["stage1"] == 2  # the seeds of TLM; pretraining reads no rho2
    assert jobs["stage2"] == jobs["evaluate"] == 2
    assert jobs["cell"] == 8  # TLM's row
    assert set(jobs) == {"stage1", "stage2", "evaluate", "cell", "table"}


def test_a_changed_stage2_leaves_stage1_alone(copy):
    jobs = planned(
        copy, "results/table2.csv", "--config", "scale=smoke", 'overrides={"stage2": {"epochs": 5}}'
    )
    assert "stage1" not in jobs and jobs["stage2"] == 4


def test_how_training_is_launched_and_followed_reruns_nothing(copy):
    how = ["--config", "scale=smoke", "launch=accelerate launch --num_processes 2", "trackers=[tensorboard]"]
    assert not planned(copy, "results/table2.csv", *how)
    assert planned(copy, "results/table2.csv", "--config", "scale=smoke", "attention=sdpa")["stage1"] == 3


def test_a_deleted_cell_rebuilds_one_cell(copy):
    (copy / "results/cells/table2/tlm/toy.json").unlink()
    assert planned(copy, "results/table2.csv") == {"cell": 1, "table": 1}


def test_changed_code_reruns_the_rules_that_import_it(copy):
    path = copy / "tlm/results/tables.py"
    path.write_text(path.read_text() + "\n")
    assert planned(copy, "results/table2.csv") == {"table": 1}


def test_claims_and_differences_of_a_built_table_train_nothing(copy):
    targets = ("results/claims/tfidf.csv", "results/claims/tlm-plm.csv", "results/differences/table2.csv")
    assert planned(copy, *targets) == {"claims": 2, "differences": 1}
    result = snakemake(copy, *targets)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("claims", "differences")
    lines = list(csv.DictReader((copy / "results/claims/tlm-plm.csv").open()))
    assert [line["task"] for line in lines] == ["all", "toy"]
    assert {line["verdict"] for line in lines} <= {"supported", "not supported", "not enough data"}
    assert "of the FLOPs" in lines[0]["reason"] and float(lines[0]["low"]) <= float(lines[0]["effect"])
    scores = {
        row["row"]: float(row["toy"])
        for row in csv.DictReader((copy / "results/table2.csv").open())
        if row["toy"]
    }
    assert abs(float(lines[1]["effect"]) - (scores["tlm"] - scores["plm"])) < 1e-3
    differences = csv.DictReader((copy / "results/differences/table2.csv").open())
    assert {(row["row"], row["against"]) for row in differences} == {
        ("plm", "tlm"),
        ("tfidf", "tlm"),
        ("tlm", "tfidf"),
        ("plm", "tfidf"),
        ("ngram-svm", "tlm"),
        ("ngram-svm", "tfidf"),
        ("tlm", "ngram-svm"),
        ("plm", "ngram-svm"),
        ("tfidf", "ngram-svm"),
    }
    markdown = (copy / "results/differences/table2.md").read_text()
    for rival in ("TF-IDF", "n-gram SVM"):
        assert re.search(rf"^- TLM (beats|does not beat) {rival}", markdown, re.M)


def test_an_interrupted_build_is_finished_by_the_same_command_to_the_same_bytes(copy):
    before = [(copy / f"{RUN}/{stage}/manifest.json").read_bytes() for stage in ("stage1", "stage2")]
    shutil.rmtree(copy / RUN)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        f"{RUN}/stage2/manifest.json",
        "--config",
        "scale=smoke",
    ]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment(copy),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (copy / "runs/smoke/toy/tlm/seed1").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C sends: to Snakemake and its jobs
    process.wait(timeout=120)
    assert process.returncode != 0
    assert not (copy / f"{RUN}/stage1/manifest.json").exists()
    result = snakemake(copy, f"{RUN}/stage2/manifest.json")
    assert result.returncode == 0, result.stderr
    verify(copy / RUN / "stage1")
    assert [(copy / f"{RUN}/{stage}/manifest.json").read_bytes() for stage in ("stage1", "stage2")] == before


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config/config.yaml", "scale: demo", "skale: demo", "skale: unknown key"),
        ("config/scales/smoke.yaml", "rho2: 20", "rho2: -1", "rho2"),
        ("config/scales/smoke.yaml", "corpus: toy", "corpus: none", "no corpus 'none'"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_no_job(tmp_path, file, old, new, message):
    folder = copy_project(tmp_path)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    result = snakemake(folder, "results/table2.csv")
    assert result.returncode != 0
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in result.stderr
    assert not (folder / "data").exists()


def test_shares_of_several_jobs_give_the_same_bytes(copy):
    names = ("data/indexes/toy/manifest.json", "data/retrieval/toy/toy/top20/manifest.json")
    before = [(copy / name).read_bytes() for name in names]
    for name in names:
        shutil.rmtree((copy / name).parent)
    result = snakemake(copy, *names, "--config", "scale=smoke", 'retrieval={"shares": 3}')
    assert result.returncode == 0, result.stderr
    assert len(list(copy.glob("data/shares/*/**/manifest.json"))) == 6
    assert [(copy / name).read_bytes() for name in names] == before


def test_k_larger_than_the_corpus_fails_in_one_line(copy):
    result = snakemake(copy, "results/table2.csv", "--config", "scale=smoke", 'overrides={"k": 1000000}')
    assert result.returncode != 0
    assert re.search(r"^error: .*1,?000,?000", result.stdout + result.stderr, re.M)
    assert not list(copy.glob("data/retrieval/toy/toy/top1000000/manifest.json"))


def test_a_cell_names_its_inputs(built):
    cell = json.loads((built / "results/cells/table2/tlm/toy.json").read_text())
    assert len(cell["values"]) == 2 and len(cell["made_from"]) == 2


FIGURES = ("results/figure1.pdf", "results/figure2.png", "results/figure3.pdf", "results/attention.csv")


@pytest.fixture(scope="module")
def drawn(built, tmp_path_factory) -> Path:
    """The built project with figures."""
    folder = tmp_path_factory.mktemp("drawn") / "project"
    shutil.copytree(built, folder, copy_function=shutil.copy2, symlinks=True)
    result = snakemake(folder, *FIGURES)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("attention", "attention_table", "figure")
    return folder


@pytest.fixture
def figures(drawn, tmp_path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(drawn, tmp_path / "copy", copy_function=shutil.copy2, symlinks=True))


def test_figures_are_pictures_with_their_numbers_beside_them(drawn):
    for name in ("figure1", "figure2", "figure3"):
        assert (drawn / f"results/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (drawn / f"results/{name}.png").read_bytes().startswith(b"\x89PNG")
    heads = list(csv.DictReader((drawn / "results/figure3.csv").open()))
    assert [(row["model"], row["layer"], row["head"]) for row in heads] == [
        (model, layer, head) for model in ("TLM", "PLM") for layer in "12" for head in "12"
    ]
    edges = {(row["rule"], row["feeds"]) for row in csv.DictReader((drawn / "results/figure2.csv").open())}
    assert {("stage1", "stage2"), ("retrieve", "selection"), ("attention", "figure")} <= edges
    rows = list(csv.DictReader((drawn / "results/attention.csv").open()))
    assert [(row["task"], row["model"]) for row in rows] == [
        ("toy", "TLM"),
        ("toy", "PLM"),
        ("toy", "TLM − PLM"),
    ]
    for path in drawn.glob("runs/**/attention/manifest.json"):
        assert verify(path, "attention").counts["texts"] == 60


def test_finished_figures_have_nothing_to_do_even_when_everything_is_touched(figures):
    assert not planned(figures, *FIGURES)
    for path in [
        *figures.glob("runs/**/*.*"),
        *figures.glob("tlm/**/*.py"),
        *figures.glob("config/**/*.yaml"),
    ]:
        path.touch()
    assert not planned(figures, *FIGURES)


def test_a_changed_caption_redraws_one_figure(figures):
    path = figures / "config/experiments.yaml"
    path.write_text(path.read_text().replace("title: Attention of TLM", "title: Heads of TLM", 1))
    assert planned(figures, *FIGURES) == {"figure": 1}


def test_a_changed_sentence_reads_the_heads_again_and_trains_nothing(figures):
    path = figures / "config/experiments.yaml"
    path.write_text(path.read_text().replace("structurally related.", "structurally related ones."))
    assert planned(figures, "results/figure3.pdf") == {"attention": 2, "figure": 1}


def test_a_deleted_attention_artifact_plans_itself_and_its_figures(figures):
    shutil.rmtree(figures / "runs/smoke/toy/plm/seed1/attention")
    assert planned(figures, "results/figure3.pdf") == {"attention": 1, "figure": 1}
    before = (figures / "results/figure3.pdf").read_bytes()
    assert snakemake(figures, *FIGURES).returncode == 0
    assert (figures / "results/figure3.pdf").read_bytes() == before
    assert not planned(figures, *FIGURES)


def test_a_figure_of_an_unknown_sentence_is_one_line(figures):
    path = figures / "config/experiments.yaml"
    path.write_text(path.read_text().replace("example: chemprot", "example: chemport"))
    result = snakemake(figures, "results/figure3.pdf")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "no 'chemport' in attention.examples" in errors[0]
    assert "Traceback" not in result.stderr


def test_a_checkpoint_is_finetuned_and_its_pretraining_is_the_reported_one(copy):
    shutil.copytree(copy / RUN / "stage1/mlm", copy / "checkpoint")
    experiments = copy / "config/experiments.yaml"
    model = re.search(
        r"model: (\{architecture: bert, pretrained: google-bert/bert-base.*\})", experiments.read_text()
    )
    assert model is not None
    experiments.write_text(
        experiments.read_text().replace(model[1], "{architecture: modernbert, pretrained: checkpoint}")
    )
    scale = copy / "config/scales/smoke.yaml"
    scale.write_text("baselines: [plm, bert-base]\n" + scale.read_text())
    jobs = planned(copy, "results/table2.csv")
    assert "stage1" not in jobs and (jobs["stage2"], jobs["evaluate"], jobs["tokenizer"]) == (2, 2, 1)
    result = snakemake(copy, "results/table2.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {row["row"]: row for row in csv.DictReader((copy / "results/table2.csv").open())}
    row = rows["bert-base"]
    assert row["source"] == "measured (flops, data: reported, table2/bert-base)"
    assert (
        row["flops"] == "2.7900e+19" and 0 < int(row["parameters"]) < 10**6 and 0 <= float(row["toy"]) <= 100
    )
    assert list(rows).index("reported-bert-base") == list(rows).index("bert-base") + 1


def test_the_blocks_of_the_documentation_for_a_smoke_build_run(copy):
    blocks = [each for page in documented.PAGES for each in documented.blocks(page) if each.reason == "smoke"]
    assert len(blocks) >= 4
    for block in blocks:
        documented.run(block, copy, environment(copy), 300)


def test_the_notebook_reads_a_build(copy):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks/results.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "strip the outputs before committing"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(copy)}}).execute()
    outputs = " ".join(str(each) for cell in notebook.cells for each in cell.get("outputs", ()))
    assert "TF-IDF + logistic regression" in outputs and "passages in data/selections/toy" in outputs


REPORTED = ("figure1.png", "calibration.png", "costs.png", "table9.html", "differences/table2.html")


def test_a_report_of_built_results_opens_with_every_result_and_no_error(copy, chromium, tmp_path):
    result = snakemake(copy, *(f"results/{name}" for name in REPORTED))
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("examples", "example_table")
    # Not all is built, no number of cores is given, and no network is there.
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--report",
        "results/report.html",
        "--config",
        "scale=smoke",
    ]
    result = subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    page = chromium.open(copy / "results/report.html")
    page.wait_for("document.querySelector('.prose h1')")
    shown = page.evaluate("Object.values(results).map(each => [each.name, each.caption.length > 99])")
    names = {Path(name).name for name in REPORTED} | {"table2.html"}
    assert {name for name, _ in shown} == names and len(shown) == len(
        names
    ) + 1  # two of them are table2.html
    assert all(captioned for _, captioned in shown)
    words = page.text()
    for word in (
        "TLM at scale smoke",
        "TF-IDF + logistic regression",
        "torch",
        "stage1",
        "rho1: 3",
        "Table 2: ",
    ):
        assert word in words
    links = page.evaluate("[...document.querySelectorAll('.prose li a')].map(link => link.innerText)")
    assert len(links) == len(shown)
    for place, name in enumerate(links):
        page.wait_for(f"document.querySelectorAll('.prose li a').length == {len(links)}")
        page.evaluate(f"void document.querySelectorAll('.prose li a')[{place}].click()")
        page.wait_for("document.querySelector('div.grow > div > img, iframe')")
        page.wait_for("document.querySelector('nav').innerText.includes('DESCRIPTION')")
        assert name in page.evaluate("document.querySelector('nav').innerText")
        assert page.broken_images() == []
        page.evaluate("void app.setView({navbarMode: 'menu', content: 'rulegraph'})")
    page.evaluate("void app.setView({navbarMode: 'menu', content: 'stats'})")
    page.wait_for("document.querySelector('#timeline canvas, #timeline svg')")
    assert page.errors == []
    assert page.requests == [(copy / "results/report.html").as_uri()]
    for name in ("table2", "table9", "differences/table2"):
        alone = chromium.open(copy / f"results/{name}.html", PHONE)
        assert not alone.errors and not alone.too_wide() and len(alone.text()) > 100


def test_table2_both_ways_plans_the_clean_row_alone(copy):
    target = "results/table2-clean.csv"
    jobs = planned(copy, target)
    rule_jobs = {name: jobs[name] for name in jobs if name != "cell"}
    trained = {"stage1": 2, "stage2": 2, "evaluate": 2}  # the row's two seeds, and nothing of other rows
    assert rule_jobs == {"audit": 1, "selection": 1, "external_tokens": 1, **trained, "table": 1}
    switched = planned(copy, "results/table2.csv", "--config", "scale=smoke", "exclude=contaminated")
    counts = [switched[rule] for rule in ("audit", "selection", "stage1")]
    assert counts == [1, 2, 3]  # the pretraining reads a clean selection too
    assert "corpus" not in switched and "retrieve" not in switched


def test_table2_is_built_both_ways_beside_each_other(copy):
    target = "results/table2-clean.csv"
    result = snakemake(copy, target)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {row["row"]: row for row in csv.DictReader((copy / target).open())}
    # The toy corpus holds no text of the toy task: the same passages, so the same models.
    for name in ("data", "toy", "toy_sd", "average", "toy.mlm_loss"):
        assert rows["tlm-clean"][name] == rows["tlm"][name] != ""
    for weights in ("stage1/mlm/model.safetensors", "stage2/model/model.safetensors"):
        clean = copy / RUN.replace("/tlm/", "/tlm-clean/") / weights
        assert clean.read_bytes() == (copy / RUN / weights).read_bytes()
    assert not planned(copy, "results/table2.csv") and not planned(copy, target)


def test_planted_texts_are_audited_and_left_out(copy):
    import pyarrow.parquet as pq

    train, test = (
        pq.read_table(copy / f"data/tasks/toy/{split}.parquet")["text"].to_pylist()
        for split in ("train", "test")
    )
    corpus, sources = copy / "examples/toy-corpus.jsonl", copy / "config/sources.yaml"
    before = sha256_file(corpus)
    with corpus.open("a", encoding="utf-8") as stream:
        for query, text in zip(
            train[:2], test[:2], strict=True
        ):  # what a training text retrieves, and a test text
            words = f"{query} {text.lower().replace('.', ' !')} {query}"
            stream.write(json.dumps({"text": words}) + "\n")
    sources.write_text(sources.read_text().replace(before, sha256_file(corpus)))
    experiments = copy / "config/experiments.yaml"
    every, few = "variants: [tlm, tlm-clean, random, plm, tlm-other]", "variants: [tlm, tlm-clean]"
    assert every in experiments.read_text()
    experiments.write_text(experiments.read_text().replace(every, few))
    result = snakemake(copy, "results/contamination.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert_ran("audit", "contamination")
    lines = csv.DictReader((copy / "results/contamination.csv").open())
    rows = {(line["against"], line["name"], line["split"]): line for line in lines}
    assert len(rows) == 8 and rows["train", "", "dev"]["rows"] == "60"
    plain, clean = (rows["selection", f"toy/bm25-k20{name}", "test"] for name in ("", "-clean"))
    for line in (rows["corpus", "toy", "test"], plain):
        assert (line["verbatim"], line["contaminated"], line["others_contaminated"]) == ("2", "2", "2")
    assert (clean["contaminated"], clean["others_contaminated"]) == ("0", "0")
    assert int(clean["others"]) == int(plain["others"]) - 2
    assert "| toy | test | 60 | corpus toy | 2 |" in (copy / "results/contamination.md").read_text()
    verify(copy / "data/audits/toy/corpora/toy")
