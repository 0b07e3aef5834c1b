# Shared by every rule file: the typed configuration, and helpers that turn wildcards into runs.

import sys
from pathlib import Path

from tlm.artifacts import canonical_json
from tlm.config import runs
from tlm.config.data import local_files
from tlm.config.project import load_project
from tlm.config.selections import SHARED, Selection
from tlm.errors import TlmError

# A mistake in the configuration is told in one line, without Snakemake's traceback.
try:
    PROJECT = load_project(config)
    runs.check(PROJECT)
    CELLS = runs.cells(PROJECT)
except TlmError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


wildcard_constraints:
    source=r"[\w.-]+",
    task=r"[\w.-]+",
    corpus=r"[\w.-]+",
    tokenizer=r"[\w.-]+",
    selection=r"[\w.-]+",
    scale=PROJECT.settings.scale,
    variant=r"[\w.-]+",
    seed=r"\d+",
    k=r"\d+",
    table=r"[\w.-]+",
    row=r"[\w.-]+",
    column=r"[\w.-]+",


def as_json(spec):
    """A typed specification as the text that rules pass to their scripts, and that Snakemake compares."""
    return canonical_json(spec.model_dump(mode="json"))


def run_of(wildcards):
    """The run that `scale / task / variant / seed` names."""
    if wildcards.task == SHARED:
        return runs.resolve_pretraining(PROJECT, wildcards.variant)
    return runs.resolve(
        PROJECT, wildcards.task, wildcards.variant, int(wildcards.seed)
    )


def code(*names):
    """The modules that a rule runs, as inputs: a change of code rebuilds what it touches, and only that."""
    files = []
    for name in names:
        path = Path("tlm") / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [str(path) for path in files]
