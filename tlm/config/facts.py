"""Facts: numbers about a run that are no scores, each of which can be a column of a table (#Param, FLOPs, data, time).

Place in the flow: config/experiments.yaml names facts in `columns:`; `tlm.results.cells` reads them from the records of
an evaluation; `tlm.results.tables` shows them. A cell of a fact is the mean over the column's tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class FactColumn:
    """How one fact is read and shown."""

    path: tuple[str, ...]
    """File of the evaluation (`flops` or `timing`), then keys in it. The fact is empty where a run lacks a key."""
    unit: Literal["parameters", "FLOP", "tokens", "bytes", "s"]
    heading: str
    note: str
    """Footnote under a table that has the column."""


FACTS = {
    "parameters": FactColumn(
        path=("flops", "parameters"),
        unit="parameters",
        heading="#Param",
        note="#Param: all weights of the finetuned model, including embeddings.",
    ),
    "flops": FactColumn(
        path=("flops", "stage1", "paper"),
        unit="FLOP",
        heading="FLOPs",
        note="FLOPs: 6 x training tokens x parameters, stage 1 only, mean over tasks. Training tokens are those that "
        "were read; the paper counts steps x batch size x sequence length.",
    ),
    "matmul_flops": FactColumn(
        path=("flops", "stage1", "matmul", "total"),
        unit="FLOP",
        heading="FLOPs (matmul)",
        note="FLOPs (matmul): all matrix products that stage 1 computed, mean over tasks. Attention scores and the "
        "computation of the initial embeddings count; the LM head counts at masked positions only; embedding look-ups "
        "do not count.",
    ),
    "stage2_matmul_flops": FactColumn(
        path=("flops", "stage2", "matmul", "total"),
        unit="FLOP",
        heading="FLOPs (stage 2)",
        note="FLOPs (stage 2): matrix products of stage 2, mean over tasks.",
    ),
    "tokens": FactColumn(
        path=("flops", "stage1", "tokens", "real"),
        unit="tokens",
        heading="Tokens",
        note="Tokens: tokens that stage 1 read, without padding, mean over tasks.",
    ),
    "data": FactColumn(
        path=("flops", "data", "bytes"),
        unit="bytes",
        heading="Data",
        note="Data: bytes of external text selected for training, mean over tasks.",
    ),
    "seconds": FactColumn(
        path=("timing", "train_seconds"),
        unit="s",
        heading="Time",
        note="Time: stages 1 and 2 on the machine that ran them, mean over tasks; not part of any digest.",
    ),
}

if TYPE_CHECKING:
    Fact = str
else:
    Fact = Literal[tuple(FACTS)]
"""Name of a fact, in config/experiments.yaml."""
