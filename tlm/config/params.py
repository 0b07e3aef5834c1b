"""params.yaml: rho1 and rho2, the two numbers that are changed most often, for `dvc exp run -S rho2=100`.

Place in the flow: `tlm.plan.project` lays the values over `overrides` of config.yaml. The committed file sets neither
(`null`), so that the values of config/scales/ hold. K is not here: it names paths and is changed in the scale's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlm.config.base import Strict, load_yaml, parse

FILE = "params.yaml"
"""The file that DVC's `-S` changes by default."""


class Params(Strict):
    """A value, or `null` for the value of config/."""

    rho1: float | int | str | None = None
    rho2: float | int | str | None = None


def read_params(root: Path) -> dict[str, Any]:
    """The values that params.yaml in `root` sets; empty without the file. Raises TlmError for an unknown key."""
    path = root / FILE
    if not path.is_file():
        return {}
    return parse(Params, load_yaml(path) or {}, FILE).model_dump(exclude_none=True)
