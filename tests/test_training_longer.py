"""Stage 1 that continues a shorter run, and stage 1 that ends in time on a slow machine."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_toy import CPU, Toy, read_record, toy_spec

from tlm.artifacts import read_manifest, verify
from tlm.config.training import Optimizer, RunSpec
from tlm.training import loop, monitor
from tlm.training.optimizer import learning_rate
from tlm.training.rate_schedule import RateSchedule
from tlm.training.stage1 import run_stage1

SPEC = Optimizer(learning_rate=1.0, warmup_steps=3, decay_fraction=0.6)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def spec_of(steps: int, **more) -> RunSpec:
    return toy_spec(
        **{
            "stage1.budget": {"steps": steps},
            "stage1.evaluate_every": 4,
            "stage1.optimizer": {"learning_rate": 3e-3, "warmup_steps": 2, "decay_fraction": 0.6},
            "model.dropout": 0.1,
            **more,
        }
    )


def stage1(toy: Toy, spec: RunSpec, out: Path, stable: Path | None, **options):
    return run_stage1(
        spec, toy.task, toy.external, toy.tokenizer, out, stable=stable, execution=CPU, **options
    )


def steps_of(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mode", [{}, {"stage1.optimizer.kind": "muon"}, {"stage1.rho1": 0}])
def test_a_continued_run_equals_one_that_had_the_larger_budget_from_the_start(
    toy, tmp_path, monkeypatch, mode, capsys
):
    monkeypatch.setattr("tlm.training.optimizer.cpu_multiplies_bf16", lambda: True)
    stage1(toy, spec_of(20, **mode), tmp_path / "stage1", tmp_path / "stable")
    assert verify(tmp_path / "stable", "stable").counts["steps"] == 8  # 0.4 * 20
    stage1(toy, spec_of(60, **mode), tmp_path / "stage1", tmp_path / "stable")
    assert "continues a shorter run after step 8 of 60" in capsys.readouterr().out
    stage1(toy, spec_of(60, **mode), tmp_path / "whole", None)
    continued, whole = (read_manifest(tmp_path / name, "stage1") for name in ("stage1", "whole"))
    assert continued == whole  # every file, record.json included
    assert steps_of(tmp_path / "stage1")[-1] == steps_of(tmp_path / "whole")[-1] == 60
    assert read_manifest(tmp_path / "stable").counts["steps"] == 24  # ready for the next time


def test_the_held_out_loss_is_measured_at_the_same_steps_of_the_plateau(toy, tmp_path):
    stage1(toy, spec_of(20), tmp_path / "short", None)
    stage1(toy, spec_of(60), tmp_path / "long", None)
    short, long = (
        {each["step"]: each for each in read_record(tmp_path / name)["held_out"]}
        for name in ("short", "long")
    )
    assert list(short) == [4, 8, 14, 20] and list(long) == [*range(4, 25, 4), 42, 60]
    assert all(short[step] == long[step] for step in (4, 8))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stage1.rho2": 5}, "made with stage1.rho2 = 20.0 (now 5.0)"),
        ({"seed": 2}, "made with seed = 1 (now 2)"),
        (
            {"stage1.optimizer": {"learning_rate": 3e-3, "warmup_steps": 4, "decay_fraction": 0.6}},
            "warm-up had 2 steps (now 4)",
        ),
        ({"stage1.budget": {"steps": 15}}, "8 steps, and the decay now starts after 6"),
        ({"stage1.budget": {"steps": 20}}, "the budget has not changed"),
    ],
)
def test_another_setting_starts_over_and_prints_the_reason(toy, tmp_path, change, reason, capsys):
    stage1(toy, spec_of(20), tmp_path / "stage1", tmp_path / "stable")
    spec = spec_of(60, **change)
    stage1(toy, spec, tmp_path / "stage1", tmp_path / "stable")
    assert reason in capsys.readouterr().out
    stage1(toy, spec, tmp_path / "whole", None)
    assert read_manifest(tmp_path / "stage1") == read_manifest(tmp_path / "whole")


def test_a_fraction_as_warm_up_continues_if_its_steps_are_the_same(toy, tmp_path, capsys):
    fraction = {"learning_rate": 3e-3, "warmup_fraction": 0.1, "decay_fraction": 0.6}
    stage1(toy, spec_of(20, **{"stage1.optimizer": fraction}), tmp_path / "stage1", tmp_path / "stable")
    stage1(toy, spec_of(60), tmp_path / "stage1", tmp_path / "stable")
    assert "continues a shorter run after step 8" in capsys.readouterr().out


class Clock:
    """Seconds that pass with each step."""

    def __init__(self, seconds_per_step):
        self.step, self.seconds_per_step = 0, seconds_per_step

    def __call__(self):
        self.step += 1
        return (self.step * self.seconds_per_step, 0.0)


def test_a_slow_machine_ends_in_time_like_a_run_that_was_planned_so(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "_clocks", Clock(2.0))
    limited = spec_of(300, **{"stage1.budget": {"steps": 300, "seconds": 200}})
    stage1(toy, limited, tmp_path / "limited", tmp_path / "stable")
    record = read_record(tmp_path / "limited")
    ((cut, steps),) = record["cuts"]
    assert (cut, steps) == (40, 100) and read_manifest(tmp_path / "limited").counts["steps"] == 100
    assert "slower than planned" in capsys.readouterr().out
    assert read_manifest(tmp_path / "stable").counts["steps"] == 40
    stage1(toy, spec_of(100), tmp_path / "planned", None)
    one, two = (verify(tmp_path / name).files for name in ("limited", "planned"))
    assert {name: entry for name, entry in one.items() if name != "record.json"} == {
        name: entry for name, entry in two.items() if name != "record.json"
    }
    planned = read_record(tmp_path / "planned")
    assert {**planned, "cuts": record["cuts"]} == record


def test_a_fast_machine_keeps_its_plan(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_clocks", Clock(1.0))
    stage1(toy, spec_of(40, **{"stage1.budget": {"steps": 40, "seconds": 60}}), tmp_path / "limited", None)
    stage1(toy, spec_of(40), tmp_path / "planned", None)
    one, two = (read_manifest(tmp_path / name) for name in ("limited", "planned"))
    assert one.files == two.files and "cuts" not in read_record(tmp_path / "limited")


def test_a_cut_survives_an_interruption(toy, tmp_path, monkeypatch):
    spec = spec_of(300, **{"stage1.budget": {"steps": 300, "seconds": 200}, "stage1.checkpoint_every": 15})
    monkeypatch.setattr(loop, "_clocks", Clock(2.0))
    stage1(toy, spec, tmp_path / "whole", None)
    clock = Clock(2.0)

    def interrupted():
        if clock.step == 70:
            raise KeyboardInterrupt
        return clock()

    monkeypatch.setattr(loop, "_clocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage1(toy, spec, tmp_path / "again", None)
    monkeypatch.setattr(loop, "_clocks", Clock(2.0))
    stage1(toy, spec, tmp_path / "again", None)
    assert read_manifest(tmp_path / "again") == read_manifest(tmp_path / "whole")


def test_a_limit_may_be_set_while_a_run_is_interrupted(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_clocks", stop_at(50))
    with pytest.raises(KeyboardInterrupt):
        stage1(toy, spec_of(300, **{"stage1.checkpoint_every": 15}), tmp_path / "out", None)
    monkeypatch.setattr(loop, "_clocks", Clock(2.0))
    limited = {"stage1.checkpoint_every": 15, "stage1.budget": {"steps": 300, "seconds": 200}}
    stage1(toy, spec_of(300, **limited), tmp_path / "out", None)
    assert read_manifest(tmp_path / "out").counts["steps"] < 130
    shutil.rmtree(tmp_path / "out")


def stop_at(step: int):
    clock = Clock(2.0)

    def read():
        if clock.step == step:
            raise KeyboardInterrupt
        return clock()

    return read


@pytest.mark.parametrize(("expected", "warns"), [(10.0, True), (1000.0, False), (None, False)])
def test_a_machine_slower_than_the_forecast_is_reported_once(
    toy, tmp_path, monkeypatch, capsys, expected, warns
):
    monkeypatch.setattr(loop, "_clocks", Clock(10.0))
    monkeypatch.setattr(monitor, "_LOG_EVERY", 5)
    stage1(toy, spec_of(20), tmp_path / "out", None, expected_seconds=expected)
    assert capsys.readouterr().out.count("slower than the forecast: at this speed 3m") == warns


@given(st.integers(30, 5000), st.floats(0.01, 10), st.floats(0.05, 3))
def test_a_plateau_is_cut_so_late_that_its_decay_still_fits(planned, per_step, share):
    limit, schedule = share * planned * per_step, RateSchedule(SPEC, planned)
    for step in range(10, planned, 10):
        if step >= schedule.steps:
            break
        schedule = schedule.cut_for_time(step, step * per_step, limit)
    if share >= 1.01:
        assert not schedule.cuts
    elif share * planned >= 80:  # else the decision comes too late
        assert schedule.steps * per_step <= limit * 1.03
        assert schedule.steps * per_step >= limit * 0.9 - 25 * per_step
        assert SPEC.decay_start(schedule.steps) == schedule.decay_start
        assert all(
            schedule.rate(step) == pytest.approx(learning_rate(SPEC, step, schedule.steps))
            for step in range(schedule.steps)
        )


@given(st.lists(st.floats(0.5, 4), min_size=30, max_size=30))
def test_a_machine_of_changing_speed_ends_near_the_limit(speeds):
    """Each of 30 parts of the run has its own speed; the schedule falls without a step up."""
    planned, limit, seconds, step = 3000, 2500.0, 0.0, 0
    schedule = RateSchedule(SPEC, planned)
    while step < schedule.steps:
        seconds += speeds[step * 30 // planned]
        step += 1
        if step % 10 == 0:
            schedule = schedule.cut_for_time(step, seconds, limit)
    assert step == planned or seconds <= 1.3 * limit
    rates = [schedule.rate(number) for number in range(schedule.steps)]
    assert all(rate > 0 for rate in rates)
    assert rates[3:] == sorted(rates[3:], reverse=True)
