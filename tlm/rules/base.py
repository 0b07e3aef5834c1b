"""What all rule functions share: specifications as JSON, manifests, command-line options and parent folders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from tlm.artifacts import canonical_json
from tlm.config.base import Strict
from tlm.errors import TlmError
from tlm.layout import manifest
from tlm.plan.project import Project
from tlm.snakemake_adapter import runs_jobs


def as_json(spec: Strict) -> str:
    """A typed specification as the text that rules pass to their scripts, and that Snakemake compares."""
    return canonical_json(spec.model_dump(mode="json"))


Result = TypeVar("Result")


def exit_on_user_error(function: Callable[[Any, Any], Result]) -> Callable[[Any, Any], Result]:
    """Decorate an input function: a TlmError becomes one line and exit code 2, not Snakemake's traceback."""

    @wraps(function)
    def wrapper(self: Any, wildcards: Any) -> Result:
        try:
            return function(self, wildcards)
        except TlmError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapper


def manifests(folders: dict[str, str | None]) -> dict[str, str]:
    """The manifests of artifacts as named inputs; None stands for an artifact that the run does not have."""
    return {name: manifest(folder) for name, folder in folders.items() if folder}


def input_options(*names: str) -> Callable[[Any, Any], str]:
    """A parameter function: the folders of these inputs as command-line options. Absent inputs are left out."""

    def options(wildcards: Any, input: Any) -> str:
        found = []
        for name in names:
            files = input.get(name) or []
            folders = [str(Path(file).parent) for file in ([files] if isinstance(files, str) else files)]
            found += [f"--{name.replace('_', '-')}", *folders] if folders else []
        return " ".join(found)

    return options


# Snakemake shows input functions in its messages; a generated repr would print the whole project there.
@dataclass(frozen=True, repr=False)
class RuleFunctions:
    """The base of all input and parameter functions of rules: methods that take Snakemake's wildcards."""

    project: Project
    workflow: Any = None
    """Snakemake's own object, which knows whether jobs will run; None outside Snakemake."""

    def parent_folders(self, files: list[str]) -> list[str]:
        """The folders of a result's intermediate files, as inputs beside the files.

        Snakemake does not rebuild a deleted intermediate file while the final result exists. Deleting a file makes
        its folder newer than the result, which Snakemake does notice. A missing folder is created, and is newer too.
        Planning alone creates nothing: there, the nearest existing parent takes the place of a missing folder.
        """
        folders = {Path(file).parent for file in files}
        if runs_jobs(self.workflow):
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
        existing = {next(path for path in (folder, *folder.parents) if path.is_dir()) for folder in folders}
        return sorted(str(folder) for folder in existing - {Path()})

    def with_parent_folders(self, files: list[str], name: str = "made_from") -> dict[str, list[str]]:
        """Intermediate files, as the input `name`, and their folders as inputs."""
        return {name: files, "parent_folders": self.parent_folders(files)}
