"""Choose fp32 or bf16 by the instructions that the processor has.

Place in the flow: each stage calls `resolve` before it builds its model, and writes the result into its record.
With bf16 instructions (avx512_bf16, AMX), bf16 processes 2 to 2.5 times as much text per second as fp32; without
them about a hundredth, because oneDNN falls back to a reference loop at 1 GFLOP/s.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch

from tlm.errors import TlmError

Precision = Literal["fp32", "bf16"]
CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
# Values of ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY that leave the bf16 instructions unused.
_BELOW_BF16 = {"sse41", "avx", "avx2", "avx2_vnni", "avx512_core", "avx512_core_vnni", "default"}


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str] | None:
    """The instruction sets of the processor, or None where the system does not list them (not Linux)."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return set(value.split())
    return None


def cpu_multiplies_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor has bf16 matrix products and no environment variable disables them."""
    limits = (os.environ.get("ONEDNN_MAX_CPU_ISA", ""), os.environ.get("ATEN_CPU_CAPABILITY", ""))
    if any(limit.lower() in _BELOW_BF16 for limit in limits):
        return False
    return bool(_BF16_FLAGS & (processor_flags(cpuinfo) or set()))


def resolve(wanted: Literal["auto", "fp32", "bf16"], device: str, cpuinfo: Path = CPUINFO) -> Precision:
    """The precision to train in on `device` ("cpu" or "cuda").

    Raises TlmError if bf16 is configured on a processor that is known to lack it: minutes would become days.
    """
    if device == "cpu":
        native = cpu_multiplies_bf16(cpuinfo)
        if wanted == "bf16" and not native and processor_flags(cpuinfo) is not None:
            raise TlmError(
                "precision: bf16 is configured, but this processor has no bf16 instructions (avx512_bf16, "
                "AMX) or its environment forbids them; use precision: auto or fp32"
            )
    else:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "auto":
        return "bf16" if native else "fp32"
    return wanted
