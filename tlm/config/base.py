"""The strict, frozen model that every part of the configuration builds on: unknown keys are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Typed, immutable, and closed: a misspelt key is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())
