"""params.yaml: the two numbers that one tries most, under the names of the paper, for `dvc exp run -S rho2=100`.

Place in the flow: read by `tlm.config.project`, which lays it over `overrides` of config.yaml. As committed it says
nothing (`null`): the values stand in config/scales/. K names paths and is changed where it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlm.config.base import Strict, load_yaml, parse
from tlm.errors import TlmError

FILE = "params.yaml"
"""DVC's name for the parameters that its `-S` sets where no file is named."""


class Trial(Strict):
    """A value, or `null` for what config/ says."""

    rho1: float | int | str | None = None
    rho2: float | int | str | None = None


def with_trial(overrides: dict[str, Any], root: Path) -> dict[str, Any]:
    """`overrides` and what params.yaml in `root` says, if there is one. Raises TlmError if both give a number."""
    path = root / FILE
    if not path.is_file():
        return overrides
    said = parse(Trial, load_yaml(path) or {}, FILE).model_dump(exclude_none=True)
    stage1 = overrides.get("stage1") or {}
    if double := sorted(set(said) & set(stage1)):
        raise TlmError(f"{FILE}: {double[0]} is given in `overrides` as well; leave one of them out")
    return {**overrides, "stage1": {**stage1, **said}} if said else overrides
