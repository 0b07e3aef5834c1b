"""A separate random generator for every decision, independent of all earlier draws.

Place in the flow: under batches, masks, initial weights and dropout. The key of a generator is a seed and a path of
names and numbers, as in `generator(seed, "external", "epoch", 3)`. So step 1,000 can be rebuilt without steps 0 to
999: a resumed run, another process and a debugger draw the same numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np


def key_of(seed: int, *path: str | int) -> int:
    """A number of 128 bits that depends on the seed and every part of the path."""
    name = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A counter-based generator (Philox: the same numbers on every platform) for one decision."""
    return np.random.Generator(np.random.Philox(key=key_of(seed, *path)))


def torch_seed(seed: int, *path: str | int) -> int:
    """A seed of 63 bits for `torch.manual_seed`."""
    return key_of(seed, *path) & ((1 << 63) - 1)
