"""The training loop of both stages: one process or many, CPU or GPU, exact after a crash.

Place in the flow: stage1 and stage2 make a plan, prefetch builds its batches, monitor logs its losses; the loop runs
the steps through Accelerate. The authors' loop padded to the longest length, could not resume and shuffled anew after a
restart (docs/differences.md).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from tlm.artifacts import canonical_json
from tlm.errors import TlmError
from tlm.training import checkpoint, stable
from tlm.training.model import TwoHeads
from tlm.training.monitor import Monitor
from tlm.training.optimizer import build_optimizers
from tlm.training.prefetch import prepared_steps
from tlm.training.randomness import torch_seed
from tlm.training.rate_schedule import DECIDE_EVERY, RateSchedule
from tlm.training.stage_plan import StagePlan, StageProgress


def train(
    plan: StagePlan,
    model: TwoHeads,
    accelerator: Accelerator,
    workspace: Path,
    fingerprint: Mapping[str, Any],
    *,
    compiled: bool = False,
) -> StageProgress:
    """Run the steps of `plan` that a checkpoint in `workspace` has not yet done; `model` is trained in place.

    Writes `log.jsonl` and `checkpoints/` below `workspace`. Raises TlmError when the loss is not a number or
    diverges, when memory runs out, when the checkpoint belongs to a run with another fingerprint, and when processes
    start at different steps.
    """
    began, world, folder = _clocks(), accelerator.num_processes, workspace / "checkpoints"
    model.to(accelerator.device)
    optimizers = build_optimizers(plan.optimizer, model)
    done = _begin(plan, model, optimizers, workspace, fingerprint, accelerator)
    _check_same_start(plan, done, fingerprint, accelerator)
    before = done.seconds, done.cpu_seconds
    schedule = RateSchedule.of(plan.optimizer, plan.steps, done.cuts)
    ready, *ready_optimizers = accelerator.prepare(torch.compile(model) if compiled else model, *optimizers)
    monitor = Monitor(plan, done, schedule, workspace, accelerator)
    has_dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    model.train()
    with _explain_memory_errors(plan):
        for prepared in prepared_steps(plan, done.step, accelerator):
            number, step = prepared.number, prepared.step
            rate = schedule.rate(number)
            weights = plan.weights(step)
            for micro, (batch, tensors) in enumerate(prepared.mine):
                if has_dropout:
                    draw = (number, micro, accelerator.process_index)
                    torch.manual_seed(torch_seed(plan.seed, plan.name, "dropout", *draw))
                with nullcontext() if micro == len(prepared.mine) - 1 else accelerator.no_sync(ready):
                    losses = ready(tensors.to(accelerator.device), weights)
                    # Processes average their gradients; the weights already count the whole step.
                    accelerator.backward(losses["loss"] * world)
                monitor.measure(number, step.internal, batch, losses)
            if (limit := plan.optimizer.max_grad_norm) is not None:
                accelerator.clip_grad_norm_(ready.parameters(), limit)
            for optimizer in ready_optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            counts = done.work.internal if step.internal else done.work.external
            counts.add(step.batches, plan.nominal_length(step.internal))
            done.step = number + 1
            wall, cpu = _clocks()
            done.seconds, done.cpu_seconds = before[0] + wall - began[0], before[1] + cpu - began[1]
            if (shorter := _in_time(plan, schedule, done, accelerator)) is not schedule:
                schedule, done.cuts = shorter, [list(cut) for cut in shorter.cuts]
                monitor.reschedule(schedule)
            values = monitor.read()
            measured = _evaluate(plan, model, done) if done.step in monitor.evaluations else {}
            monitor.report(rate, {**values, **measured})
            if done.step == schedule.steps or (measured and plan.enough(measured)):
                break
            starts_decay = plan.stable is not None and done.step == schedule.decay_start
            if done.step % plan.checkpoint_every == 0 or starts_decay:
                done.log_bytes = monitor.log_bytes()
            if accelerator.is_main_process:
                if done.step % plan.checkpoint_every == 0:
                    state = {"fingerprint": fingerprint, "progress": done.as_dict()}
                    checkpoint.save(folder, done.step, model, optimizers, state)
                if plan.stable is not None and starts_decay:
                    stable.save(plan.stable, schedule, model, optimizers, fingerprint, done, monitor.file)
    monitor.finish()
    model.eval()
    return done


def _clocks() -> tuple[float, float]:
    """Seconds on the wall, and of this process on all its processors."""
    return time.perf_counter(), time.process_time()


def _begin(
    plan: StagePlan,
    model: TwoHeads,
    optimizers: Sequence[torch.optim.Optimizer],
    workspace: Path,
    fingerprint: Mapping[str, Any],
    accelerator: Accelerator,
) -> StageProgress:
    """Restore the last checkpoint and its progress, or those of a shorter run, or start at step 0."""
    if (last := checkpoint.latest(workspace / "checkpoints")) is not None:
        done = StageProgress.from_dict(checkpoint.read_state(last, fingerprint)["progress"])
        checkpoint.restore(last, model, optimizers)
        accelerator.print(f"{plan.name}: resumes after step {done.step} of {plan.steps}")
        return done
    if plan.stable is not None and (state := stable.read(plan.stable)) is not None:
        schedule = RateSchedule(plan.optimizer, plan.steps)
        if (reason := stable.obstacle(state, fingerprint, schedule)) is None:
            done = StageProgress.from_dict(state["progress"])
            checkpoint.restore(plan.stable, model, optimizers)
            if accelerator.is_main_process:
                shutil.copyfile(plan.stable / stable.LOG, workspace / stable.LOG)
            accelerator.print(f"{plan.name}: continues a shorter run after step {done.step} of {plan.steps}")
            return done
        accelerator.print(f"{plan.name}: starts at step 0, not from {plan.stable}: {reason}")
    return StageProgress(start=plan.initialise() if plan.initialise else {})


def _check_same_start(
    plan: StagePlan, done: StageProgress, fingerprint: Mapping[str, Any], accelerator: Accelerator
) -> None:
    """Raise TlmError in every process if they start at different steps or with different specifications."""
    if accelerator.num_processes == 1:
        return
    starts = gather_object([(done.step, canonical_json(fingerprint))])
    if len({step for step, _ in starts}) > 1:
        steps = ", ".join(f"process {rank} at step {step}" for rank, (step, _) in enumerate(starts))
        raise TlmError(
            f"{plan.name}: the processes start at different steps ({steps}); all machines must see the same folder "
            "of the run, so put it on a shared file system"
        )
    if len(set(starts)) > 1:
        raise TlmError(
            f"{plan.name}: the processes have different specifications or inputs; start them alike"
        )


def _in_time(
    plan: StagePlan, schedule: RateSchedule, done: StageProgress, accelerator: Accelerator
) -> RateSchedule:
    """The schedule, shortened if the stage would take longer than `plan.seconds`; the main process decides."""
    if plan.seconds is None or done.step % DECIDE_EVERY:
        return schedule
    shorter = [schedule.cut_for_time(done.step, done.seconds, plan.seconds)]
    if accelerator.num_processes > 1:
        broadcast_object_list(shorter)
    return schedule if shorter[0] == schedule else shorter[0]


def _evaluate(plan: StagePlan, model: TwoHeads, done: StageProgress) -> dict[str, float]:
    """Measure the model and note it in the history."""
    if plan.evaluate is None:
        return {}
    model.eval()
    with torch.no_grad():  # the bare model: processes may evaluate different numbers of batches
        measured = plan.evaluate(done)
    model.train()
    done.history.append({"step": done.step, "tokens": int(plan.tokens[done.step - 1]), **measured})
    return measured


@contextmanager
def _explain_memory_errors(plan: StagePlan) -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors into a TlmError that names the settings to lower."""
    try:
        yield
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not full:
            raise
        raise TlmError(
            f"{plan.name}: out of memory ({str(error).splitlines()[0]}); lower batch_size or batch_tokens and "
            "raise accumulation by the same factor, or lower the length"
        ) from None
