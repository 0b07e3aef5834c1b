"""The FLOPs of training: by the paper's formula, and by counting the model's matrix multiplications.

Place in the flow: `tlm.evaluation.evaluate` writes `flops.json` from the run records of both stages. The column
"FLOPs" of Table 2 is `paper_flops`, 6 · tokens · parameters. We report `matmul_flops` too, because that formula counts
embedding look-ups as multiplications, leaves attention scores out, and computes the language-model head at all
positions, where we compute it at the masked positions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlm.errors import TlmError


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that decide its matrix multiplications."""

    architecture: str  # a family of tlm.training.model_families
    hidden: int
    layers: int
    intermediate: int
    vocabulary: int
    classes: int  # outputs of the task head; 1 for regression


@dataclass(frozen=True)
class MatmulWork:
    """The work of a stage on which its FLOPs depend, summed over its optimizer steps.

    `padded_squares` is the sum over rows of padded length squared: the size of the attention matrices.
    """

    padded_tokens: int
    padded_squares: int
    mlm_positions: int
    classified_rows: int


@dataclass(frozen=True)
class Matmuls:
    """Floating-point operations of matrix multiplications; a multiply-add is two operations."""

    projections: int
    attention: int
    lm_head: int
    task_head: int

    @property
    def total(self) -> int:
        """The sum of the four parts."""
        return self.projections + self.attention + self.lm_head + self.task_head

    def as_dict(self) -> dict[str, int]:
        """Parts and total, as plain values."""
        return {**asdict(self), "total": self.total}


def paper_flops(tokens: float, parameters: float) -> float:
    """6 · training tokens · parameters (Brown et al. 2020; note 1 of Table 2), for stage 1 only.

    Assumes two operations per parameter and token forward and four backward. `parameters` are all parameters of
    the model, embeddings included. The paper's `tokens` are steps · batch size · sequence length, padding included
    (Section 4.1, `paper_tokens`); for our runs we count the tokens without padding. Left out: attention scores,
    the language-model head's decoder beyond the tied embedding, stage 2, retrieval and evaluation.
    """
    return 6.0 * tokens * parameters


def matmul_flops(shape: Shape, work: MatmulWork) -> Matmuls:
    """Operations of all matrix multiplications of training on `work`, forward and backward.

    Counted in multiply-adds, per padded token and layer: the projections of attention (4 h²) and of the
    feed-forward block (`bert`, `roberta`: 2 h f; `modernbert`: 3 h f, because GeGLU's first projection is twice as
    wide); the attention scores and their product with the values (2 L h at a padded length of L). In addition, the
    language-model head at each masked position (h² + h v), and the task head on [CLS] for each classified row
    (h² + h c).

    A multiply-add is 2 operations. Backward needs two products of the same size for each product of the forward
    pass, so training needs 3 x forward: 6 operations per multiply-add.

    Assumed: padding is computed like text; sliding-window layers compute the full score matrix, as eager
    attention does; no activation is computed twice. Left out: embedding look-ups, norms, softmax,
    activations, biases, the optimizer, and the evaluations on dev.

    Raises TlmError for another architecture.
    """
    h, f = shape.hidden, shape.intermediate
    if shape.architecture not in _FEED_FORWARD:
        known = ", ".join(_FEED_FORWARD)
        raise TlmError(f"cannot count the FLOPs of architecture {shape.architecture!r}; known: {known}")
    per_token = shape.layers * (4 * h * h + _FEED_FORWARD[shape.architecture] * h * f)
    return Matmuls(
        projections=6 * per_token * work.padded_tokens,
        attention=6 * shape.layers * 2 * h * work.padded_squares,
        lm_head=6 * (h * h + h * shape.vocabulary) * work.mlm_positions,
        task_head=6 * (h * h + h * shape.classes) * work.classified_rows,
    )


_FEED_FORWARD = {
    "bert": 2,
    "electra": 2,
    "roberta": 2,
    "modernbert": 3,
}  # matrices of h x f in a feed-forward block


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape from a saved model's `config.json`. Raises TlmError for an unknown architecture."""
    architecture = config.get("model_type")
    if architecture not in _FEED_FORWARD:
        raise TlmError(
            f"cannot count the FLOPs of model_type {architecture!r}; known: {', '.join(_FEED_FORWARD)}"
        )
    return Shape(
        architecture=architecture,
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        intermediate=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        classes=len(config["id2label"]) if config.get("id2label") else 2,
    )
