"""The content of a cell of Tables A.1 and B.1: the hyper-parameters of a scale's tasks, beside the paper's.

Place in the flow: made by `tlm.plan.hyperparameters`, written by scripts/setting.py, read by
`tlm.results.hyperparameters`.
"""

from __future__ import annotations

from typing import Any, Literal

from tlm.config.base import Strict

Name = Literal["tableA.1", "tableB.1"]
STAGE1: Name = "tableB.1"
STAGE2: Name = "tableA.1"
TABLES: tuple[Name, ...] = (STAGE2, STAGE1)
TITLES = {
    STAGE1: "Hyper-parameters of stage 1, per scale and task",
    STAGE2: "Hyper-parameters of finetuning (stage 2), per scale and task",
}
Value = float | int | str | None


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
        """The hyper-parameters for which the paper reports another value."""
        return [
            key
            for key, value in (self.reported or {}).items()
            if not _same(self.configured.get(key, value), value)
        ]


class ScaleSettings(Strict):
    """The content of a cell: the settings of a scale's tasks, in order."""

    settings: tuple[Setting, ...]

    def as_cell(self) -> dict[str, Any]:
        """The content of the cell's file: task → setting, with the names of the values that differ."""
        return {
            each.task: {**each.model_dump(mode="json"), "differences": each.differences}
            for each in self.settings
        }


def _same(ours: Value, theirs: Value) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str):
        name = theirs.lower().replace("_", "-")  # c-bert is C_BERT; c-bert-512 the same in longer passages
        return ours == name or ours.startswith(f"{name}-")
    return ours == theirs
