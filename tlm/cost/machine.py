"""Speed of a machine: seconds of a training job from its matmul FLOPs, and GPUs by their data sheets.

Place in the flow: matmul FLOPs → here → hours. This machine's own rate is measured by `tlm.cost.timing`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlm.errors import TlmError

UTILISATION = 0.35
"""Share of a GPU's peak that training is assumed to reach: an assumption, not a measurement."""

STEP_SECONDS = 0.01
"""Time to launch the kernels of a step on a GPU, which bounds small models: also an assumption."""

HERE, CPU = "here", "cpu"
"""This machine: the device that training would use (its GPU if it has one), or its processor."""

# Dense peak of matrix products in TFLOP/s in the precision that `precision: auto` takes there: bf16, or fp32 on GPUs
# without bf16 (V100, T4). From NVIDIA's data sheets; figures "with sparsity" are halved.
GPUS = {
    "a10": 125.0,
    "a100": 312.0,
    "h100": 989.0,  # SXM
    "h200": 989.0,
    "l4": 121.0,
    "l40s": 362.0,
    "rtx3090": 71.0,
    "rtx4090": 165.0,
    "t4": 8.1,
    "v100": 15.7,  # SXM2
}


@dataclass(frozen=True)
class Rate:
    """Speed of one training job: a fixed time for every step, plus FLOPs at a rate."""

    step_seconds: float
    flops_per_second: float
    gpu: bool = False
    """Whether the device is a GPU, on which jobs run one after the other."""

    def seconds(self, flops: float, steps: int = 0) -> float:
        """Time of that many FLOPs in that many steps."""
        return flops / self.flops_per_second + steps * self.step_seconds


def gpu(name: str, utilisation: float) -> Rate:
    """A named GPU at a share of its peak. Raises TlmError for a name that is not in the list."""
    if name not in GPUS:
        raise TlmError(f"--device {name}: unknown; there are {', '.join([HERE, CPU, *GPUS])}")
    if not 0 < utilisation <= 1:
        raise TlmError(f"--utilisation {utilisation}: must be above 0 and at most 1 (a share of the peak)")
    return Rate(STEP_SECONDS, GPUS[name] * 1e12 * utilisation, gpu=True)
