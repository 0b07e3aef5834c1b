"""The forms that answers to rules have: specifications as JSON, modules, manifests, flags and watched folders.

Place in the flow: below the questions of this package.
"""

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


def as_json(spec: Strict) -> str:
    """A typed specification as the text that rules pass to their scripts, and that Snakemake compares."""
    return canonical_json(spec.model_dump(mode="json"))


Answer = TypeVar("Answer")


def exit_on_user_error(question: Callable[[Any, Any], Answer]) -> Callable[[Any, Any], Answer]:
    """For what people ask by name: a mistake is told in one line, where Snakemake would show a traceback."""

    @wraps(question)
    def ask(self: Any, wildcards: Any) -> Answer:
        try:
            return question(self, wildcards)
        except TlmError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return ask


def manifests(folders: dict[str, str | None]) -> dict[str, str]:
    """Artifacts as named inputs, those that there are."""
    return {name: manifest(folder) for name, folder in folders.items() if folder}


def flags(folders: dict[str, str | None]) -> str:
    """The same as flags of a script."""
    return " ".join(f"--{name.replace('_', '-')} {folder}" for name, folder in folders.items() if folder)


def parent_folders(files: list[str]) -> list[str]:
    """The folders of a result's intermediate files, as inputs beside these.

    Snakemake does not miss an intermediate file behind a finished result. Its folder is newer than the result if it
    has lost a file; one that is gone is made anew here, and is newer, too.
    """
    folders = sorted({str(Path(file).parent) for file in files})
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return folders


def with_parent_folders(files: list[str]) -> dict[str, list[str]]:
    """Intermediate files and their folders as inputs."""
    return {"made_from": files, "parent_folders": parent_folders(files)}


@dataclass(
    frozen=True, repr=False
)  # Snakemake shows its methods in messages, where a project would fill pages
class RuleFunctions:
    """The project that is asked about. Every method of its subclasses is an input or parameter function of a rule."""

    project: Project
