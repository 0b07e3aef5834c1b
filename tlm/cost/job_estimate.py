"""The estimated cost of one job, as plain numbers that add up.

Place in the flow: made by `tlm.cost.data_rules` and `tlm.cost.training_rules`, summed by `tlm.cost.estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 1.0  # seconds of starting Python and this package
TORCH_START = 5.0  # the same with torch and transformers


@dataclass(frozen=True)
class JobEstimate:
    """One job. `seconds` are those of one core, or of the device that trains."""

    seconds: float = START
    tokens: float = 0.0
    paper_flops: float = 0.0
    matmul_flops: float = 0.0
    download_bytes: float = 0.0
    disk_bytes: float = 0.0
    checkpoint_bytes: float = 0.0
    """On disk while the job runs; removed when it ends."""
    waits_for: str = ""
    """Condition for estimating the whole job; until it holds, the sums leave the unknown part out."""
