"""Build the batches of each step before the device needs them.

Place in the flow: stage_plan → prefetch → loop. A thread builds the next steps while the device computes this
one. For a GPU it also copies them into pinned memory, so that the transfer is asynchronous.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from accelerate import Accelerator

from tlm.errors import TlmError
from tlm.training.masking import Batch
from tlm.training.model import TensorBatch
from tlm.training.stage_plan import StagePlan, TrainingStep

_AHEAD = 2  # steps


@dataclass(frozen=True)
class PreparedStep:
    """One step: all of it, and this process's share as tensors in host memory."""

    number: int
    step: TrainingStep
    mine: Sequence[tuple[Batch, TensorBatch]]


def prepared_steps(plan: StagePlan, first: int, accelerator: Accelerator) -> Iterator[PreparedStep]:
    """Steps `first` … to the last of the plan. An error of the thread is raised here."""
    rank, world = accelerator.process_index, accelerator.num_processes
    pinned = accelerator.device.type == "cuda"

    def build(number: int) -> PreparedStep:
        step = plan.step(number)
        mine = share(step.batches, rank, world)
        return PreparedStep(number, step, [(batch, TensorBatch.host(batch, pinned=pinned)) for batch in mine])

    return _ahead(build, first, plan.steps)


def share(batches: Sequence[Batch], rank: int, world: int) -> list[Batch]:
    """One process's part of a step: whole micro-batches if `world` divides their number, else rows.

    The processes together see the same batches as one process: their number changes only the speed.
    Raises TlmError if a batch has fewer rows than there are processes.
    """
    if len(batches) % world == 0:
        return list(batches[rank::world])
    if (rows := min(batch.rows for batch in batches)) < world:
        raise TlmError(f"a batch of {rows} rows cannot be shared by {world} processes; raise batch_size")
    return [batch.take(range(rank, batch.rows, world)) for batch in batches]


def _ahead(build: Callable[[int], PreparedStep], first: int, end: int) -> Iterator[PreparedStep]:
    ready: queue.Queue[PreparedStep | BaseException | None] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(item: PreparedStep | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for number in range(first, end):
                if not put(build(number)):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
