"""dvc.yaml equals the generated file; every output has one stage; no parameter is missing or made up."""

import subprocess
from copy import deepcopy
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT
from workflow_rules import workflow_rules

from tlm.config.base import load_yaml
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.plan.project import load_project
from tlm.rules import Workflow, as_json
from tlm.snakemake_adapter import RECORDS, PlannedJob, dry_run, parse_dry_run, record
from tlm.store.document import build, check, read_project
from tlm.store.families import entries_of
from tlm.store.parameters import _READ, keys
from tlm.store.records import require, unknown
from tlm.store.stages import KINDS, _check_disjoint, group, out_of, place

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="DVC needs a git checkout"),
]
KIND = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module")
def committed():
    return load_yaml(ROOT / "dvc.yaml")


@pytest.fixture(scope="module")
def jobs(committed):
    settings = committed["vars"][1]["tlm"]
    return dry_run(settings["versioned"], settings["scale"], ROOT)


@pytest.fixture(scope="module")
def resolved():
    """Every stage with its templates filled in, by DVC itself."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def outs(resolved):
    return {out.def_path: (name, out) for name, stage in resolved.items() for out in stage.outs}


def test_the_committed_file_equals_the_generated_file():
    project = read_project(None, ROOT / "config")
    text = build(project, project.settings.versioned, ROOT)
    assert text == (ROOT / "dvc.yaml").read_text(), "run `python scripts/dvc_yaml.py` and commit dvc.yaml"


def test_every_out_is_an_output_of_snakemake_and_every_output_is_in_an_out(outs, jobs):
    assert set(outs) == {out_of(output) for job in jobs for output in job.outputs}


def test_no_out_lies_in_another(outs):
    for out in outs:
        assert not [other for other in outs if other != out and Path(out).is_relative_to(other)]


def test_artifacts_and_pictures_are_cached_and_tables_are_in_git(outs):
    for path, (_, out) in outs.items():
        assert out.persist, (
            f"{path}: DVC would remove it before Snakemake runs, which would then rebuild all of it"
        )
        in_git = path.startswith("results/cells/") or path.endswith((".csv", ".md"))
        assert out.use_cache is not in_git, path


def test_stages_depend_on_their_inputs(resolved, outs):
    for name, stage in resolved.items():
        for dep in stage.deps:
            path = dep.def_path
            if path.startswith(("data/", "runs/", "results/")):
                owners = [owner for out, (owner, _) in outs.items() if Path(path).is_relative_to(out)]
                assert owners and owners != [name], f"{name} reads {path}, which no stage makes"
            else:
                assert (ROOT / path).exists(), f"{name}: {path}"


def test_parameters_exist_and_commands_name_snakemake(resolved):
    for name, stage in resolved.items():
        for dep in stage.params:
            missing = [key for key in dep.params if key not in dep.read_params(flatten=True)]
            assert not missing, f"{name}: {dep.def_path} has no {missing}"
        commands = stage.cmd if isinstance(stage.cmd, list) else [stage.cmd]
        assert commands[-1].startswith("snakemake ") and "--config scale=demo" in commands[-1]
    assert all(stage.desc for stage in resolved.values())


def test_git_ignores_exactly_the_cached_outputs(outs):
    for path, (_, out) in outs.items():
        name = f"{path}/some/cell.json" if path.startswith("results/cells/") else path
        ignored = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT).returncode == 0
        assert ignored is bool(out.use_cache), path


# The keys of config/ that stages read, by changing each of them.

SPECS = {
    "fetch": lambda p, w: as_json(p.data.sources[w.source]) + str(p.settings.mirrors),
    "task": lambda p, w: as_json(p.data.tasks[w.task]),
    "corpus": lambda p, w: as_json(p.data.corpora[w.corpus]),
    "tokenizer": lambda p, w: Workflow(p).tokenizer_spec(w),
    "index": lambda p, w: as_json(p.settings.retrieval.index) + p.settings.retrieval.backend,
    "retrieve": lambda p, w: Workflow(p).retrieval_spec(w),
    "selection": lambda p, w: Workflow(p).selection_spec(w),
    "stage1": lambda p, w: Workflow(p).stage1_spec(w),
    "stage2": lambda p, w: Workflow(p).stage2_spec(w),
    "cell": lambda p, w: Workflow(p).cell_spec(w),
    "table": lambda p, w: Workflow(p).table_spec(w),
    "figure": lambda p, w: Workflow(p).figure_spec(w),
    "attention": lambda p, w: Workflow(p).attention_spec,
    "attention_table": lambda p, w: Workflow(p).attention_table_spec,
    "contamination": lambda p, w: Workflow(p).contamination_spec,
    "claims": lambda p, w: Workflow(p).claims_spec(w),
    "differences": lambda p, w: Workflow(p).differences_spec(w),
    "setting": lambda p, w: Workflow(p).setting(w),
    "examples": lambda p, w: Workflow(p).examples_spec(w),
    "task_report": lambda p, w: Workflow(p).page_spec(w),
}
FILES = ("config.yaml", "scales/smoke.yaml", "experiments.yaml", "tasks.yaml", "corpora.yaml", "sources.yaml")
TARGETS = ["results/table2.csv", "results/figure1.pdf", "results/figure3.pdf"]
FURTHER_TARGETS = [
    "results/table2-clean.csv",
    "results/contamination.csv",
    "results/claims.csv",
    "results/attention.csv",
    "results/differences/table2.csv",
    "results/tableA.1.csv",
    "results/table9.csv",
    "results/tasks/toy/report.html",
    "models/toy/onnx/model.onnx",
]


def wildcards(job):
    return SimpleNamespace(**RULES[job.rule].output.parse(job.outputs[0]))


def specifications(project, planned):
    """Stage → the specifications of its jobs."""
    found = {}
    for stage, members in planned.items():
        found[stage] = [SPECS[job.rule](project, wildcards(job)) for job in members if job.rule in SPECS]
    return found


def leaves(value, path=()):
    """Every number, word and switch below `value`."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, (bool, int, float)):
        yield path, value


