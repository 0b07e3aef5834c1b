"""Unlabelled texts of a task: queries and internal data, in no split, never equal to a labelled text."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import toy
import training_toy
from conftest import ROOT
from own_toy import new, write_project
from source_files import seal
from training_toy import CPU, Toy, toy_rows, toy_spec

from tlm.artifacts import read_manifest, write_manifest
from tlm.audit.texts import body_size, body_texts
from tlm.config.base import parse
from tlm.config.data import DataConfig, TaskSpec, load_data_config
from tlm.config.own import OwnSpec
from tlm.config.retrieval import Bm25Selector, LabelledBm25Selector
from tlm.cost.jobs import read_project
from tlm.errors import TlmError
from tlm.plan.local_data import with_local_tasks
from tlm.retrieval.queries import training_texts
from tlm.retrieval.selection import select
from tlm.sources.fetch import fetch_source
from tlm.tasks.build import build_task
from tlm.training.batches import Schedule, Stream
from tlm.training.model import TensorBatch
from tlm.training.objective import stage1_weights
from tlm.training.stage1 import run_stage1


def spec(**changes) -> TaskSpec:
    base = {
        "source": "s",
        "parser": {"format": "delimited", "files": "rows/**"},
        "metric": "macro_f1",
        "split": {"by": "row"},
        "unlabelled": {"files": "unlabelled/**"},
    }
    return TaskSpec.model_validate({**base, **changes})


@pytest.fixture
def source(tmp_path) -> Path:
    toy.write_task(tmp_path / "s/rows/rows.csv", 60)
    (tmp_path / "s/unlabelled").mkdir()
    return tmp_path / "s"


def test_texts_that_equal_a_labelled_one_are_left_out(tmp_path, source, capsys):
    plain = build_task("t", spec(unlabelled=None), seal(source), tmp_path / "plain")
    texts = {
        split: pq.read_table(tmp_path / f"plain/{split}.parquet")["text"].to_pylist()
        for split in plain.counts["rows"]
    }
    rows = [
        "One more text.",
        "one more  TEXT.",
        "",
        texts["train"][0],
        texts["dev"][1].upper(),
        texts["test"][0],
        texts["test"][1],
        "Another.",
    ]
    (source / "unlabelled/more.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    built = build_task("t", spec(), seal(source), tmp_path / "task")
    assert built.counts["unlabelled"] == {
        "rows": 2,
        "left_out": {"empty": 1, "in_dev": 1, "in_test": 2, "in_train": 1, "repeated": 1},
    }
    printed = capsys.readouterr().out
    assert (
        "task t: 2 unlabelled texts; left out: 1 empty, 1 repeated, 1 equal to a training text, 1 equal"
        in printed
    )
    table = pq.read_table(tmp_path / "task/unlabelled.parquet").to_pydict()
    assert table == {"row_id": [60, 61], "text": ["One more text.", "Another."]}
    for split in ("train", "dev", "test"):  # the splits are those of the task without unlabelled texts
        assert (tmp_path / f"task/{split}.parquet").read_bytes() == (
            tmp_path / f"plain/{split}.parquet"
        ).read_bytes()
    queries = training_texts(tmp_path / "task")
    assert queries.texts.to_pylist() == [*texts["train"], "One more text.", "Another."]
    assert queries.ids.tolist() == [*range(len(texts["train"])), 60, 61]
    audited = read_manifest(tmp_path / "task")
    assert body_size(audited) == len(texts["train"]) + 2
    assert sum(len(ids) for ids, _ in body_texts(tmp_path / "task", audited)) == body_size(audited)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("more.txt", "A first text.\n\nA second text.\n"),
        ("more.csv", "text;x\nA first text.;1\nA second text.;2\n"),
        ("more.json", '[{"text": "A first text."}, {"text": "A second text."}]'),
    ],
)
def test_the_formats_of_unlabelled_texts(tmp_path, source, name, content):
    (source / "unlabelled" / name).write_text(content)
    build_task("t", spec(), seal(source), tmp_path / "task")
    assert pq.read_table(tmp_path / "task/unlabelled.parquet")["text"].to_pylist() == [
        "A first text.",
        "A second text.",
    ]


def test_pairs_need_columns(tmp_path):
    toy.write_pairs(tmp_path / "s/rows/rows.csv", 60, 1)
    (tmp_path / "s/unlabelled").mkdir()
    (tmp_path / "s/unlabelled/more.csv").write_text("first,second\na,b\n")
    parser = {
        "format": "delimited",
        "files": "rows/**",
        "text": "first",
        "text_pair": "second",
        "label": "score",
    }
    pairs = spec(parser=parser, problem="regression", metric="pearson_spearman")
    build_task("t", pairs, seal(tmp_path / "s"), tmp_path / "task")
    table = pq.read_table(tmp_path / "task/unlabelled.parquet").to_pydict()
    assert table == {"row_id": [60], "text": ["a"], "text_pair": ["b"]}
    (tmp_path / "s/unlabelled/more.txt").write_text("a text\n")
    with pytest.raises(
        TlmError, match=r"more\.txt: the task has pairs of texts, so its unlabelled texts need two"
    ):
        build_task("t", pairs, seal(tmp_path / "s"), tmp_path / "again")


def test_an_internal_step_reads_as_many_unlabelled_texts():
    streams = {name: Stream(np.full(40, 10), seed=1, name=name, batch_size=4) for name in ("i", "e", "u")}
    plain = Schedule(streams["i"], streams["e"], rho1=2)
    more = Schedule(streams["i"], streams["e"], rho1=2, unlabelled=streams["u"])
    for step in range(6):
        kinds = [(micro.internal, micro.unlabelled) for micro in more.step(step)]
        assert kinds == ([(True, True), (True, False)] if step % 3 == 0 else [(False, False)])
        assert (more.step(step)[-1].rows == plain.step(step)[-1].rows).all()
        assert more.tokens(step) == plain.tokens(step) * len(kinds)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def test_the_task_loss_reads_no_unlabelled_text(trained):
    from tlm.training.stage1 import open_data
    from tlm.training.stage_setup import StageSetup

    splits = {"train": toy_rows(30, 1), "dev": toy_rows(12, 2), "test": toy_rows(12, 3)}
    tokens = trained.tokens("more", {**splits, "unlabelled": [(text,) for text, _ in toy_rows(50, 4)]})
    counts = read_manifest(tokens).counts
    assert counts["unlabelled"]["rows"] == 50 and not (tokens / "unlabelled/labels.npy").exists()
    setup = StageSetup.prepare("stage 1", toy_spec(), trained.tokenizer, trained.folder / "x", CPU)
    data = open_data(setup, tokens, trained.external, None)
    assert data.unlabelled is not None and data.internal is not None
    model = setup.build_model(None, data.head, [32], with_mlm=True)
    labelled = data.internal.masked(0, setup.vocabulary, 0.15)
    more = data.unlabelled.masked(0, setup.vocabulary, 0.15)
    weights = stage1_weights(True, 20, [more, labelled])
    assert weights.task == pytest.approx(1 / 21 / labelled.rows)
    assert weights.mlm == pytest.approx(20 / 21 / (labelled.masked + more.masked))
    assert set(model(TensorBatch.of(more, torch.device("cpu")), weights)) == {"loss", "mlm"}
    assert set(model(TensorBatch.of(labelled, torch.device("cpu")), weights)) == {"loss", "mlm", "task"}
    for changes in ({"stage1.unlabelled": False}, {"stage1.rho2": 0}):
        setup = StageSetup.prepare(
            "stage 1", toy_spec(**changes), trained.tokenizer, trained.folder / "x", CPU
        )
        assert open_data(setup, tokens, trained.external, None).unlabelled is None


def test_stage1_trains_on_unlabelled_texts(trained, tmp_path):
    splits = {"train": toy_rows(30, 1), "dev": toy_rows(12, 2), "test": toy_rows(12, 3)}
    texts = [(text,) for text, _ in toy_rows(50, 4)]
    more, plain = trained.tokens("both", {**splits, "unlabelled": texts}), trained.tokens("none", splits)

    def digest(tokens: Path, name: str, **changes) -> dict[str, str]:
        run_stage1(
            toy_spec(**changes), tokens, trained.external, trained.tokenizer, tmp_path / name, execution=CPU
        )
        return read_manifest(tmp_path / name).files

    with_more, without = digest(more, "a"), digest(plain, "b")
    off = digest(more, "c", **{"stage1.unlabelled": False})
    name = "mlm/model.safetensors"
    assert with_more[name] != without[name] == off[name]
    record = json.loads((tmp_path / "a/record.json").read_text())
    assert (
        record["work"]["internal"]["rows"]
        == 2 * json.loads((tmp_path / "b/record.json").read_text())["work"]["internal"]["rows"]
    )


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = write_project(tmp_path / "project")
    toy.write_task(folder / "more.csv", 500, seed=2)
    monkeypatch.chdir(folder)
    return folder


def test_tlm_new_declares_unlabelled_texts(project, capsys):
    frame = pd.concat([pd.read_csv("more.csv"), pd.read_csv("rows.csv")])
    frame.rename(columns={"text": "body"})[["body"]].to_csv("more.csv", index=False)
    new("--task", "rows.csv", "--unlabelled", "more.csv", "--unlabelled-text", "body")
    printed = capsys.readouterr().out
    line = next(each for each in printed.splitlines() if each.strip().startswith("unlabelled"))
    assert "140 equal to a training text, 21 equal to a dev text, 39 equal to a test text" in line
    data = read_project([]).data
    fetch_source("mine", data.sources["mine"], project / "source", project / "cache", {})
    counts = build_task("mine", data.tasks["mine"], project / "source", project / "task").counts
    assert f"{counts['unlabelled']['rows']:,} unlabelled texts" in line
    assert counts["rows"] == {"train": 140, "dev": 21, "test": 39}
    with pytest.raises(
        TlmError, match=r"copy\.csv: has the same content as rows\.csv .* take it out of --unlabelled"
    ):
        shutil.copy("rows.csv", "copy.csv")
        new("--task", "rows.csv", "--unlabelled", "copy.csv", "--force")
    with pytest.raises(
        TlmError, match=r"no column 'text'; there are body; name the column with --unlabelled-text"
    ):
        new("--task", "rows.csv", "--unlabelled", "more.csv", "--force")
    Path("none.txt").write_text("\n\n")
    with pytest.raises(TlmError, match=r"--unlabelled none\.txt: 0 unlabelled texts; left out: 2 empty"):
        new("--task", "rows.csv", "--unlabelled", "none.txt", "--force")
    with pytest.raises(TlmError, match="is both unlabelled text and corpus"):
        new("--task", "rows.csv", "--unlabelled", "heap.jsonl", "--force")


def test_a_local_task_reads_a_file_of_unlabelled_texts(project):
    Path("folder").mkdir()
    shutil.copy("rows.csv", "folder/train.csv")
    Path("folder/unlabelled.txt").write_text("A first text.\nA second text.\n")
    shipped = load_data_config(ROOT / "config")
    data: DataConfig = with_local_tasks(shipped, {"toy": "folder"})
    source = data.tasks["toy"].source
    fetch_source(source, data.sources[source], project / "source", project / "cache", {})
    counts = build_task("toy", data.tasks["toy"], project / "source", project / "task").counts
    assert counts["unlabelled"]["rows"] == 2 and sum(counts["rows"].values()) == 200


def test_a_file_is_not_both_unlabelled_text_and_corpus():
    values = {"task": {"files": "a.csv", "unlabelled": "b.txt"}, "corpus": {"files": ["b.txt"]}}
    with pytest.raises(TlmError, match=r"b\.txt is both unlabelled text and corpus"):
        parse(OwnSpec, values, "own")


def test_the_labelled_selection_takes_passages_of_training_texts_alone(tmp_path):
    task = training_toy.write_task_artifact(tmp_path / "task", {"train": [("a", "garden"), ("b", "garden")]})
    corpus = training_toy.write_corpus_artifact(tmp_path / "corpus", [f"passage {n}" for n in range(6)])
    rows = [
        (0, 1, 3),
        (0, 2, 1),
        (1, 1, 1),
        (2, 1, 5),
        (2, 2, 3),
    ]  # query, rank, passage; 2 is an unlabelled text
    columns = {
        name: [row[place] for row in rows] for place, name in enumerate(("query_id", "rank", "passage_id"))
    }
    (tmp_path / "retrieval").mkdir()
    pq.write_table(pa.table({**columns, "score": [1.0] * len(rows)}), tmp_path / "retrieval/topk.parquet")
    write_manifest(tmp_path / "retrieval", "retrieval", counts={}, parameters={"k": 2})
    folders = {"retrieval": tmp_path / "retrieval", "task": task}
    found = {}
    for spec in (Bm25Selector(k=2), LabelledBm25Selector(k=2), LabelledBm25Selector(k=1)):
        chosen = select(spec, corpus, tmp_path / f"{spec.selector}-{spec.k}", folders)
        table = pq.read_table(tmp_path / f"{spec.selector}-{spec.k}/passages.parquet").to_pydict()
        found[spec.selector, spec.k] = table["passage_id"]
        assert "task" in chosen.inputs or spec.selector == "bm25"
    assert found == {("bm25", 2): [1, 3, 5], ("bm25-labelled", 2): [1, 3], ("bm25-labelled", 1): [1, 3]}
