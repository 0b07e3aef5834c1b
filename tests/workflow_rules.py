"""The rules of the Snakefile, as Snakemake reads them."""

from functools import cache
from pathlib import Path
from typing import Any

from conftest import ROOT

CORES = 7


@cache
def workflow_rules(root: Path = ROOT) -> dict[str, Any]:
    """Name → rule, planned for `CORES` cores; `all` has no output and is left out."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            ResourceSettings(cores=CORES), snakefile=root / "Snakefile", workdir=root
        )._workflow
        return {rule.name: rule for rule in workflow.rules if rule.name != "all"}
