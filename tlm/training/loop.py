"""The training loop of both stages: one process or many, CPU or GPU, exact after a crash.

Place in the flow: stage1 and stage2 say what a step's batches and weights are; this runs the steps through
Accelerate, logs, evaluates and checkpoints. The authors' loop padded to the longest length, could not
resume and shuffled anew after a restart (docs/differences.md).
"""

from __future__ import annotations

import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import nn

from tlm.config.training import Optimizer
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.training import checkpoint
from tlm.training.masking import Batch
from tlm.training.model import TensorBatch, TwoHeads
from tlm.training.objective import Weights
from tlm.training.optimizer import build_optimizer, learning_rate
from tlm.training.randomness import torch_seed
from tlm.training.record import Work, peak_memory

_LOG_EVERY = 10  # steps
_DIVERGED = 3.0  # a logged loss of this many times the larger of the first one and chance


@dataclass(frozen=True)
class Execution:
    """How a run is carried out; nothing here changes what it computes, beyond rounding."""

    threads: int = 1
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""
    compile: bool = False
    """torch.compile: faster per step after minutes of compilation, and not bit-stable on CPU."""
    trackers: tuple[str, ...] = ()
    """Accelerate's: tensorboard, wandb."""

    def accelerator(self, folder: Path, *, idle_heads: bool) -> Accelerator:
        """The Accelerator of this process; sets the number of threads.

        `idle_heads`: a head takes no part in some steps, as the classification head in external ones.
        """
        torch.set_num_threads(self.threads)
        distributed = DistributedDataParallelKwargs(
            find_unused_parameters=idle_heads,
            broadcast_buffers=False,  # positions and frequencies: never change
        )
        return Accelerator(
            cpu=self.cpu,
            kwargs_handlers=[distributed],
            log_with=list(self.trackers) or None,
            project_dir=str(folder) if self.trackers else None,
        )


@dataclass(frozen=True)
class Step:
    """All micro-batches of one optimizer step, over all processes."""

    internal: bool
    batches: Sequence[Batch]


@dataclass(frozen=True)
class Plan:
    """What a stage hands to the loop. Every function is pure in the step."""

    name: str
    seed: int
    tokens: Sequence[int]  # real tokens after each step; its length is the number of steps
    step: Callable[[int], Step]
    weights: Callable[[Step], Weights]
    nominal_length: Callable[[bool], int]
    optimizer: Optimizer
    chance: float  # loss of a guess, for noticing divergence
    evaluations: int
    checkpoint_every: int
    evaluate: Callable[[Progressed], dict[str, float]] | None = None
    """Called on every process after some steps, with what has been done; the model is in evaluation mode."""
    initialise: Callable[[], dict[str, Any]] | None = None
    """Called on every process before step 0, never on resume; what it returns goes into the record."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return len(self.tokens)

    def evaluation_steps(self) -> set[int]:
        """After how many finished steps the model is evaluated; the last step is always among them."""
        return {max(1, round(self.steps * k / self.evaluations)) for k in range(1, self.evaluations + 1)}


@dataclass
class Progressed:
    """What a stage has done so far: everything but weights that a resume needs."""

    step: int = 0
    work: Work = field(default_factory=Work)
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry per evaluation: step, tokens and what was measured."""
    first_loss: float | None = None
    seconds: float = 0.0
    log_bytes: int = 0
    start: dict[str, Any] = field(default_factory=dict)
    """What `Plan.initialise` returned."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "work": self.work.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progressed:
        """What `as_dict` wrote."""
        return cls(**{**values, "work": Work.from_dict(values["work"])})


class Meter:
    """Sums of losses and of what they were summed over, kept on the device until they are read."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, total: torch.Tensor, count: int) -> None:
        """Add a summed loss over `count` positions or rows."""
        previous = self.sums.get(name)
        self.sums[name] = total.detach().double() if previous is None else previous + total.detach()
        self.counts[name] = self.counts.get(name, 0) + count

    def read(self) -> dict[str, float]:
        """Means over all processes since the last reading."""
        names = sorted(self.sums)
        if not names:
            return {}
        device = self.accelerator.device
        counts = torch.tensor(
            [float(self.counts[name]) for name in names], dtype=torch.float64, device=device
        )
        both = torch.stack([torch.stack([self.sums[name].to(device) for name in names]), counts])
        sums, counts = self.accelerator.reduce(both, "sum")
        self.sums, self.counts = {}, {}
        return {name: float(s / max(c, 1.0)) for name, s, c in zip(names, sums, counts, strict=True)}


