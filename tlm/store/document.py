"""Writes dvc.yaml: stages with their commands, parameters, inputs and outputs.

Place in the flow: `tlm.store.stages` and `tlm.store.parameters` → here → `scripts/dvc_yaml.py`. Where a path contains K
or the size of the vocabulary, dvc.yaml has the key of the scale's file (`${k}`), which DVC fills in: a changed K needs
no new dvc.yaml. Other numbers in paths are computed. If one of them changes, `check` fails before a stage runs, and
the file must be written again.
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
from tlm.config.retrieval import SELECTORS
from tlm.errors import TlmError
from tlm.layout import CELLS
from tlm.plan import tables
from tlm.plan.project import Project, load_project
from tlm.snakemake_adapter import dry_run
from tlm.store.families import StageEntry, entries_of
from tlm.store.parameters import keys, scale_file
from tlm.store.stages import KINDS, DvcStage, StageKind, group

FILE = "dvc.yaml"
WRITE = "python scripts/dvc_yaml.py"
_GUARDED = ("select", "train")  # a changed path appears in one of these stages first

_HEADER = f"""\
# The pipeline for DVC (docs/dvc.md): Snakemake's jobs, grouped into stages.
# Written by {WRITE!r} from the workflow; do not edit. It is for one scale and for the targets
# that config/config.yaml names under `versioned`.
"""


def build(project: Project, targets: Sequence[str], folder: Path = Path()) -> str:
    """The text of dvc.yaml for the project's scale. Raises TlmError for targets that cannot be planned."""
    stages = group(dry_run(targets, project.settings.scale, folder))
    members: dict[StageKind, list[tuple[str, StageEntry]]] = {kind: [] for kind in KINDS}
    for stage in stages:
        members[stage.kind].append((stage.item or "", _entry(project, stage)))
    entries: StageEntry = {}
    for kind, of_kind in members.items():
        entries.update(entries_of(kind, of_kind))
    document = {
        "vars": [scale_file(project), {"tlm": {"scale": project.settings.scale, "versioned": list(targets)}}],
        "stages": entries,
        "metrics": [out for stage in stages for out in stage.outs if CELLS.match(out)],
        "plots": [plot for stage in stages for plot in _plots(project, stage)],
    }
    text = yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)
    return _HEADER + re.sub(r"^(?=  \S|metrics:|plots:|stages:)", "\n", text, flags=re.M)


def check(path: Path = Path(FILE)) -> None:
    """Raise TlmError naming the first line of `path` that differs from the configuration and the workflow."""
    written = load_yaml(path)
    try:
        scale, targets = written["vars"][1]["tlm"]["scale"], written["vars"][1]["tlm"]["versioned"]
    except (KeyError, IndexError, TypeError):
        raise TlmError(f"{path}: not a file of `{WRITE}`; run that command") from None
    text = build(read_project(scale, path.parent / "config"), targets, path.parent)
    before = path.read_text(encoding="utf-8").splitlines()
    for line in difflib.ndiff(before, text.splitlines()):
        if line.startswith("+ ") and line[2:].strip():
            raise TlmError(
                f"{path} differs from config/ and the workflow (first missing line: {line[2:].strip()[:90]}); "
                f"run `{WRITE}`, then the same command"
            )
        if line.startswith("- ") and line[2:].strip():
            raise TlmError(
                f"{path} differs from config/ and the workflow (first surplus line: {line[2:].strip()[:90]}); "
                f"run `{WRITE}`, then the same command"
            )


def read_project(scale: str | None, folder: Path = Path("config")) -> Project:
    """The project of config.yaml, at another scale if one is given."""
    settings = dict(load_yaml(folder / "config.yaml"))
    return load_project({**settings, **({"scale": scale} if scale else {})}, folder)


def _entry(project: Project, stage: DvcStage) -> StageEntry:
    """One stage, with keys of the scale in place of numbers in paths."""

    def path(text: str) -> str:
        return _with_keys(project, text)

    build_it = f"snakemake {' '.join(map(path, stage.targets))} --cores all --config scale=${{tlm.scale}}"
    guarded = stage.kind.name in _GUARDED
    entry: StageEntry = {
        "desc": stage.kind.description,
        "cmd": [f"{WRITE} --check", build_it] if guarded else build_it,
        "params": _parameters(keys(project, stage)),
        "deps": list(map(path, stage.deps)),
        "outs": [{path(out): _kept(out)} for out in stage.outs],
    }
    return {key: value for key, value in entry.items() if value}


def _parameters(found: Mapping[str, list[str]]) -> list[Any]:
    """Keys of params.yaml by name, other keys below their file."""
    entries: list[Any] = list(found.get(PARAMS, []))
    return entries + [{file: names} for file, names in found.items() if file != PARAMS]


def _kept(out: str) -> dict[str, bool]:
    """How DVC keeps an output: it never removes it before a run; cells, tables and numbers of figures are in git."""
    in_git = bool(CELLS.match(out)) or out.endswith((".csv", ".md"))
    return {"persist": True, **({"cache": False} if in_git else {})}


def _plots(project: Project, stage: DvcStage) -> list[Any]:
    """Pictures, and the average of each table as bars."""
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
    """`path` with `${k}` for K and `${tokenizer.vocabulary}` for the vocabulary, if the scale's file has these keys."""
    scale, settings = project.scale, project.settings
    if not scale.tokenizer.pretrained:
        name = f"{scale.corpus}-{scale.tokenizer.kind}-"
        path = path.replace(f"/{name}{scale.tokenizer.vocabulary}/", f"/{name}${{tokenizer.vocabulary}}/")
        path = re.sub(
            rf"/{re.escape(name)}{scale.tokenizer.vocabulary}$", f"/{name}${{tokenizer.vocabulary}}", path
        )
    if "k" in settings.overrides:
        return path
    selectors = "|".join(map(re.escape, SELECTORS))
    for task in scale.all_tasks:
        own = scale.per_task.get(task, {}).get("k")
        if own and "." in task:
            continue  # DVC would read the dot as a separator of keys
        key = f"per_task.{task}.k" if own else "k"
        path = re.sub(
            rf"/{re.escape(task)}/({selectors})-k{own or scale.k}(?=(?:-clean)?(?:/|$))",
            rf"/{task}/\1-k${{{key}}}",
            path,
        )
    return path
