"""Which variants the report of a task compares: TLM, task data alone, random passages and the linear models.

Place in the flow: `tlm.plan.project` → here → `tlm.rules.page` and `tlm.own`. A task of your own builds these variants;
without `compare: true` it trains TLM alone, and compares it with the methods that train no encoder.
"""

from __future__ import annotations

from tlm.config.task_report import LABELLED_ONLY, METHODS, Method, trained_rivals
from tlm.config.variants import VariantSpec
from tlm.errors import TlmError
from tlm.plan.project import Project

_BY_SELECTOR: dict[str, Method] = {
    "bm25": "tlm",
    "task-only": "task-only",
    "random": "random",
    "bm25-labelled": LABELLED_ONLY,
}


def compared_variants(project: Project) -> dict[Method, str]:
    """Method → the scale's first variant of this method. Raises TlmError for a method without a variant."""
    found: dict[Method, str] = {}
    for name, spec in project.variants.items():
        if method := _method(spec):
            found.setdefault(method, name)
    if missing := [method for method in METHODS if method not in found and method != LABELLED_ONLY]:
        raise TlmError(
            f"scale {project.settings.scale} has no variant of the kind {missing[0]!r}, which a report compares TLM "
            "with; add it to the sweep of K (`sweeps:` of the scale)"
        )
    own = project.own.get(project.settings.scale)
    left_out = trained_rivals(unlabelled=True) if own is not None and not own.compare else ()
    return {method: found[method] for method in METHODS if method in found and method not in left_out}


def linear_variants(project: Project) -> list[str]:
    """The first variant of each kind of linear model."""
    found: dict[str, str] = {}
    for name, spec in project.variants.items():
        if not spec.trains_encoder:
            found.setdefault(spec.method, name)
    return list(found.values())


def _method(spec: VariantSpec) -> Method | None:
    if spec.method in ("tfidf", "ngram-svm"):
        return spec.method
    return _BY_SELECTOR.get(spec.selector) if spec.method == "tlm" else None
