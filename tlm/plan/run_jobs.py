"""The jobs that one run needs, and the artifact that each makes.

Place in the flow: `tlm.plan.runs` and `tlm.dag` → here → the figure of costs and `tlm new`, which estimate or show the
cost of these jobs.
"""

from __future__ import annotations

from tlm import layout
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun, Run
from tlm.plan.shared_artifacts import largest_k


def jobs(project: Project, run: Run) -> dict[str, str]:
    """Rule → the folder that it makes, for every job behind the run's evaluation."""
    task = layout.TASK.format(task=run.task)
    if not isinstance(run, EncoderRun):
        return {"task": task, "linear": run.evaluation}
    selection = run.read_selection
    retrieved = selection if selection and selection.owner != layout.SHARED else None
    needed = retrieved.made_from(largest_k(project, retrieved.corpus, run.task)) if retrieved else {}
    trained_on_corpus = selection or not run.spec.model.pretrained
    given = selection is not None and selection.given
    found = {
        "task": task,
        "corpus": layout.CORPUS.format(corpus=run.corpus) if trained_on_corpus and not given else None,
        "tokenizer": layout.TOKENIZER.format(tokenizer=run.tokenizer),
        "index": layout.INDEX.format(corpus=retrieved.corpus)
        if retrieved and "retrieval" in needed
        else None,
        "retrieve": needed.get("retrieval"),
        "selection": selection.folder if selection else None,
        "internal_tokens": run.internal_tokens,
        "external_tokens": (run.pretraining or run).external_tokens,
        "stage1": run.stage1,
        "stage2": run.stage2,
        "evaluate": run.evaluation,
    }
    return {rule: folder for rule, folder in found.items() if folder}
