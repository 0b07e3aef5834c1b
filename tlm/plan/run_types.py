"""The two kinds of run, and the folders of their artifacts.

Place in the flow: `tlm.plan.runs` resolves a scale, a task, a variant and a seed to one of these → `tlm.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlm import layout
from tlm.config.linear import LinearSpec
from tlm.config.training import RunSpec
from tlm.errors import TlmError
from tlm.plan.selections import Selection


@dataclass(frozen=True)
class Run:
    """One `scale / task / variant / seed`, resolved: a `BaselineRun` or an `EncoderRun`."""

    scale: str
    task: str
    variant: str  # the first of equal ones
    seed: int
    corpus: str

    @property
    def folder(self) -> str:
        """`runs/<scale>/<task>/<variant>/seed<seed>`."""
        return self._path(layout.RUN)

    def _path(self, pattern: layout.Pattern, variant: str | None = None, seed: int | None = None) -> str:
        """The path of this run's part, or that of a run of another variant or seed."""
        variant, seed = variant or self.variant, self.seed if seed is None else seed
        return pattern.format(scale=self.scale, task=self.task, variant=variant, seed=seed)

    @property
    def evaluation(self) -> str:
        """Folder of metrics, predictions and FLOPs."""
        return self._path(layout.EVALUATION)


@dataclass(frozen=True)
class BaselineRun(Run):
    """A linear model on n-grams: one job, which writes the evaluation."""

    spec: LinearSpec


@dataclass(frozen=True)
class EncoderRun(Run):
    """A run whose encoder is trained in stage 1, stage 2 or both."""

    tokenizer: str
    spec: RunSpec
    selection: Selection | None = None
    pretraining: EncoderRun | None = (
        None  # the stage 1 that a PLM's runs share: used as it is, or continued (adapted)
    )
    stage1_variant: str | None = (
        None  # the variant that trains this run's stage 1; None: shared, or a checkpoint
    )
    stage1_seed: int | None = None  # the seed of that stage 1; None: the run's own

    @property
    def stage1(self) -> str | None:
        """Folder of the stage-1 model that this run starts stage 2 from; None for a checkpoint."""
        if self.stage1_variant is not None:
            return self._path(layout.STAGE1, self.stage1_variant, self.stage1_seed)
        return self.pretraining.stage1 if self.pretraining else None

    @property
    def start(self) -> str | None:
        """Folder of the pretraining that this run's own stage 1 continues; None for random weights."""
        return self.pretraining.stage1 if self.stage1_variant and self.pretraining else None

    @property
    def stage2(self) -> str | None:
        """Folder of the stage-2 model; None for a run without stage 2."""
        return self._path(layout.STAGE2) if self.spec.stage2 else None

    @property
    def model(self) -> str:
        """Folder of the model that is evaluated: stage 2, or stage 1 where there is no stage 2."""
        return self.stage2 or str(self.stage1)

    @property
    def length(self) -> int:
        """Longest input of the model that is evaluated, in tokens."""
        return self.spec.stage2.length if self.spec.stage2 else self.spec.stage1.internal_length

    @property
    def passages(self) -> Selection:
        """The selection that stage 1 reads. Raises TlmError for a run that reads none."""
        if self.selection is None:
            raise TlmError(f"{self.folder}: its stage 1 reads no passages")
        return self.selection

    @property
    def read_selection(self) -> Selection | None:
        """The passages behind the weights: those of the run, or of the pretraining that it starts from."""
        return (self.pretraining or self).selection

    @property
    def internal_tokens(self) -> str:
        """Folder of the task's tokens."""
        return layout.INTERNAL_TOKENS.format(tokenizer=self.tokenizer, task=self.task)

    @property
    def external_tokens(self) -> str | None:
        """Folder of the selection's tokens; None without external data."""
        if self.selection is None:
            return None
        return layout.EXTERNAL_TOKENS.format(
            tokenizer=self.tokenizer,
            corpus=self.selection.corpus,
            task=self.selection.owner,
            selection=self.selection.name,
        )


def as_encoder(run: Run) -> EncoderRun:
    """`run`, if it trains an encoder. Raises TlmError otherwise."""
    if not isinstance(run, EncoderRun):
        raise TlmError(f"{run.folder} trains no encoder: it has no stages, no tokens and no attention heads")
    return run
