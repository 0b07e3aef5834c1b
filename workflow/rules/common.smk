# Shared by every rule file: the typed configuration, and helpers that turn wildcards into runs.

import sys
from pathlib import Path

from tlm.config.project import load_project
from tlm.config.runs import SHARED, largest_k, manifest, resolve, tokenizer_name
from tlm.errors import TlmError

# A mistake in the configuration is told in one line, without Snakemake's traceback.
try:
    PROJECT = load_project(config)
    TOKENIZER = tokenizer_name(PROJECT)
    for _task in PROJECT.scale.tasks:
        for _variant in PROJECT.experiments.variants:
            resolve(PROJECT, _task, _variant, PROJECT.seeds[0])
except TlmError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


wildcard_constraints:
    source="[\\w.-]+",
    task="[\\w.-]+",
    corpus="[\\w.-]+",
    tokenizer="[\\w.-]+",
    selection="[\\w.-]+",
    scale=PROJECT.settings.scale,
    variant="[\\w.-]+",
    seed="\\d+",
    table="[\\w.-]+",
    row="[\\w.-]+",
    column="[\\w.-]+",


def run_of(wildcards):
    """The run that `scale / task / variant / seed` names."""
    if wildcards.task == SHARED:
        return resolve(
            PROJECT, PROJECT.scale.tasks[0], wildcards.variant, int(wildcards.seed)
        ).pretraining
    return resolve(PROJECT, wildcards.task, wildcards.variant, int(wildcards.seed))


def code(*names):
    """The modules that a rule runs, as inputs: a change of code rebuilds what it touches, and only that."""
    files = []
    for name in names:
        path = Path("tlm") / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [str(path) for path in files]
