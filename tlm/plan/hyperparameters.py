"""The hyper-parameters of a scale's TLM runs and of the paper's, for Tables A.1 and B.1.

Place in the flow: config/scales/ and config/reported.yaml → here → `tlm.rules` for workflow/rules/described.smk.
"""

from __future__ import annotations

from tlm.config.hyperparameters import STAGE2, Name, ScaleSettings, Setting, Value
from tlm.config.reported import Reported
from tlm.config.training import Optimizer, paper_tokens
from tlm.errors import TlmError
from tlm.plan.project import Project
from tlm.plan.run_types import EncoderRun
from tlm.plan.runs import resolve_reference


def scale_settings(project: Project, table: Name, reported: Reported) -> ScaleSettings:
    """The cell of the project's scale: a setting for each of its tasks."""
    runs = [resolve_reference(project, task, project.seeds[0]) for task in project.scale.all_tasks]
    return ScaleSettings(settings=tuple(_setting(table, run, reported) for run in runs))


def _setting(table: Name, run: EncoderRun, reported: Reported) -> Setting:
    paper: dict[str, Value] | None = None
    if table == STAGE2:
        paper = {key: value.mean for key, value in reported.tables[STAGE2].rows["ours"].cells.items()}
    elif column := reported.hyperparameters.get(run.scale, {}).get(run.task):
        paper = {
            **column.model_dump(exclude={"length"}),
            "internal_length": column.internal_length or column.length,
            "external_length": column.length,
            "training_tokens": paper_tokens(**column.model_dump(exclude={"k", "rho2", "corpus", "data"})),
        }
    configured = _stage2(run) if table == STAGE2 else _stage1(run)
    return Setting(table=table, scale=run.scale, task=run.task, configured=configured, reported=paper)


def _stage1(run: EncoderRun) -> dict[str, Value]:
    stage = run.spec.stage1
    return {
        "k": run.passages.size,
        "rho1": stage.rho1,
        "rho2": stage.rho2,
        "corpus": run.corpus,
        "steps": stage.budget.steps,
        "budget_tokens": stage.budget.tokens,
        "batch_size": stage.batch_size * stage.accumulation,
        "internal_length": stage.internal_length,
        "external_length": stage.external_length,
        "training_tokens": stage.training_tokens,
        **_schedule(stage.optimizer),
    }


def _stage2(run: EncoderRun) -> dict[str, Value]:
    stage = run.spec.stage2
    if stage is None:
        raise TlmError(f"{run.folder} has no stage 2: Table A.1 has nothing to show")
    return {
        "epochs": stage.epochs,
        "training_steps": stage.steps,
        "learning_rate": stage.optimizer.learning_rate,
        "batch_size": stage.batch_size,
        "max_grad_norm": stage.optimizer.max_grad_norm,
        "weight_decay": stage.optimizer.weight_decay,
        **_schedule(stage.optimizer),
        "length": stage.length,
    }


def _schedule(optimizer: Optimizer) -> dict[str, Value]:
    """The learning rate's shape: linear warm-up, a constant part, linear decay to zero."""
    warmup = optimizer.warmup_steps
    return {
        "warmup_steps": f"{optimizer.warmup_fraction:.0%}" if warmup is None else warmup,
        "decay_fraction": f"{optimizer.decay_fraction:.0%}",
    }
