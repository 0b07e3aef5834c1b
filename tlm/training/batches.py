"""Choose the rows of batch i by a pure function of (seed, i).

Place in the flow: tokens → batches → loop. Rows are drawn without replacement, epoch after epoch. The rows of a window
of `WINDOW` batches are sorted by length, so that batches need little padding; then the batches of the window are
shuffled. The same functions give the interleaving of Section 3.1 (one internal batch in every rho1 + 1) and the number
of real tokens of each step, without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tlm.config.training import INFINITE, Budget
from tlm.errors import TlmError
from tlm.training.randomness import generator
from tlm.training.tokens import Store

WINDOW = 64  # batches sorted together: about 2 % are padding, and the order is still random enough
Rho1 = int | Literal["inf"]


def is_internal(step: int, rho1: Rho1) -> bool:
    """Whether a step trains on task data: the first of every rho1 + 1 (never for rho1 = "inf")."""
    return rho1 != INFINITE and step % (int(rho1) + 1) == 0


def internal_before(step: int, rho1: Rho1) -> int:
    """The number of internal steps among the steps 0 … step - 1."""
    return 0 if rho1 == INFINITE else -(-step // (int(rho1) + 1))


def input_lengths(store: Store, length: int, between: int = 1) -> np.ndarray:
    """Length of each row as the model sees it: with special tokens, cut at `length`; (rows,) int64.

    `between` is the vocabulary's number of separators between the texts of a pair.
    """
    specials = 2 if store.middle is None else 2 + between
    return np.minimum(np.diff(store.offsets) + specials, length)


class Stream:
    """Batches of row numbers of one data set, in an order that depends on the seed alone."""

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        seed: int,
        name: str,
        batch_size: int,
        batch_tokens: int | None = None,
    ) -> None:
        """`lengths` are `input_lengths`; data sets with different `name` get independent random orders.

        With `batch_tokens`, a batch holds as many rows as fit into that many padded tokens (at least one row),
        instead of `batch_size` rows. Raises TlmError for a data set without rows.
        """
        if not len(lengths):
            raise TlmError(f"the {name} data has no rows to train on; check its task or selection")
        self.lengths, self.seed, self.name = lengths, seed, name
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        per_batch = max(1, int(batch_tokens / lengths.mean())) if batch_tokens else batch_size
        self.window_rows = WINDOW * per_batch
        self._starts = [0]  # first batch of each window, as far as computed; with batch_tokens only
        self._windows: dict[int, list[np.ndarray]] = {}
        self._epochs: dict[int, np.ndarray] = {}

    def batch(self, index: int) -> np.ndarray:
        """Row numbers of batch `index`, shortest first; (batch_size,) int64."""
        if self.batch_tokens is None:
            window, slot = divmod(index, WINDOW)
            return self._window(window)[slot]
        while self._starts[-1] <= index:
            self._starts.append(self._starts[-1] + len(self._window(len(self._starts) - 1)))
        window = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._window(window)[index - self._starts[window]]

    def _window(self, window: int) -> list[np.ndarray]:
        if window not in self._windows:
            order = self._rows(window * self.window_rows, self.window_rows)
            order = order[np.argsort(self.lengths[order], kind="stable")]
            cuts = self._cuts(self.lengths[order])
            shuffled = generator(self.seed, self.name, "window", window).permutation(len(cuts) - 1)
            self._keep(self._windows, window, [order[cuts[i] : cuts[i + 1]] for i in shuffled])
        return self._windows[window]

    def _cuts(self, lengths: np.ndarray) -> list[int]:
        """The first row of each batch in a window sorted by length; the last entry is the window's end."""
        if self.batch_tokens is None:
            return list(range(0, len(lengths) + 1, self.batch_size))
        cuts = [0]
        for row, length in enumerate(lengths):
            if row > cuts[-1] and (row + 1 - cuts[-1]) * int(length) > self.batch_tokens:
                cuts.append(row)
        return [*cuts, len(lengths)]

    def _rows(self, start: int, count: int) -> np.ndarray:
        """`count` row numbers, from position `start` on, of the permutations of all epochs in sequence."""
        total = len(self.lengths)
        parts = []
        while count > 0:
            epoch, offset = divmod(start, total)
            part = self._epoch(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            order = generator(self.seed, self.name, "epoch", epoch).permutation(len(self.lengths))
            self._keep(self._epochs, epoch, order)
        return self._epochs[epoch]

    @staticmethod
    def _keep(cache: dict[int, Any], key: int, value: Any) -> None:
        """Cache `value` and drop all but the latest entry before it; results never depend on the cache."""
        while len(cache) > 1:
            del cache[min(cache)]
        cache[key] = value


@dataclass(frozen=True)
class Micro:
    """One micro-batch: its data set, its index there (which also decides its masks), and its rows."""

    internal: bool
    index: int  # within its stream
    rows: np.ndarray
    unlabelled: bool = False

    @property
    def kind(self) -> str:
        """`internal`, `unlabelled` or `external`."""
        return "unlabelled" if self.unlabelled else "internal" if self.internal else "external"


class Schedule:
    """Stage 1's micro-batches of every step, over both data sets.

    A step has `accumulation` micro-batches, all internal or all external; an internal step has as many unlabelled ones
    before them if the task has unlabelled texts. With n processes, rank r takes
    micro-batches r, r + n, …, so the number of processes changes only the speed.
    """

    def __init__(
        self,
        internal: Stream | None,
        external: Stream | None,
        *,
        rho1: Rho1,
        accumulation: int = 1,
        unlabelled: Stream | None = None,
    ) -> None:
        """Raises TlmError if rho1 needs a data set that is missing."""
        if internal is None and rho1 != INFINITE:
            raise TlmError(f"stage1.rho1 = {rho1} needs task tokens; give them, or set rho1 to inf")
        if external is None and rho1 != 0:
            raise TlmError(f"stage1.rho1 = {rho1} needs external tokens; give them, or set rho1 to 0")
        given = {"internal": internal, "unlabelled": unlabelled, "external": external}
        self.streams = {kind: each for kind, each in given.items() if each is not None}
        self.rho1, self.accumulation = rho1, accumulation

    def step(self, step: int) -> list[Micro]:
        """The micro-batches of a step, in order."""
        internal = is_internal(step, self.rho1)
        before = internal_before(step, self.rho1)
        first = (before if internal else step - before) * self.accumulation
        stream = self.streams["internal" if internal else "external"]
        indices = range(first, first + self.accumulation)
        micros = [Micro(internal, i, stream.batch(i)) for i in indices]
        if not internal or "unlabelled" not in self.streams:
            return micros
        # The last micro-batch of a step uses every head, which data-parallel training needs.
        more = self.streams["unlabelled"]
        return [*(Micro(True, i, more.batch(i), unlabelled=True) for i in indices), *micros]

    def tokens(self, step: int) -> int:
        """Real tokens of a step, with special tokens and without padding."""
        return sum(int(self.streams[micro.kind].lengths[micro.rows].sum()) for micro in self.step(step))


def cumulative_tokens(budget: Budget, tokens_of: Callable[[int], int]) -> np.ndarray:
    """Real tokens after each step of the run, (steps,) int64, increasing.

    A run with a budget in tokens ends with the first step that reaches it. `tokens_of` gives the tokens of a step.
    """
    return np.fromiter(_cumulated(budget, tokens_of), np.int64)


def _cumulated(budget: Budget, tokens_of: Callable[[int], int]) -> Iterator[int]:
    step = total = 0
    while step < budget.steps if budget.steps is not None else total < (budget.tokens or 0):
        total += tokens_of(step)
        step += 1
        yield total
