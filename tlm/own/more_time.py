"""How long a longer stage 1 of an own task becomes: its budget from the time that is granted, by the last build.

Place in the flow: finished artifacts and benchmark files → here → `tlm train --budget +2h`. Stage 1 continues from the
state before its decay, so the tokens before it are not read again; the decay is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlm import layout
from tlm.artifacts import MANIFEST, read_manifest
from tlm.config.training import INFINITE
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.plan.run_types import EncoderRun
from tlm.progress import duration
from tlm.results.benchmarks import read_benchmark

_AFTER = ("stage2", "evaluate", "export", "task_report")
_LONGER = 1.02  # times the present budget: less is no longer run
_EPOCHS = 4  # readings of a passage after which more of the same text teaches less


@dataclass(frozen=True)
class FinishedStage1:
    """Stage 1 of the last build. Tokens are real ones, without padding."""

    steps: int
    tokens: int
    seconds: float
    kept_steps: int
    """Steps before the decay, whose state is kept; 0 if none is."""
    kept_tokens: int
    kept_seconds: float
    warmup_steps: int | None
    """None if no state is kept."""

    @property
    def pace(self) -> float:
        """Seconds of a token."""
        return self.seconds / self.tokens


@dataclass(frozen=True)
class LongerStage1:
    """The new budget of stage 1."""

    tokens: int
    steps: int
    seconds: float
    """All seconds of stage 1, those before the kept state included."""
    added_seconds: float
    """Seconds that one training of stage 1 now takes."""


def finished_stage1(run: EncoderRun, root: Path = Path()) -> FinishedStage1:
    """The run's stage 1. Raises TlmError if it is not built."""
    folder = root / str(run.stage1)
    if not (folder / MANIFEST).is_file():
        raise TlmError(
            f"{run.stage1} is not built yet: `tlm train {run.task}` without --budget builds it, in the time that "
            "`tlm new` planned"
        )
    counts = read_manifest(folder, "stage1").counts
    timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
    kept = root / layout.STABLE.format(
        scale=run.scale, task=run.task, variant=run.stage1_variant, seed=run.seed
    )
    found = (0, 0, 0.0, None)
    if (kept / MANIFEST).is_file():
        manifest = read_manifest(kept, "stable")
        state = json.loads((kept / "state.json").read_text(encoding="utf-8"))
        before, parameters = manifest.counts, manifest.parameters
        found = (before["steps"], before["tokens"], state["progress"]["seconds"], parameters["warmup_steps"])
    return FinishedStage1(counts["steps"], counts["tokens"], timing["train_seconds"], *found)


def seconds_after(outputs: Sequence[tuple[str, str]], root: Path = Path()) -> dict[str, float]:
    """Output → seconds that its job took in the last build, for (rule, output) with a benchmark file."""
    found = {}
    for rule, output in outputs:
        if (seconds := read_benchmark(root / RULES[rule].benchmark_of(output)).seconds) is not None:
            found[output] = seconds
    return found


def longer(stage1: FinishedStage1, granted: float, after: float, rounds: int) -> LongerStage1:
    """Stage 1 in `granted` more seconds, of which the later jobs take `after`; `rounds` trainings follow each other.

    Raises TlmError if this time does not suffice to make the decay again.
    """
    available = (granted - after) / rounds
    tokens = stage1.kept_tokens + round(available / stage1.pace)
    if tokens < _LONGER * stage1.tokens:
        again = (stage1.tokens - stage1.kept_tokens) * stage1.pace * _LONGER
        raise TlmError(
            f"--budget +{duration(granted)} is too short: the decay of stage 1 is made again, and the model is trained "
            f"on the task again. A better model takes more than +{duration(rounds * again + after)}"
        )
    digits = 10 ** max(0, len(str(tokens)) - 3)
    tokens = tokens // digits * digits
    return LongerStage1(
        tokens=tokens,
        steps=round(stage1.steps * tokens / stage1.tokens),
        seconds=stage1.kept_seconds + available,
        added_seconds=(tokens - stage1.kept_tokens) * stage1.pace,
    )


def readings_note(run: EncoderRun, tokens: int, counts: Mapping[str, int] | None) -> str | None:
    """A warning if stage 1 would read each passage too often; `counts` are those of the external tokens."""
    rho1 = run.spec.stage1.rho1
    if counts is None or rho1 == INFINITE:
        return None
    times = tokens * int(rho1) / (int(rho1) + 1) / counts["tokens"]
    if times <= _EPOCHS:
        return None
    return (
        f"stage 1 now reads each passage about {times:.0f} times; a larger K may serve better, but it is another "
        f"training from the start: `tlm new {run.task} --force` with the whole time as --budget"
    )
