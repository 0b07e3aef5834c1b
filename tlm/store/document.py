"""dvc.yaml as text: stages with their commands, parameters, inputs and outputs.

Place in the flow: `tlm.store.stages` and `tlm.store.parameters` → here → `scripts/dvc_yaml.py`. Paths that hold K or
the size of the vocabulary name the key of the scale's file instead (`${k}`), which DVC fills in: a changed K needs no
new dvc.yaml. Other numbers in paths are computed; where one of them changes, `check` says that the file must be
written anew, before anything is run under an old name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tlm.config.base import load_yaml
from tlm.config.params import FILE as PARAMS
from tlm.errors import TlmError
from tlm.plan import tables
from tlm.plan.project import Project, load_project
from tlm.store import dag
from tlm.store.families import Form, entries_of
from tlm.store.parameters import keys, scale_file
from tlm.store.stages import KINDS, PICTURES, Kind, Stage, group

FILE = "dvc.yaml"
WRITE = "python scripts/dvc_yaml.py"
_GUARDED = ("select", "train")  # where every change of a computed path shows first

_HEADER = f"""\
# The pipeline as DVC sees it: the same targets as Snakemake's, in the stages that a person thinks in (docs/dvc.md).
# Written by {WRITE!r} from the workflow itself; do not edit. It stands for one scale and the targets
# that config/config.yaml names under `versioned`.
"""


def build(project: Project, targets: Sequence[str], folder: Path = Path()) -> str:
    """The text of dvc.yaml for the project's scale. Raises TlmError for targets that cannot be planned."""
    stages = group(dag.jobs(targets, project.settings.scale, folder))
    forms: dict[Kind, list[tuple[str, Form]]] = {kind: [] for kind in KINDS}
    for stage in stages:
        forms[stage.kind].append((stage.item or "", _form(project, stage)))
    entries: Form = {}
    for kind, members in forms.items():
        entries.update(entries_of(kind, members))
    document = {
        "vars": [scale_file(project), {"tlm": {"scale": project.settings.scale, "versioned": list(targets)}}],
        "stages": entries,
        "metrics": [out for stage in stages for out in stage.outs if out.startswith("results/cells/")],
        "plots": [plot for stage in stages for plot in _plots(project, stage)],
    }
    text = yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
    return _HEADER + re.sub(r"^(?=  \S|metrics:|plots:|stages:)", "\n", text, flags=re.M)


def check(path: Path = Path(FILE)) -> None:
    """Raise TlmError if `path` is not what the configuration comes to, naming the first line that differs."""
    said = load_yaml(path)
    try:
        scale, targets = said["vars"][1]["tlm"]["scale"], said["vars"][1]["tlm"]["versioned"]
    except (KeyError, IndexError, TypeError):
        raise TlmError(f"{path}: not written by {WRITE}; run it") from None
    text = build(read_project(scale, path.parent / "config"), targets, path.parent)
    before = path.read_text(encoding="utf-8").splitlines()
    for line in difflib.ndiff(before, text.splitlines()):
        if line.startswith("+ ") and line[2:].strip():
            raise TlmError(
                f"{path} is not what config/ and the workflow come to (first missing: {line[2:].strip()[:90]}); "
                f"run `{WRITE}`, then the same command"
            )
        if line.startswith("- ") and line[2:].strip():
            raise TlmError(
                f"{path} says more than config/ and the workflow come to (first: {line[2:].strip()[:90]}); "
                f"run `{WRITE}`, then the same command"
            )


def read_project(scale: str | None, folder: Path = Path("config")) -> Project:
    """The project of config.yaml, at another scale if one is given."""
    settings = dict(load_yaml(folder / "config.yaml"))
    return load_project({**settings, **({"scale": scale} if scale else {})}, folder)


def _form(project: Project, stage: Stage) -> Form:
    """One stage, its paths filled with the scale's keys."""

    def path(text: str) -> str:
        return _with_keys(project, text)

    build_it = f"snakemake {' '.join(map(path, stage.targets))} --cores all --config scale=${{tlm.scale}}"
    guarded = stage.kind.name in _GUARDED
    form: Form = {
        "desc": stage.kind.description,
        "cmd": [f"{WRITE} --check", build_it] if guarded else build_it,
        "params": _parameters(keys(project, stage)),
        "deps": list(map(path, stage.deps)),
        "outs": [{path(out): _kept(out)} for out in stage.outs],
    }
    return {key: value for key, value in form.items() if value}


def _parameters(found: Mapping[str, list[str]]) -> list[Any]:
    """Keys of DVC's own file by name, others below the file that has them."""
    entries: list[Any] = list(found.get(PARAMS, []))
    return entries + [{file: names} for file, names in found.items() if file != PARAMS]


def _kept(out: str) -> dict[str, bool]:
    """How DVC keeps an output: never removed before a run, and in git what is small and text."""
    in_git = out.startswith("results/") and not out.endswith(PICTURES)
    return {"persist": True, **({"cache": False} if in_git else {})}


def _plots(project: Project, stage: Stage) -> list[Any]:
    """Averages of tables as bars, and pictures side by side."""
    plots: list[Any] = []
    for out in stage.outs:
        name = PurePosixPath(out).stem
        if out.endswith(".png"):
            plots.append(out)
        elif out.endswith(".csv") and name in project.experiments.tables and _has_average(project, name):
            plots.append({out: {"template": "bar_horizontal", "x": "average", "y": "label"}})
    return plots


def _has_average(project: Project, table: str) -> bool:
    return any(column.id == "average" for column in tables.table(project, table).columns)


def _with_keys(project: Project, path: str) -> str:
    """`path` with `${k}` for K and `${tokenizer.vocabulary}` for the vocabulary where the scale's file has them."""
    scale, settings = project.scale, project.settings
    if not scale.tokenizer.pretrained:
        name = f"{scale.corpus}-{scale.tokenizer.kind}-"
        path = path.replace(f"/{name}{scale.tokenizer.vocabulary}/", f"/{name}${{tokenizer.vocabulary}}/")
        path = re.sub(
            rf"/{re.escape(name)}{scale.tokenizer.vocabulary}$", f"/{name}${{tokenizer.vocabulary}}", path
        )
    if "k" in settings.overrides:
        return path
    for task in scale.all_tasks:
        own = scale.per_task.get(task, {}).get("k")
        if own and "." in task:
            continue  # DVC would read its name as a path of keys
        key = f"per_task.{task}.k" if own else "k"
        path = re.sub(
            rf"/{re.escape(task)}/(bm25|random|dsir)-k{own or scale.k}(?=/|$)",
            rf"/{task}/\1-k${{{key}}}",
            path,
        )
    return path
