"""Artifacts that several runs and scales share: tokenizers, the length of stored tokens, one retrieval.

Place in the flow: `tlm.plan.runs` → here → `tlm.rules`.
"""

from __future__ import annotations

from functools import lru_cache

from tlm.config.base import merge
from tlm.config.training import TokenizerSpec
from tlm.errors import TlmError
from tlm.plan import runs
from tlm.plan.project import Project


def tokenizers(project: Project) -> dict[str, tuple[TokenizerSpec, str]]:
    """Name → its specification and the corpus that it is trained on, for the scales that are built."""
    found: dict[str, tuple[TokenizerSpec, str]] = {}
    for scale in project.runnable:
        view = project.at(scale)
        mine = (view.scale.tokenizer, view.scale.corpus)
        known = found.setdefault(runs.tokenizer_name(view), mine)
        # The corpus plays no part in one that others have trained.
        if known[0] != mine[0] or (mine[0].pretrained is None and known[1] != mine[1]):
            raise TlmError(
                f"scale {scale}: another scale has a tokenizer {runs.tokenizer_name(view)!r} of other settings; "
                "give this one another vocabulary"
            )
        if scale in project.own:
            continue
        for name, variant in view.variants.items():
            if variant.method != "checkpoint":
                continue
            for task in view.scale.all_tasks:
                if not runs.possible(view, variant, task):
                    continue
                spec = runs.resolve_encoder(view, task, name, view.seeds[0]).spec
                own = view.scale.tokenizer.model_copy(
                    update={"pretrained": spec.model.pretrained, "revision": spec.model.revision}
                )
                found.setdefault(runs.tokenizer_name(view, spec), (own, view.scale.corpus))
    return found


def stored_length(project: Project, task: str) -> int:
    """Tokens of a text that are stored: no run reads more, and 512 is the longest that the paper trains on.

    For an own task its own scale decides, so that it changes no other task.
    """
    if task in project.own:
        lengths = project.own_scales[task].model, project.settings.overrides.get("model") or {}
        return max(512, *(change.get("max_length", 0) for change in lengths))
    changes = [
        change
        for scale in project.scales.values()
        for change in (
            scale.model,
            *(merge(scale.model, e.get("model", {})) for e in scale.per_task.values()),
        )
    ]
    for variant in project.experiments.variants.values():
        changes += [each.get("model", {}) for each in (*variant.per_task.values(), variant.pinned)] + [
            variant.model
        ]
    changes.append(project.settings.overrides.get("model") or {})
    return max(512, *(change.get("max_length", 0) for change in changes))


@lru_cache(maxsize=1024)
def largest_k(project: Project, corpus: str, task: str) -> int:
    """The largest K that any variant of any scale retrieves from this corpus for this task.

    One retrieval serves all of them, smaller K are its prefixes: building one scale after another, or one table after
    another, needs no new retrieval.
    """
    if task in project.own:
        return int(runs.merged(project.at(task), task, project.at(task).reference)["k"])
    wanted = [project.scale.k]
    for scale in project.scales:
        view = project.at(scale)
        if task not in view.scale.all_tasks:
            continue
        for name, variant in view.variants.items():
            retrieves = variant.method == "tlm" and variant.selector not in ("task-only", runs.GIVEN)
            if retrieves and runs.possible(view, variant) and runs.corpus_of(view, variant, task) == corpus:
                wanted.append(runs.merged(view, task, name)["k"])
    return max(wanted)
