"""From a sweep or a grid search to its variants: one for each value of K, rho1 or rho2 (Tables 4 to 6), or each pair.

Place in the flow: `sweeps:` of config/experiments.yaml or of a scale → here → `tlm.plan.project`, which adds these
variants to the declared ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tlm.config.grid import GridSpec
from tlm.config.training import INFINITE
from tlm.config.variants import EXT_ONLY, TASK_ONLY, SweepSpec, Swept, SweptValue, VariantSpec


def swept(name: Swept, spec: SweepSpec, values: Sequence[SweptValue]) -> dict[str, VariantSpec]:
    """Variant name → variant, for each of `values`; the names are those of the paper's rows in reported.yaml.

    Raises ValueError for a word that this sweep does not know.
    """
    return dict(_point(name, spec, value) for value in values)


def _point(name: Swept, spec: SweepSpec, value: SweptValue) -> tuple[str, VariantSpec]:
    if isinstance(value, str) and (name, value) not in (("k", TASK_ONLY), ("rho1", EXT_ONLY)):
        raise ValueError(f"sweeps.{name}: {value!r} is no value of {name}")
    common: dict[str, Any] = {"stage1": spec.stage1, "per_task": spec.per_task}
    if value == TASK_ONLY:
        about: dict[str, Any] = {"stage1": {"rho1": 0}}
        return TASK_ONLY, VariantSpec(
            description="stage 1 on the task's data alone",
            label="Only task data",
            selector="task-only",
            pinned=about,
            **common,
        )
    if value == EXT_ONLY:
        about = {"stage1": {"rho1": INFINITE}}
        return EXT_ONLY, VariantSpec(
            description="stage 1 on external data alone", label="Ext only", pinned=about, **common
        )
    if name == "k":
        return f"k{value}", VariantSpec(
            description=f"top-{value} passages per query", label=f"Top-{value}", pinned={"k": value}, **common
        )
    about = {"stage1": {name: value}}
    label = f"{name} = {value}"
    return f"{name}-{value}", VariantSpec(description=label, label=label, pinned=about, **common)


def grid_variants(spec: GridSpec) -> dict[str, VariantSpec]:
    """Variant name → variant, for each pair of rho1 and rho2 of a grid search."""
    pairs = [(rho1, rho2) for rho1 in spec.rho1 for rho2 in spec.rho2]
    return {
        f"rho1-{rho1}-rho2-{rho2}": VariantSpec(
            description=f"rho1 = {rho1} and rho2 = {rho2}", pinned={"stage1": {"rho1": rho1, "rho2": rho2}}
        )
        for rho1, rho2 in pairs
    }
