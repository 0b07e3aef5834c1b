# Shared by all rule files: the typed configuration and the constraints of wildcards.

import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from tlm import dag, layout, snakemake_adapter
from tlm.artifacts import canonical_json
from tlm.plan import contamination, claims, tables, figures
from tlm.config.sources import local_files
from tlm.plan.project import load_project
from tlm.errors import TlmError
from tlm.config.hyperparameters import TABLES
from tlm.store.records import require
from tlm.rules import Workflow, as_json, input_options
from tlm.config.retrieval import SELECTOR_INPUTS
from tlm.rules.import_closure import import_closure
from tlm.process_end import BUILD, this_build

# A mistake in the configuration ends in one line, without Snakemake's traceback.
try:
    PROJECT = load_project(config)
    tables.check(PROJECT)
    figures.check_figures(PROJECT)
    claims.check_claims(PROJECT)
    contamination.contamination(PROJECT)
    # Snakemake would keep artifacts from elsewhere even if their parameters change. `snakemake --touch` records them.
    if workflow.is_main_process and not workflow.touch:
        require()
    if workflow.is_main_process:
        os.environ[BUILD] = this_build()
        snakemake_adapter.release_killed_lock(workflow)
except TlmError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

try:
    CORES = workflow.cores
except WorkflowError:
    CORES = 1  # no job runs, so Snakemake knows no number: --report, --summary

RULES = Workflow(PROJECT, workflow)
DESCRIBED = "|".join(re.escape(name) for name in TABLES)  # Tables A.1 and B.1
NOT_TABLES = f"{DESCRIBED}|{RULES.example_names}|{RULES.figure_names}|attention|claims|contamination|grid"
os.environ.update(RULES.environment)
if RULES.reporting:
    config["overview"] = RULES.overview  # captions can read the configuration only
snakemake_adapter.arm_one_timer()
snakemake_adapter.plan_in_read_only_folder(workflow)


onstart:
    try:
        snakemake_adapter.hold_build_lock()
    except TlmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


# `python` in the rules is the interpreter that runs Snakemake, so that no environment need be activated; in an
# environment that Snakemake makes (`--sdm conda`, containers) it is that environment's. Scripts import the package
# from this folder. The prefix replaces Snakemake's, so it repeats its strict mode: without it, a script that fails
# before `| tee` would not fail its job.
OWN_PYTHON = (
    ""
    if snakemake_adapter.makes_environments(workflow)
    else f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
)
shell.prefix(
    f"set -euo pipefail; {OWN_PYTHON}"
    'export PYTHONPATH="$PWD${{PYTHONPATH:+:$PYTHONPATH}}"; '
)


wildcard_constraints:
    **{
        **layout.WILDCARDS,
        "scale": RULES.scales,
        "described": DESCRIBED,
        "examples": RULES.example_names,
        "figure": RULES.figure_names,
        "table": rf"(?!(?:{NOT_TABLES})(?:/|\.csv|\.md|\.html)){layout.WILDCARDS['table']}",
    },