def train(
    plan: Plan,
    model: TwoHeads,
    accelerator: Accelerator,
    workspace: Path,
    fingerprint: Mapping[str, Any],
    execution: Execution,
) -> Progressed:
    """Run the steps of `plan` that a checkpoint in `workspace` has not yet done; `model` is trained in place.

    Writes `log.jsonl` and `checkpoints/` below `workspace`. Raises TlmError when the loss is not a number or
    diverges, when memory runs out, or when the checkpoint belongs to a run with another fingerprint.
    """
    world, rank = accelerator.num_processes, accelerator.process_index
    model.to(accelerator.device)
    optimizer = build_optimizer(plan.optimizer, model)
    folder = workspace / "checkpoints"
    done = Progressed()
    if (last := checkpoint.latest(folder)) is not None:
        state = checkpoint.read_state(last, fingerprint)
        done = Progressed.from_dict(state["progress"])
        checkpoint.restore(last, model, optimizer)
        accelerator.print(f"{plan.name}: resumes after step {done.step} of {plan.steps}")
    elif plan.initialise is not None:
        done.start = plan.initialise()
    ready, prepared = accelerator.prepare(torch.compile(model) if execution.compile else model, optimizer)
    log = _Log(workspace / "log.jsonl", done.log_bytes, accelerator)
    progress = Progress(plan.name, int(plan.tokens[-1]), "tokens") if accelerator.is_main_process else None
    if progress and done.step:
        progress.skip(int(plan.tokens[done.step - 1]))
    evaluations = plan.evaluation_steps()
    meter, started, spent = Meter(accelerator), time.perf_counter(), done.seconds
    has_dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    bad_step = torch.full((), torch.inf, device=accelerator.device)
    model.train()
    try:
        for number, step in _prefetch(plan.step, done.step, plan.steps):
            rate = learning_rate(plan.optimizer, number, plan.steps)
            for group in prepared.param_groups:
                group["lr"] = rate
            weights = plan.weights(step)
            mine = share(step.batches, rank, world)
            for micro, batch in enumerate(mine):
                if has_dropout:
                    torch.manual_seed(torch_seed(plan.seed, plan.name, "dropout", number, micro, rank))
                with nullcontext() if micro == len(mine) - 1 else accelerator.no_sync(ready):
                    losses = ready(TensorBatch.of(batch, accelerator.device), weights)
                    # Processes average their gradients; the weights already count the whole step.
                    accelerator.backward(losses["loss"] * world)
                _measure(meter, step.internal, batch, losses)
                bad_step = torch.where(
                    losses["loss"].detach().isfinite(), bad_step, bad_step.clamp(max=number)
                )
            accelerator.clip_grad_norm_(ready.parameters(), plan.optimizer.max_grad_norm)
            prepared.step()
            prepared.zero_grad(set_to_none=True)

            counts = done.work.internal if step.internal else done.work.external
            counts.add(step.batches, plan.nominal_length(step.internal))
            done.step = number + 1
            done.seconds = spent + time.perf_counter() - started
            values: dict[str, Any] = {}
            if (
                done.step % _LOG_EVERY == 0
                or done.step in evaluations
                or done.step % plan.checkpoint_every == 0
            ):
                values = meter.read()
                _check(values, bad_step, plan, done, folder)
            if done.step in evaluations and plan.evaluate is not None:
                model.eval()
                with torch.no_grad():  # the bare model: processes may evaluate different numbers of batches
                    measured = plan.evaluate(done)
                model.train()
                done.history.append({"step": done.step, "tokens": int(plan.tokens[number]), **measured})
                values |= measured
            if values:
                log.write(done, int(plan.tokens[number]), rate, values)
            if progress:
                before = int(plan.tokens[number - 1]) if number else 0
                progress.add(int(plan.tokens[number]) - before, _note(done.step, plan.steps, log.last))
            if done.step % plan.checkpoint_every == 0 and done.step < plan.steps:
                done.log_bytes = log.size()
                if accelerator.is_main_process:
                    state = {"fingerprint": fingerprint, "progress": done.as_dict()}
                    checkpoint.save(folder, done.step, model, optimizer, state)
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(plan, error) from None
    except RuntimeError as error:
        if "can't allocate memory" in str(error):
            raise _out_of_memory(plan, error) from None
        raise
    done.seconds = spent + time.perf_counter() - started
    if progress:
        progress.finish(_note(done.step, plan.steps, log.last))
    model.eval()
    return done


