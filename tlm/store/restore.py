"""Verifies the files that `dvc pull` or `dvc checkout` has brought, and records them for Snakemake.

Place in the flow: dvc.lock and the manifests of `tlm.artifacts` → here → Snakemake's records. First, the configuration
must be the one that dvc.lock was written with, or old artifacts would pass for new ones. Second, every file must have
the content that its manifest and dvc.lock state. Only then `snakemake --touch` updates the times and records
parameters, code and checksums.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.artifacts import MANIFEST, verify
from tlm.config.base import load_yaml
from tlm.errors import TlmError
from tlm.snakemake_adapter import dry_run, touch
from tlm.store.document import FILE
from tlm.store.stages import out_of

LOCK = "dvc.lock"
_ABSENT = ("deleted", "not in cache")
_WAY_OUT = "`git stash`, `make restore`, `git stash pop`"


@dataclass(frozen=True)
class RestoreSummary:
    """The outputs of a restored project."""

    verified: int
    absent: tuple[str, ...]


def restore(targets: Sequence[str] = (), folder: Path = Path()) -> RestoreSummary:
    """Verify the files that DVC has brought, then record them for Snakemake.

    `targets` are targets of Snakemake, by default those of dvc.yaml. Absent outputs stay absent. Raises TlmError naming
    a key that has changed since dvc.lock was written, every file that differs, or a missing target.
    """
    declared = load_yaml(folder / FILE)["vars"][1]["tlm"]
    wanted = list(targets) or list(declared["versioned"])
    locked = outs(folder)
    status = _dvc(["status", "--json"], folder)
    _same_configuration(status)
    if wrong := differing(locked, status, folder):
        raise TlmError(
            f"{', '.join(wrong)}: not the stored content. Restored no file; `dvc checkout --force <folder>`"
            " brings an artifact or a picture back, `git checkout <file>` a table or a cell"
        )
    if missing := [target for target in wanted if not (folder / target).exists()]:
        raise TlmError(f"{missing[0]}: missing; `dvc pull` brings it, or `snakemake {missing[0]}` builds it")
    touch(wanted, declared["scale"], folder)
    absent = tuple(out for out in locked if not (folder / out).exists())
    return RestoreSummary(len(locked) - len(absent), absent)


def behind(target: str, folder: Path = Path()) -> list[str]:
    """The stored outputs that `target` is made from, to pull for it. Raises TlmError for an unknown target."""
    scale = load_yaml(folder / FILE)["vars"][1]["tlm"]["scale"]
    made = {out_of(output) for job in dry_run([target], scale, folder) for output in job.outputs}
    return [out for out in outs(folder) if out in made and not out.startswith("results/")]


def outs(folder: Path = Path()) -> list[str]:
    """Every output in dvc.lock. Raises TlmError if there is no dvc.lock."""
    if not (folder / LOCK).is_file():
        raise TlmError(f"{folder / LOCK}: no stored results yet; `dvc repro` builds and stores them")
    stages: dict[str, Any] = load_yaml(folder / LOCK).get("stages", {})
    return [out["path"] for stage in stages.values() for out in stage.get("outs", [])]


def _dvc(arguments: Sequence[str], folder: Path) -> Any:
    """The JSON that a dvc command prints. Raises TlmError with its reason."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise TlmError(f"dvc {arguments[0]}: {(lines or ['failed'])[0].removeprefix('ERROR: ')}")
    return json.loads(result.stdout or "{}")


def _same_configuration(status: dict[str, Any]) -> None:
    """Raise TlmError if a stage's command, parameters, code or inputs differ from dvc.lock; absent files pass."""
    for stage, changes in status.items():
        for change in changes:
            if isinstance(change, str):
                raise TlmError(f"{FILE}: stage {stage}: {change} since {LOCK} was written; {_WAY_OUT}")
            for path, how in change.get("changed deps", {}).items():
                difference = (
                    ", ".join(f"{key} {kind}" for key, kind in how.items()) if isinstance(how, dict) else how
                )
                if difference not in _ABSENT and not (
                    Path(path).name == MANIFEST or path.startswith("results/")
                ):
                    raise TlmError(
                        f"{path} ({difference}) has changed since {LOCK} was written (stage {stage}): old artifacts"
                        f" would pass for new ones; {_WAY_OUT}"
                    )


def differing(locked: Sequence[str], status: dict[str, Any], folder: Path = Path()) -> list[str]:
    """Every file that differs from its manifest or from dvc.lock. Unlike DVC, this does not trust equal times."""
    found = [name for out in locked for name in _against_manifest(folder / out, folder)]
    stored = _dvc(["data", "status", "--granular", "--json"], folder).get("uncommitted", {})
    found += [path for path in stored.get("modified", []) if not path.endswith("/")]
    lost = [path for path in stored.get("deleted", []) if not path.endswith("/")]
    here = [Path(out) for out in locked if (folder / out).is_dir()]
    found += [path for path in lost if any(Path(path).is_relative_to(out) for out in here)]
    for changes in status.values():
        for change in (each for each in changes if isinstance(each, dict)):
            for path, how in change.get("changed outs", {}).items():
                # DVC has one digest for a folder that is in git; git names the file that differs.
                if how == "modified" and path.startswith("results/"):
                    found += _git_changes(path, folder) or [path]
    return list(dict.fromkeys(found))


def _against_manifest(path: Path, folder: Path) -> list[str]:
    """The first file of an artifact that differs from its manifest."""
    if not (path / MANIFEST).is_file():
        return []
    try:
        verify(path)
    except TlmError as error:
        return [str(error).split(": ")[0].removeprefix(f"{folder}/")]
    return []


def _git_changes(path: str, folder: Path) -> list[str]:
    command = ["git", "diff", "--name-only", "--relative", "HEAD", "--", path]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.split()
