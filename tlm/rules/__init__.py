"""What the rules of workflow/rules/ ask: which inputs, parameters and flags belong to given wildcards.

Place in the flow: the Snakefile's side of `tlm.config`. Rule files stay declarations; what they need to compute is
here, where it is typed and tested. Every method takes Snakemake's wildcards.
"""

from tlm.rules.audit import AuditRules
from tlm.rules.base import as_json
from tlm.rules.claims import ClaimRules
from tlm.rules.data import DataRules
from tlm.rules.figures import FigureRules
from tlm.rules.page import PageRules
from tlm.rules.report import ReportRules
from tlm.rules.serving import ServingRules

__all__ = ["Workflow", "as_json"]


class Workflow(
    AuditRules,
    DataRules,
    FigureRules,
    PageRules,
    ServingRules,
    ClaimRules,
    ReportRules,
):
    """The rules' questions, answered for one project."""
