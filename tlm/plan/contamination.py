"""Which audits a scale's results/contamination.csv shows: `contamination:` of config/experiments.yaml.

Place in the flow: `tlm.plan.runs` → here → `tlm.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tlm import layout
from tlm.config.experiments import AuditEntry, ContaminationTable
from tlm.errors import TlmError
from tlm.plan import runs
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun
from tlm.plan.selections import Selection, audit_folder


def contamination(project: Project) -> ContaminationTable:
    """For every task of the scale: its training split, and the corpora and selections of the declared variants.

    Variants that the scale does not run are left out. Raises TlmError for one that is unknown or reads no passages.
    """
    return ContaminationTable(
        audits=tuple(entry for task in project.scale.tasks for entry in _of_task(project, task))
    )


def audited_tasks(project: Project) -> list[str]:
    """The tasks whose dev and test texts a selection that several tasks share must not hold."""
    return list(dict.fromkeys(task for scale in project.built for task in project.at(scale).scale.tasks))


def _of_task(project: Project, task: str) -> Iterator[AuditEntry]:
    corpora: list[str] = []
    readers: dict[Selection, list[str]] = {}  # selection → the labels of its variants
    for name in project.experiments.contamination.variants:
        variant = project.variant(name)
        if not runs.possible(project, variant) or (
            variant.method == "plm" and name not in project.scale.baselines
        ):
            continue
        run = runs.resolve(project, task, name, project.seeds[0])
        selection = run.read_selection if isinstance(run, EncoderRun) else None
        if selection is None:
            raise TlmError(
                f"{project.folder / 'experiments.yaml'}: contamination: {name} reads no passages; leave it out"
            )
        if not selection.given:
            corpora.append(selection.corpus)
        readers.setdefault(selection, []).append(variant.label or name)
    own = audit_folder(task, layout.TASK.format(task=task))
    yield AuditEntry(task=task, folder=own, against="train", name="")
    for corpus in dict.fromkeys(corpora):
        folder = audit_folder(task, layout.CORPUS.format(corpus=corpus))
        yield AuditEntry(task=task, folder=folder, against="corpus", name=corpus)
    for selection, labels in readers.items():
        yield AuditEntry(
            task=task,
            folder=audit_folder(task, selection.folder),
            against="selection",
            name=f"{selection.corpus}/{selection.name}",
            read_by=tuple(labels),
        )
