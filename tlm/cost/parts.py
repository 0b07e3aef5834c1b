"""What one job costs, as plain numbers that add up.

Place in the flow: made by `tlm.cost.data_rules` and `tlm.cost.training_rules`, summed by `tlm.cost.estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 1.0  # seconds of starting Python and this package
TORCH_START = 5.0  # likewise torch and transformers


@dataclass(frozen=True)
class Part:
    """One job. `seconds` are those of one core, or of the device that trains."""

    seconds: float = START
    tokens: float = 0.0
    paper_flops: float = 0.0
    matmul_flops: float = 0.0
    download_bytes: float = 0.0
    disk_bytes: float = 0.0
    checkpoint_bytes: float = 0.0
    """On disk while it runs, removed when it is done."""
    waits_for: str = ""
    """What must be true before all of it can be estimated; until then that part is missing in the numbers."""
