"""Tables A.1 and B.1: the hyper-parameters of every scale and task, from the configuration, beside the paper's.

Place in the flow: cells of `tlm.config.hyperparameters`, one per scale → tables. They need no training: a cell depends
on the configuration alone, and a table rebuilds exactly the cells whose settings changed. The golden columns of Table 2
(FLOPs, data) follow from Table B.1, as the means at the end of each of the paper's scales.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlm.config.base import parse
from tlm.config.hyperparameters import STAGE1, STAGE2, TITLES, Name, Setting, Value
from tlm.config.reported import Reported, reported_line
from tlm.errors import TlmError
from tlm.evaluation.flops import paper_flops
from tlm.results.rendering import Rendered, csv_text, markdown_rows

COLUMNS = {
    STAGE1: {
        "k": "Top-K",
        "rho1": "rho1",
        "rho2": "rho2",
        "corpus": "corpus",
        "steps": "Training steps",
        "budget_tokens": "Token budget",
        "batch_size": "Batch size",
        "internal_length": "Sequence length, internal",
        "external_length": "Sequence length, external",
        "warmup_steps": "Warm-up steps",
        "decay_fraction": "Decay (share of steps)",
        "training_tokens": "Training tokens",
        "data": "Training data (bytes)",
        "flops": "FLOPs",
    },
    STAGE2: {
        "epochs": "epochs",
        "training_steps": "Training steps",
        "patience": "patience",
        "learning_rate": "Learning rate",
        "batch_size": "Batch size",
        "max_grad_norm": "Max. grad. norm",
        "weight_decay": "Weight decay",
        "warmup_steps": "Warm-up steps",
        "decay_fraction": "Decay (share of steps)",
        "length": "length",
    },
}
"""Column of the CSV → heading in Markdown."""
NOTES = {
    STAGE1: (
        "Training tokens: steps x batch size x sequence length (Section 4.1); where internal batches have a length of "
        "their own, one batch in every rho1 + 1 has it. Scales that count tokens instead of steps show their budget.",
        "FLOPs: 6 x training tokens x parameters, with the paper's count of parameters, stage 1 only (note 1 of Table "
        "2). Data: bytes of the selected passages, known only after a run; reported for the paper's scales.",
    ),
    STAGE2: ("Reported is the paper's Table A.1; its column of Gururangan et al. (2020) stands last.",),
}


def read_settings(path: Path) -> list[Setting]:
    """The settings in a cell's file. Raises TlmError for any other file."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
        parts = [{key: value for key, value in one.items() if key != "differences"} for one in cell.values()]
    except (OSError, ValueError, AttributeError) as error:
        raise TlmError(
            f"{path}: not a cell of hyper-parameters ({error}); delete it and build again"
        ) from None
    return [parse(Setting, part, str(path)) for part in parts]


def assemble(table: Name, settings: Sequence[Setting], reported: Reported) -> Rendered:
    """The table of `settings`, in their order: ours and, below, the paper's if it has them."""
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
    """Mean tokens, data and FLOPs of the tasks that the paper has at this scale, as in Table 2."""
    known = [each for each in settings if each.reported is not None]
    if not known or scale not in reported.hyperparameter_means:
        return []
    row = reported_line(reported, reported.hyperparameter_means[scale]).cells
    data = [float(each.reported["data"] or 0) for each in known if each.reported]
    tokens = sum(float(each.configured["training_tokens"] or 0) for each in known) / len(known)
    ours = {"training_tokens": tokens, "flops": paper_flops(tokens, row["parameters"]["mean"])}
    theirs = {"flops": row["flops"]["mean"], "data": sum(data) / len(data)}
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
    """One table per scale; values that differ from the paper in bold."""
    shown = [column for column in columns if column not in ("scale", "differs")]
    parts = [f"# {TITLES[table]}\n"]
    for scale in dict.fromkeys(line["scale"] for line in lines):
        mine = [line for line in lines if line["scale"] == scale]
        present = [key for key in shown if any(line.get(key) is not None for line in mine)]
        rows = [[COLUMNS[table].get(key, key) for key in present], ["---"] * len(present)]
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