def test_a_key_that_changes_a_specification_is_listed_by_its_stage(tmp_path):
    """Each number of config/ is changed in turn: what changes a job's specification must stand under `params:`."""
    project = read_project("smoke", ROOT / "config")
    targets = [*TARGETS, *FURTHER_TARGETS]
    stages = group(dry_run(targets, "smoke", ROOT))
    planned = {(stage.kind.name, stage.item): [] for stage in stages}
    for job in dry_run(targets, "smoke", ROOT):
        planned[place(job)].append(job)
    named = {(stage.kind.name, stage.item): keys(project, stage) for stage in stages}
    before = specifications(project, planned)
    used = {"experiments.yaml": ("variants.tlm", "tables.table2"), "tasks.yaml": ("tasks.toy.",)}
    used |= {"corpora.yaml": ("corpora.toy.",), "sources.yaml": ("sources.toy.",)}
    copied = _copy_config(tmp_path)
    tried = read = 0
    for file in FILES:
        content = yaml.safe_load((ROOT / "config" / file).read_text())
        for path, value in leaves(content):
            dotted = ".".join(map(str, path))
            if not dotted.startswith(used.get(file, ("",))):
                continue
            changed = deepcopy(content)
            here = changed
            for key in path[:-1]:
                here = here[key]
            here[path[-1]] = (
                (not value) if isinstance(value, bool) else value + (1 if isinstance(value, int) else 0.01)
            )
            (copied / file).write_text(yaml.safe_dump(changed, sort_keys=False))
            try:
                after = specifications(read_project("smoke", copied), planned)
            except (TlmError, KeyError, AssertionError):
                continue  # no such configuration, or other paths: dvc.yaml itself would change
            finally:
                (copied / file).write_text((ROOT / "config" / file).read_text())
            tried += 1
            for stage in (stage for stage in before if before[stage] != after[stage]):
                read += 1
                listed = named[stage].get(f"config/{file}", [])
                assert any(f"{dotted}.".startswith(f"{key}.") for key in listed), (
                    f"{stage} reads {file}: {dotted}"
                )
    assert tried > 30 and read > 15


def _copy_config(folder):
    for path in (ROOT / "config").rglob("*.yaml"):
        target = folder / "config" / path.relative_to(ROOT / "config")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return folder / "config"


# The parts.


