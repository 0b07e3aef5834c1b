"""What the rules of workflow/rules/ ask: which inputs, parameters and flags belong to given wildcards.

Place in the flow: the Snakefile's side of `tlm.config`. Rule files stay declarations; what they need to compute is
here, where it is typed and tested. Every method takes Snakemake's wildcards.
"""

from tlm.rules.answers import as_json, code
from tlm.rules.audit import AuditQuestions
from tlm.rules.claims import ClaimQuestions
from tlm.rules.data import DataQuestions
from tlm.rules.figures import FigureQuestions
from tlm.rules.page import PageQuestions
from tlm.rules.report import ReportQuestions
from tlm.rules.serving import ServingQuestions

__all__ = ["Workflow", "as_json", "code"]


class Workflow(
    AuditQuestions,
    DataQuestions,
    FigureQuestions,
    PageQuestions,
    ServingQuestions,
    ClaimQuestions,
    ReportQuestions,
):
    """The rules' questions, answered for one project."""