def share(batches: Sequence[Batch], rank: int, world: int) -> list[Batch]:
    """What one of `world` processes computes of a step: whole micro-batches if they go round, else rows.

    Either way the processes together see what one would: their number changes nothing but the speed.
    Raises TlmError if a batch has fewer rows than there are processes.
    """
    if len(batches) % world == 0:
        return list(batches[rank::world])
    if min(batch.rows for batch in batches) < world:
        raise TlmError(
            f"a batch of {batches[0].rows} rows cannot be shared by {world} processes; raise batch_size"
        )
    return [batch.take(range(rank, batch.rows, world)) for batch in batches]


def _measure(meter: Meter, internal: bool, batch: Batch, losses: Mapping[str, torch.Tensor]) -> None:
    if "mlm" in losses:
        meter.add("internal_mlm" if internal else "external_mlm", losses["mlm"], batch.masked)
    if "task" in losses:
        meter.add("task", losses["task"], batch.rows)


def _check(
    values: Mapping[str, float], bad_step: torch.Tensor, plan: Plan, done: Progressed, folder: Path
) -> None:
    """Raises TlmError when the run has gone wrong; called before anything is saved."""
    last = checkpoint.latest(folder)
    where = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
    advice = f"lower the learning rate ({plan.optimizer.learning_rate}) or lengthen the warm-up; {where}"
    if math.isfinite(first_bad := float(bad_step)) or not all(map(math.isfinite, values.values())):
        step = int(first_bad) if math.isfinite(first_bad) else done.step
        raise TlmError(f"{plan.name}: the loss is not a number at step {step}; {advice}")
    worst = max(values.values(), default=0.0)
    if done.first_loss is None:
        done.first_loss = worst
    if worst > _DIVERGED * max(done.first_loss, plan.chance):
        raise TlmError(f"{plan.name}: the loss diverges ({worst:.2f} at step {done.step}); {advice}")


def _out_of_memory(plan: Plan, error: Exception) -> TlmError:
    return TlmError(
        f"{plan.name}: out of memory ({str(error).splitlines()[0]}); lower batch_size or batch_tokens and "
        "raise accumulation by the same factor, or lower the length"
    )


def _note(step: int, steps: int, values: Mapping[str, float]) -> str:
    losses = " ".join(f"{name} {value:.3f}" for name, value in values.items())
    return f"step {step:,}/{steps:,} {losses}".rstrip()


class _Log:
    """`log.jsonl`: one line per logged step, cut back to the checkpoint on resume; trackers beside it."""

    def __init__(self, path: Path, keep_bytes: int, accelerator: Accelerator) -> None:
        self.path, self.accelerator = path, accelerator
        self.last: dict[str, float] = {}
        if accelerator.is_main_process:
            path.touch()
            os.truncate(path, keep_bytes)

    def size(self) -> int:
        return self.path.stat().st_size if self.accelerator.is_main_process else 0

    def write(self, done: Progressed, tokens: int, rate: float, values: Mapping[str, float]) -> None:
        self.last = {**self.last, **values}
        if self.accelerator.trackers:
            self.accelerator.log({**values, "learning_rate": rate, "tokens": tokens}, step=done.step)
        if self.accelerator.is_main_process:
            line = {"step": done.step, "tokens": tokens, "learning_rate": rate, **values}
            line |= {"seconds": round(done.seconds, 3)}
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


def _prefetch(step_of: Callable[[int], Step], first: int, end: int) -> Iterator[tuple[int, Step]]:
    """Steps `first` … `end` - 1 with their batches, built by a thread two steps ahead."""
    ahead: queue.Queue[tuple[int, Step] | BaseException | None] = queue.Queue(maxsize=2)
    stopped = threading.Event()

    def put(item: tuple[int, Step] | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ahead.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for number in range(first, end):
                if not put((number, step_of(number))):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ahead.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def timing(done: Progressed, total_seconds: float) -> dict[str, float]:
    """For `timing.json`: what a second run of the same numbers would not repeat exactly."""
    return {
        "train_seconds": round(done.seconds, 3),
        "total_seconds": round(total_seconds, 3),
        "tokens_per_second": round(done.work.total.real_tokens / max(done.seconds, 1e-9), 1),
        "peak_memory_bytes": peak_memory(),
    }
