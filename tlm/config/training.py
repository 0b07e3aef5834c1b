"""Specifications of a training run: tokenizer, model, stage 1 and stage 2 (Sections 3.1 and 4.1, Table B.1).

They are *resolved*: `tlm.plan.runs` makes them from a scale, a task and a variant, and a rule passes them to its script
as JSON, so that a run reruns exactly when a number that it reads changes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from tlm.config.base import Strict, added
from tlm.errors import TlmError

INFINITE = "inf"
TRACKERS = ("tensorboard", "wandb")
"""Trackers of Accelerate that can record a run beside its own log."""

Precision = Literal["auto", "fp32", "bf16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]
Tracker = Literal["tensorboard", "wandb"]


class TokenizerSpec(Strict):
    """WordPiece trained on the corpus, or a pretrained tokenizer (Section 4.1 uses BERT's)."""

    kind: Literal["wordpiece"] = "wordpiece"
    vocabulary: int = Field(8192, ge=256)
    lowercase: bool = True
    sample_bytes: PositiveInt = 30_000_000
    """Bytes of text to train on, at most, sampled evenly from the corpus; more text changes few entries."""
    pretrained: str | None = None
    """A name on the Hub or a local folder; the fields above are then unused."""
    revision: str | None = None
    """Commit of the Hub's repository, so that everybody gets the same vocabulary."""


class ModelSpec(Strict):
    """Shape of the encoder; lengths in tokens."""

    architecture: Literal["bert", "roberta", "modernbert"]
    """roberta: from `pretrained` only, for the baselines."""
    hidden_size: PositiveInt = 256
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    intermediate_size: PositiveInt = 384
    max_length: PositiveInt = 512
    """Longest input of the position encoding, in tokens."""
    dropout: float = Field(0.0, ge=0, lt=1)
    pooling: Literal["cls", "mean"] = "cls"
    """Input of the classification head: [CLS] (the paper), or the mean over tokens (modernbert only), which learns
    faster in few steps."""
    embedding_init: Literal["random", "cooccurrence"] = "random"
    pretrained: str | None = None
    """A Hub checkpoint to start from instead of a random model (PLM baselines); the sizes above are then unused."""
    revision: str | None = None
    """Commit of `pretrained` on the Hub, so that a baseline stays the same."""
    pooler: Literal["new", "pretrained"] = added("new")
    """BERT's head on `pretrained`: with a new pooler, or the pretrained one, as in BERT's paper (Section 4.5)."""
    finished: bool = added(False)
    """`pretrained` is a classifier that the paper's authors released: its head is converted, and nothing is trained."""

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelSpec:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        if self.architecture != "modernbert" and self.pooling != "cls":
            raise ValueError(f"{self.architecture} has no mean pooling; set pooling to cls")
        if self.architecture == "roberta" and self.pretrained is None:
            raise ValueError("roberta starts from a checkpoint; set pretrained, or use bert or modernbert")
        if self.pooler == "pretrained" and (self.architecture != "bert" or self.pretrained is None):
            raise ValueError("pooler: pretrained is for bert with a pretrained checkpoint")
        if self.revision is not None and self.pretrained is None:
            raise ValueError("revision needs pretrained")
        return self


class Budget(Strict):
    """Length of stage 1: optimizer steps, or tokens without padding. Exactly one of them."""

    steps: PositiveInt | None = None
    tokens: PositiveInt | None = None
    seconds: float | None = added(None, gt=0)
    """Longest time of stage 1. If the machine is too slow, the decay starts earlier, so that stage 1 ends in time with
    fewer steps; `record.json` has them. The result then depends on the speed of the machine."""

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of steps and tokens")
        return self


class Optimizer(Strict):
    """The optimizer, and its schedule: linear warm-up, a plateau, linear decay to zero over `decay_fraction`."""

    kind: Literal["adamw", "muon"] = "adamw"
    """muon: orthogonalised momentum for the encoder's matrices, AdamW for embeddings, heads, biases and norms."""
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    warmup_steps: int | None = Field(None, ge=0)
    """Overrides `warmup_fraction` when given (the paper's scales state steps)."""
    warmup_fraction: float = Field(0.05, ge=0, le=1)
    decay_fraction: float = Field(1.0, ge=0, le=1)
    """1.0 is the paper's schedule: decay begins when the warm-up ends."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Longer gradients are cut to this norm; `null`: no clipping, as in the authors' code."""

    def warmup(self, steps: int) -> int:
        """Steps of the linear warm-up in a run of `steps`."""
        return self.warmup_steps if self.warmup_steps is not None else round(self.warmup_fraction * steps)

    def decay_start(self, steps: int) -> int:
        """Steps of warm-up and plateau in a run of `steps`."""
        return max(self.warmup(steps), steps - round(self.decay_fraction * steps))


def paper_tokens(
    *, steps: int, batch_size: int, length: int, internal_length: int | None = None, rho1: int | None = None
) -> float:
    """Training tokens as the paper counts them: steps · batch size · sequence length (Section 4.1).

    Where internal batches have their own length (IMDB at the small scale, note 1 of Table B.1), one batch in
    every rho1 + 1 has it. Raises TlmError if that needs a rho1 that is not given.
    """
    mean_length: float = length
    if internal_length is not None and internal_length != length:
        if rho1 is None:
            raise TlmError("tokens: a separate internal length needs rho1 to know how many batches have it")
        mean_length = (internal_length + rho1 * length) / (rho1 + 1)
    return steps * batch_size * mean_length


class Stage1Spec(Strict):
    """Stage 1: one internal batch in every rho1 + 1 (Section 3.1).

    The loss of an internal batch is (rho2 · mlm + task) / (rho2 + 1), of an external batch mlm.
    rho1 = "inf" trains on external data alone (also how a PLM is pretrained), rho1 = 0 on task data alone.
    """

    rho1: int | Literal["inf"]
    rho2: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["inf"]
    """"inf": masked language modelling alone, also on internal data (TAPT, Table A.2)."""
    budget: Budget
    batch_size: PositiveInt
    accumulation: PositiveInt = 1
    batch_tokens: PositiveInt | None = None
    """Fill each batch with rows up to this many padded tokens, instead of `batch_size` rows."""
    internal_length: PositiveInt
    external_length: PositiveInt
    mlm_probability: float = Field(0.15, gt=0, lt=1)
    optimizer: Optimizer
    evaluations: PositiveInt = 8
    """How often the held-out MLM loss is measured on the task's dev texts."""
    unlabelled: bool = added(True)
    """Whether an internal step also reads as many unlabelled texts of the task, for masked language modelling alone."""
    held_out_rows: PositiveInt = 512
    """Dev texts for that measurement, at most; the same in every run. Each costs a forward pass."""
    evaluate_every: PositiveInt | None = added(None)
    """Measure the loss every so many steps before the decay of the learning rate, and `evaluations` times during it. A
    longer run then measures at the same steps."""
    checkpoint_every: PositiveInt = 200

    @property
    def training_tokens(self) -> float:
        """Tokens of stage 1 as the paper counts them (`paper_tokens`), or the budget if it is in tokens."""
        if self.budget.steps is None:
            return self.budget.tokens or 0
        internal = self.rho1 != INFINITE
        return paper_tokens(
            steps=self.budget.steps,
            batch_size=self.batch_size * self.accumulation,
            length=self.external_length,
            internal_length=self.internal_length if internal else None,
            rho1=int(self.rho1) if internal else None,
        )

    @model_validator(mode="after")
    def _rho1(self) -> Stage1Spec:
        if self.rho1 != INFINITE and int(self.rho1) < 0:
            raise ValueError("rho1 must be 0, a positive whole number, or 'inf'")
        return self


class Stage2Spec(Strict):
    """Stage 2: the task loss alone, from stage 1's weights with a new head; the best dev checkpoint is kept."""

    epochs: float | None = Field(None, gt=0)
    steps: PositiveInt | None = None
    batch_size: PositiveInt
    length: PositiveInt
    optimizer: Optimizer
    evaluations: PositiveInt = 8
    patience: PositiveInt | None = added(None)
    """End after so many evaluations in a row without a better dev score (Gururangan et al. 2020: 3)."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    checkpoint_every: PositiveInt = 200

    @model_validator(mode="after")
    def _one(self) -> Stage2Spec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        return self


class EmbeddingInitSpec(Strict):
    """Initial token embeddings from co-occurrence counts (docs/differences.md)."""

    tokens: PositiveInt = 6_000_000
    window: PositiveInt = 5
    context_power: float = 0.75
    standard_deviation: float = 0.12
    """Larger than the usual 0.02, because Adam's first steps would overwrite smaller values (docs/differences.md)."""
    noise: float = 0.01


class RunSpec(Strict):
    """All settings that decide the weights of one run; the data are separate."""

    seed: int
    precision: Precision = "auto"
    attention: Attention = "auto"
    compile: bool = False
    """torch.compile: minutes of compilation, then faster steps; not bit-stable on CPU."""
    model: ModelSpec
    embedding_init: EmbeddingInitSpec = EmbeddingInitSpec()
    stage1: Stage1Spec
    stage2: Stage2Spec | None = None
