"""Freed memory is reused: a block of many megabytes costs page faults once, not at every allocation."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from tlm.training.memory import keep_freed_memory
if {keep} and not keep_freed_memory():
    print("no glibc")
    raise SystemExit
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(30):
    if step == 10:
        before = faults()
    blocks = [torch.ones((size << 18) + 1000 * step) for size in (9, 17, 20, 31)]  # MiB, and ever more
    del blocks
print(faults() - before)
"""


def _faults(keep: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    if "no glibc" in done.stdout:
        pytest.skip("the C library is not glibc")
    return int(done.stdout)


def test_allocations_of_a_step_do_not_fault_again() -> None:
    without, kept = _faults(False), _faults(True)
    assert kept < without / 10, (kept, without)
