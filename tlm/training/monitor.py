"""Log the losses of a run (progress line, `log.jsonl`, trackers) and stop the run when they diverge.

Place in the flow: called by the loop after every step. Losses stay on the device until they are read, and are
summed over all processes without counting anything twice.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import Accelerator

from tlm.errors import TlmError
from tlm.progress import Progress, duration
from tlm.training import checkpoint
from tlm.training.masking import Batch
from tlm.training.rate_schedule import RateSchedule
from tlm.training.stage_plan import StagePlan, StageProgress

_LOG_EVERY = 10  # steps
_SLOWER = 1.15  # times the forecast: a line warns
_SURE = 60.0  # seconds before the speed of this machine is compared with the forecast
_DIVERGED = 3.0  # a logged loss of this many times the larger of the first one and chance


class Monitor:
    """Collects, logs and checks the losses of one run; every process has one, only the main process writes."""

    def __init__(
        self,
        plan: StagePlan,
        done: StageProgress,
        schedule: RateSchedule,
        workspace: Path,
        accelerator: Accelerator,
    ) -> None:
        """Cuts `log.jsonl` back to the checkpoint that `done` comes from."""
        self.plan, self.done, self.accelerator = plan, done, accelerator
        self.meter = LossMeter(accelerator)
        self.checkpoints, self.file = workspace / "checkpoints", workspace / "log.jsonl"
        self.steps, self.evaluations = schedule.steps, plan.evaluation_steps(schedule)
        self.bad_step = torch.full((), torch.inf, device=accelerator.device)
        self.last: dict[str, float] = {}
        self.warned = plan.expected_seconds is None or plan.seconds is not None
        self.progress: Progress | None = None
        if accelerator.is_main_process:
            self.file.touch()
            os.truncate(self.file, done.log_bytes)
            self.progress = Progress(plan.name, int(plan.tokens[self.steps - 1]), "tokens")
            if done.step:
                self.progress.skip(int(plan.tokens[done.step - 1]))

    def measure(self, number: int, internal: bool, batch: Batch, losses: Mapping[str, torch.Tensor]) -> None:
        """Note the losses of a micro-batch of step `number`, without waiting for the device."""
        if "mlm" in losses:
            self.meter.add("internal_mlm" if internal else "external_mlm", losses["mlm"], batch.masked)
        if "task" in losses:
            self.meter.add("task", losses["task"], batch.rows)
        finite = losses["loss"].detach().isfinite()
        self.bad_step = torch.where(finite, self.bad_step, self.bad_step.clamp(max=number))

    def read(self) -> dict[str, float]:
        """The means since the last reading, on steps that are logged, evaluated or saved; else an empty dict.

        Raises TlmError, before anything is saved, if a loss is not a number or diverges.
        """
        step = self.done.step
        if step % _LOG_EVERY and step not in self.evaluations and step % self.plan.checkpoint_every:
            return {}
        values = self.meter.read()
        self._check(values)
        return values

    def _check(self, values: Mapping[str, float]) -> None:
        plan, done = self.plan, self.done
        last = checkpoint.latest(self.checkpoints)
        where = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        advice = f"lower the learning rate ({plan.optimizer.learning_rate}) or lengthen the warm-up; {where}"
        if math.isfinite(first_bad := float(self.bad_step)) or not all(map(math.isfinite, values.values())):
            step = int(first_bad) if math.isfinite(first_bad) else done.step
            raise TlmError(f"{plan.name}: the loss is not a number at step {step}; {advice}")
        worst = max(values.values(), default=0.0)
        if done.first_loss is None:
            done.first_loss = worst
        if worst > _DIVERGED * max(done.first_loss, plan.chance):
            raise TlmError(f"{plan.name}: the loss diverges ({worst:.2f} at step {done.step}); {advice}")

    def report(self, rate: float, values: Mapping[str, float]) -> None:
        """Log the values measured at `done.step`, if there are any, and update the progress line."""
        done, tokens = self.done, self.plan.tokens
        now = int(tokens[done.step - 1])
        if values:
            self.last = {**self.last, **values}
            if self.accelerator.trackers:
                self.accelerator.log({**values, "learning_rate": rate, "tokens": now}, step=done.step)
            if self.accelerator.is_main_process:
                line = {"step": done.step, "tokens": now, "learning_rate": rate, **values}
                line |= {"seconds": round(done.seconds, 3)}
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
        if not self.warned and done.step % _LOG_EVERY == 0:
            self._compare_with_forecast()
        if self.progress:
            self.progress.add(now - (int(tokens[done.step - 2]) if done.step > 1 else 0), self._note())

    def _compare_with_forecast(self) -> None:
        """Print one line if the stage will take much longer than its forecast."""
        done, forecast = self.done, self.plan.expected_seconds or 0.0
        needed = done.seconds * self.steps / done.step
        if done.seconds >= _SURE and needed > _SLOWER * forecast:
            self.warned = True
            self.accelerator.print(
                f"{self.plan.name}: slower than the forecast: at this speed {duration(needed)}, not "
                f"{duration(forecast)}. To end in time with fewer steps, press Ctrl-C and run `tlm train <name> "
                "--stop-at-budget`: training goes on from its last checkpoint"
            )

    def reschedule(self, schedule: RateSchedule) -> None:
        """Follow a schedule that was shortened to end in time."""
        plan, before = self.plan, self.steps
        self.steps, self.evaluations = schedule.steps, plan.evaluation_steps(schedule)
        if self.progress:
            self.progress.total = int(plan.tokens[self.steps - 1])
            self.accelerator.print(
                f"{plan.name}: slower than planned; the learning rate falls from step {self.done.step:,} on, and "
                f"training ends after {self.steps:,} steps, not {before:,}, to keep within "
                f"{duration(plan.seconds or 0)}"
            )

    def log_bytes(self) -> int:
        """Size of the log, for the checkpoint."""
        return self.file.stat().st_size if self.accelerator.is_main_process else 0

    def finish(self) -> None:
        """Close the progress line."""
        if self.progress:
            self.progress.finish(self._note())

    def _note(self) -> str:
        losses = " ".join(f"{name} {value:.3f}" for name, value in self.last.items())
        return f"step {self.done.step:,}/{self.steps:,} {losses}".rstrip()


class LossMeter:
    """Sums of losses, kept on the device until they are read, and the numbers of rows or positions in them."""

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
