"""Tables A.1 and B.1: the hyper-parameters of every scale and task, from the configuration, beside the paper's.

Place in the flow: config/scales/ and config/reported.yaml → cells, one a scale (a job each for every number would take
longer than all of them) → tables. Nothing is trained for them: a cell depends on the configuration alone, and a table
rebuilds exactly the cells whose settings changed. The golden columns of Table 2 (FLOPs, data) follow from Table B.1, as
the means at the end of each of the paper's scales.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tlm.config.base import Strict, parse
from tlm.config.training import Optimizer, paper_tokens
from tlm.errors import TlmError
from tlm.evaluation.flops import paper_flops
from tlm.plan.run_types import EncoderRun
from tlm.results.rendering import Rendered, csv_text, markdown_rows
from tlm.results.reported import Reported

STAGE1, STAGE2 = "tableB.1", "tableA.1"
Name = Literal["tableA.1", "tableB.1"]
TABLES: tuple[Name, ...] = ("tableA.1", "tableB.1")
Value = float | int | str | None

HEADINGS = {
    "k": "Top-K",
    "data": "Training data (bytes)",
    "steps": "Training steps",
    "training_steps": "Training steps",
    "budget_tokens": "Token budget",
    "batch_size": "Batch size",
    "internal_length": "Sequence length, internal",
    "external_length": "Sequence length, external",
    "training_tokens": "Training tokens",
    "flops": "FLOPs",
    "learning_rate": "Learning rate",
    "weight_decay": "Weight decay",
    "warmup_steps": "Warm-up steps",
    "decay_fraction": "Decay (share of steps)",
    "max_grad_norm": "Max. grad. norm",
}
COLUMNS = {
    STAGE1: (
        "k",
        "rho1",
        "rho2",
        "corpus",
        "steps",
        "budget_tokens",
        "batch_size",
        "internal_length",
        "external_length",
        "warmup_steps",
        "decay_fraction",
        "training_tokens",
        "data",
        "flops",
    ),
    STAGE2: (
        "epochs",
        "training_steps",
        "patience",
        "learning_rate",
        "batch_size",
        "max_grad_norm",
        "weight_decay",
        "warmup_steps",
        "decay_fraction",
        "length",
    ),
}
TITLES = {
    STAGE1: "Hyper-parameters of stage 1, per scale and task",
    STAGE2: "Hyper-parameters of finetuning (stage 2), per scale and task",
}
NOTES = {
    STAGE1: (
        "Training tokens: steps x batch size x sequence length (Section 4.1); where internal batches have a length of "
        "their own, one batch in every rho1 + 1 has it. Scales that count tokens instead of steps show their budget.",
        "FLOPs: 6 x training tokens x parameters, with the paper's count of parameters, stage 1 only (note 1 of Table "
        "2). Data: bytes of the selected passages, which only a run can tell; reported for the paper's scales.",
    ),
    STAGE2: ("Reported is the paper's Table A.1; its column of Gururangan et al. (2020) stands last.",),
}


class Setting(Strict):
    """The hyper-parameters of one scale and task, and the paper's for the same."""

    table: Name
    scale: str
    task: str
    configured: dict[str, Value]
    reported: dict[str, Value] | None
    """None where the paper has no such column."""

    @property
    def differences(self) -> list[str]:
        """What the paper states otherwise."""
        return [
            key
            for key, value in (self.reported or {}).items()
            if not _same(self.configured.get(key, value), value)
        ]


class ScaleSettings(Strict):
    """All that a cell is made of: the settings of a scale's tasks, in order."""

    settings: tuple[Setting, ...]

    def as_cell(self) -> dict[str, Any]:
        """What stands in the cell's file: task → setting, with what differs."""
        return {
            each.task: {**each.model_dump(mode="json"), "differences": each.differences}
            for each in self.settings
        }


