"""Inputs, parameters and command-line options of the rules in workflow/rules/, as functions of their wildcards.

Place in the flow: `tlm.plan` → here → the rule files, which only declare. All computation is here, where it is typed
and tested. Every method takes Snakemake's wildcards.
"""

from tlm.rules.audit import AuditRules
from tlm.rules.base import as_json, input_options
from tlm.rules.claims import ClaimRules
from tlm.rules.data import DataRules
from tlm.rules.figures import FigureRules
from tlm.rules.grid import GridRules
from tlm.rules.page import PageRules
from tlm.rules.report import ReportRules
from tlm.rules.serving import ServingRules

__all__ = ["Workflow", "as_json", "input_options"]


class Workflow(
    AuditRules,
    DataRules,
    FigureRules,
    GridRules,
    PageRules,
    ServingRules,
    ClaimRules,
    ReportRules,
):
    """The functions of all rules, for one project."""