def test_a_dry_run_is_read_as_jobs():
    report = (
        "localrule fetch:\n    input: a.csv, scripts/fetch.py\n    output: data/sources/toy/manifest.json\n"
        "    log: x\n\nrule table:\n    output: results/table2.csv, results/table2.md\n    jobid: 0\n"
    )
    assert parse_dry_run(report) == [
        PlannedJob("fetch", ("a.csv", "scripts/fetch.py"), ("data/sources/toy/manifest.json",)),
        PlannedJob("table", (), ("results/table2.csv", "results/table2.md")),
    ]


def test_a_target_that_cannot_be_planned_raises_one_line():
    with pytest.raises(TlmError, match=r"cannot plan results/nonsense\.xyz"):
        dry_run(["results/nonsense.xyz"], "smoke", ROOT)


def test_an_undeclared_rule_raises():
    with pytest.raises(TlmError, match=r"rule strange has no stage .* declare it in tlm/dag\.py"):
        place(PlannedJob("strange", (), ("models/x.bin",)))


def example(rule):
    """A job of a rule, with made-up wildcards."""
    made_up = {"body": "corpora/c", "scatteritem": "1-of-2", "seed": "1", "k": "20", "one": "/c"}
    output = RULES[rule].output
    return PlannedJob(rule, (), (output.format(**{name: made_up.get(name, "x") for name in output.names}),))


def test_every_rule_of_the_workflow_has_a_stage_and_an_output():
    stages = {kind.name for kind in KINDS}
    for name in workflow_rules():
        job = example(name)
        stage, item = place(job)
        if name == "server":
            assert not stage and not group([job])
            continue
        assert stage in stages and (item is not None) == (KIND[stage].item is not None), name
        (made,) = group([job])
        assert made.outs == (out_of(job.outputs[0]),) and made.targets == job.outputs
        assert stage in _READ


def test_audits_of_selections_have_a_stage_after_the_selections():
    names = [kind.name for kind in KINDS]
    job = PlannedJob("audit", (), ("data/audits/t/selections/c/t/bm25-k2/manifest.json",))
    assert place(job) == ("audit-selections", "t") and place(example("audit")) == ("audit", "x")
    assert names.index("audit") < names.index("select") < names.index("audit-selections")


def test_stages_of_audits_models_and_reports_have_no_cycle():
    stages = group(dry_run([*TARGETS, *FURTHER_TARGETS], "smoke", ROOT))
    names = [f"{stage.kind.name}-{stage.item}" for stage in stages]
    reads = {
        name: {
            other
            for other, made in zip(names, stages, strict=True)
            if other != name and any(Path(dep).is_relative_to(out) for dep in stage.deps for out in made.outs)
        }
        for name, stage in zip(names, stages, strict=True)
    }
    order = list(TopologicalSorter(reads).static_order())
    assert {"audit-toy", "audit-selections-toy", "model-toy", "figures-None"} <= set(order)


def test_a_model_and_its_onnx_file_are_one_output():
    (stage,) = group([example("export"), example("export_onnx")])
    assert stage.outs == ("models/x",)
    assert stage.targets == ("models/x/manifest.json", "models/x/onnx/model.onnx")


def test_stages_with_overlapping_outputs_raise():
    (inner,) = group([example("stage1")])
    outer = replace(inner, kind=KIND["evaluate"], outs=("runs/x/x/x/seed1",))
    with pytest.raises(TlmError, match=r"stage1 \(stage train\) lies in runs/x/x/x/seed1 \(stage evaluate\)"):
        _check_disjoint([inner, outer])


def form(task, source=None, k=1):
    deps = [f"data/sources/{source}/manifest.json"] if source else []
    return {"cmd": f"snakemake data/tasks/{task}/top{k}", "deps": deps, "params": [f"tasks.{task}"]}


def test_stages_of_one_form_are_one_entry():
    entry = entries_of(KIND["task"], [("a", form("a")), ("b", form("b"))])["task"]
    assert entry["matrix"] == {"task": ["a", "b"]}
    assert entry["cmd"] == "snakemake data/tasks/${item.task}/top1" and entry["params"] == [
        "tasks.${item.task}"
    ]