def read_settings(path: Path) -> list[Setting]:
    """The settings in a cell's file. Raises TlmError if it is none."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
        parts = [{key: value for key, value in one.items() if key != "differences"} for one in cell.values()]
    except (OSError, ValueError, AttributeError) as error:
        raise TlmError(
            f"{path}: not a cell of hyper-parameters ({error}); delete it and build again"
        ) from None
    return [parse(Setting, part, str(path)) for part in parts]


def _same(ours: Value, theirs: Value) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str):
        name = theirs.lower().replace("_", "-")  # c-bert is C_BERT; c-bert-512 the same in longer passages
        return ours == name or ours.startswith(f"{name}-")
    return ours == theirs


def setting(table: Name, run: EncoderRun, reported: Reported) -> Setting:
    """The setting of a resolved TLM run."""
    scale, task = run.scale, run.task
    if table == STAGE2:
        ours = reported.tables[STAGE2].rows["ours"].cells
        paper: dict[str, Value] | None = {key: value.mean for key, value in ours.items()}
        return Setting(table=table, scale=scale, task=task, configured=_stage2(run), reported=paper)
    paper = None
    if (column := reported.hyperparameters.get(scale, {}).get(task)) is not None:
        paper = {
            "k": column.k,
            "rho1": column.rho1,
            "rho2": column.rho2,
            "corpus": column.corpus,
            "steps": column.steps,
            "batch_size": column.batch_size,
            "internal_length": column.internal_length or column.length,
            "external_length": column.length,
            "training_tokens": paper_tokens(
                steps=column.steps,
                batch_size=column.batch_size,
                length=column.length,
                internal_length=column.internal_length,
                rho1=column.rho1,
            ),
            "data": column.data,
        }
    return Setting(table=table, scale=scale, task=task, configured=_stage1(run), reported=paper)


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


def assemble(table: Name, settings: Sequence[Setting], reported: Reported) -> Rendered:
    """The table of `settings`, in their order: ours and, beneath, the paper's wherever it has them."""
    lines: list[dict[str, Value]] = []
    for scale in dict.fromkeys(each.scale for each in settings):
        mine = [each for each in settings if each.scale == scale]
        for each in mine:
            lines.append(_line(scale, each.task, "configured", each.configured, each.differences))
            if each.reported is not None:
                lines.append(_line(scale, each.task, "reported", each.reported))
        if table == STAGE1:
            lines += _means(scale, mine, reported)
    if table == STAGE2:
        theirs = reported.tables[STAGE2].rows["reported"]
        values = {key: value.text or value.mean for key, value in theirs.cells.items()}
        lines.append(_line("", theirs.label, "reported", values))
    columns = ["scale", "task", "source", *COLUMNS[table], "differs"]
    return Rendered(csv=_csv(columns, lines), markdown=_markdown(table, columns, lines))


def _line(
    scale: str, task: str, source: str, values: Mapping[str, Value], differs: Sequence[str] = ()
) -> dict[str, Value]:
    return {"scale": scale, "task": task, "source": source, **values, "differs": " ".join(differs)}


def _means(scale: str, settings: Sequence[Setting], reported: Reported) -> list[dict[str, Value]]:
    """Tokens, data and FLOPs over the tasks that the paper has at this scale: what Table 2 prints."""
    known = [each for each in settings if each.reported is not None]
    row = reported.tables["table2"].rows.get(f"tlm-{scale}")
    if not known or row is None:
        return []
    parameters, data = (
        row.cells["parameters"].mean,
        [each.reported["data"] for each in known if each.reported],
    )
    assert parameters is not None
    tokens = sum(float(each.configured["training_tokens"] or 0) for each in known) / len(known)
    ours = {"training_tokens": tokens, "flops": paper_flops(tokens, parameters)}
    theirs = {"flops": row.cells["flops"].mean, "data": sum(float(each or 0) for each in data) / len(data)}
    return [_line(scale, "mean", "configured", ours), _line(scale, "mean", "reported", theirs)]


def _csv(columns: Sequence[str], lines: Sequence[Mapping[str, Value]]) -> str:
    return csv_text(
        columns,
        ([None if line.get(key) is None else _plain(key, line[key]) for key in columns] for line in lines),
    )


def _plain(key: str, value: Value) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4e}" if key == "flops" else f"{value:.10g}"


def _markdown(table: Name, columns: Sequence[str], lines: Sequence[Mapping[str, Value]]) -> str:
    """A table a scale; what differs from the paper in bold."""
    shown = [column for column in columns if column not in ("scale", "differs")]
    parts = [f"# {TITLES[table]}\n"]
    for scale in dict.fromkeys(line["scale"] for line in lines):
        mine = [line for line in lines if line["scale"] == scale]
        present = [key for key in shown if any(line.get(key) is not None for line in mine)]
        rows = [[HEADINGS.get(key, key) for key in present], ["---"] * len(present)]
        rows += [[_pretty(key, line) for key in present] for line in mine]
        parts.append(f"\n## {scale or 'Others'}\n")
        parts.append(markdown_rows(rows))
    notes = ["Bold: differs from what the paper reports.", *NOTES[table]]
    return "\n".join([*parts, "", *(f"- {note}" for note in notes)]) + "\n"


def _pretty(key: str, line: Mapping[str, Value]) -> str:
    value = line.get(key)
    if value is None:
        return ""
    large = key in ("flops", "training_tokens", "data")
    text = (
        f"{value:.2e}".replace("e+", "E") if large else value if isinstance(value, str) else f"{value:.10g}"
    )
    return f"**{text}**" if key in str(line["differs"]).split() else text