def test_names_that_depend_on_the_item_become_its_fields():
    entry = entries_of(KIND["task"], [("a", form("a", "x")), ("b", form("b", "y"))])["task"]
    assert entry["foreach"] == {"a": {"source": "x"}, "b": {"source": "y"}}
    assert entry["do"]["deps"] == ["data/sources/${item.source}/manifest.json"]
    assert entry["do"]["cmd"] == "snakemake data/tasks/${key}/top1"


def test_stages_of_another_form_have_an_entry_each():
    entries = entries_of(KIND["task"], [("a", form("a")), ("b", form("b")), ("c", form("c", "x"))])
    assert list(entries) == ["task", "task-c"] and entries["task-c"]["params"] == ["tasks.c"]


def test_a_file_of_another_configuration_raises_one_line(tmp_path):
    project = read_project("smoke", ROOT / "config")
    text = build(project, ["data/retrieval/toy/toy/top20/manifest.json"], ROOT)
    path = tmp_path / "dvc.yaml"
    (tmp_path / "config").symlink_to(ROOT / "config")
    for name in ("Snakefile", "workflow", "scripts", "tlm", "profiles", "examples", "environment.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    path.write_text(text)
    check(path)
    path.write_text(text.replace("BM25 index", "other index"))
    with pytest.raises(
        TlmError, match=r"desc: other index of the corpus\); run `python scripts/dvc_yaml.py`"
    ):
        check(path)


def test_k_and_the_vocabulary_are_keys_of_the_scales_file(committed):
    text = (ROOT / "dvc.yaml").read_text()
    assert "bm25-k${k}" in text and "demo-wordpiece-${tokenizer.vocabulary}" in text
    assert "bm25-k10" not in text and committed["vars"][0] == "config/scales/demo.yaml"


def test_a_value_of_params_yaml_overrides_every_run(tmp_path):
    config = load_yaml(ROOT / "config/config.yaml")
    folder = _copy_config(tmp_path)
    (tmp_path / "params.yaml").write_text("rho1: null\nrho2: 100\n")
    assert load_project(config, folder).settings.overrides == {"stage1": {"rho2": 100}}
    with pytest.raises(TlmError, match=r"params.yaml: rho2 is set in `overrides` too"):
        load_project({**config, "overrides": {"stage1": {"rho2": 3}}}, folder)
    (tmp_path / "params.yaml").write_text("rho3: 1\n")
    with pytest.raises(TlmError, match=r"params.yaml: rho3: unknown key"):
        load_project(config, folder)


def test_the_committed_params_are_all_null():
    assert load_yaml(ROOT / "params.yaml") == {"rho1": None, "rho2": None}


def test_records_are_where_snakemake_keeps_them(tmp_path, monkeypatch):
    from snakemake.persistence.file import FilePersistence

    monkeypatch.chdir(tmp_path)
    (tmp_path / RECORDS).mkdir(parents=True)
    kept = FilePersistence.__new__(FilePersistence)
    kept._max_len = None
    for name in ("runs/a/manifest.json", f"data/{'long/' * 60}manifest.json"):
        assert Path(kept._record_path(RECORDS, name)) == record(name)


def test_artifacts_without_a_record_print_a_warning_or_raise_in_a_stage_of_dvc(tmp_path, monkeypatch, capsys):
    for name in ("data/tasks/a", "runs/s/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    assert unknown(tmp_path) == ["data/tasks/a/manifest.json", "runs/s/b/manifest.json"]
    monkeypatch.delenv("DVC_STAGE", raising=False)
    require(tmp_path)
    assert "data/tasks/a/manifest.json and 1 more" in capsys.readouterr().err
    monkeypatch.setenv("DVC_STAGE", "train")
    with pytest.raises(TlmError, match="run `make restore`"):
        require(tmp_path)
    for name in unknown(tmp_path):
        path = record(name, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    require(tmp_path)


def test_a_workspace_of_an_experiment_gets_the_records_of_its_project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train")
    workspace = tmp_path / ".dvc/tmp/exps/tmpabc"
    (workspace / "data/tasks/a").mkdir(parents=True)
    (workspace / "data/tasks/a/manifest.json").write_text("{}")
    path = record("data/tasks/a/manifest.json", tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    require(workspace)
    assert record("data/tasks/a/manifest.json", workspace).is_file()
