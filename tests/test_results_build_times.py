"""Forecast and truth of a build: sums by rule, the time during which a job ran, and the sign of a busy machine."""

import os

from tlm.config.forecast import Forecast, JobForecast
from tlm.results.build_times import as_text, build_times

FORECAST = Forecast(
    granted=None,
    wall=300,
    cores=2,
    jobs=tuple(
        JobForecast(rule=rule, output=output, seconds=seconds)
        for rule, output, seconds in (
            ("stage1", "runs/a/a/tlm/seed1/stage1/manifest.json", 100),
            ("stage1", "runs/a/a/random/seed1/stage1/manifest.json", 100),
            ("stage2", "runs/a/a/tlm/seed1/stage2/manifest.json", 50),
            ("export", "models/a/manifest.json", 2),
            ("task_report", "results/tasks/a/report.json", 5),
        )
    ),
)


def benchmark(root, name, end, seconds, cpu):
    path = root / f"benchmarks/{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t1\t{cpu}\n")
    os.utime(path, (end, end))


def test_jobs_side_by_side_and_pauses_count_once(tmp_path):
    benchmark(tmp_path, "stage1/a-a-tlm-seed1", 1100, 100, 98)
    benchmark(tmp_path, "stage1/a-a-random-seed1", 1150, 120, 115)
    benchmark(tmp_path, "stage2/a-a-tlm-seed1", 5060, 60, 59)  # after a pause of more than an hour
    times = build_times(FORECAST, tmp_path)
    assert times.seconds == 150 + 60 and not times.was_busy
    assert "ran for 3m30s so far" in as_text(times)
    assert [(each.rule, each.jobs, each.forecast, each.seconds) for each in times.rules] == [
        ("stage1", 2, 200, 220),
        ("stage2", 1, 50, 60),
        ("export", 1, 2, None),
    ]
    benchmark(tmp_path, "export/a", 5070, 10, 9)
    text = as_text(build_times(FORECAST, tmp_path))
    assert "ran for 3m40s: 0.73 times the forecast" in text and "Other work" not in text


def test_training_that_waited_for_the_processor_is_a_sign_of_other_work(tmp_path):
    benchmark(tmp_path, "stage1/a-a-tlm-seed1", 1100, 100, 40)
    benchmark(tmp_path, "stage1/a-a-random-seed1", 1100, 100, 50)
    times = build_times(FORECAST, tmp_path)
    assert times.was_busy and times.share_of_processor == 0.45
    assert "training got 45 % of a processor" in as_text(times)


def test_nothing_is_compared_before_a_job_has_ended(tmp_path):
    times = build_times(FORECAST, tmp_path)
    assert times.seconds is None and times.share_of_processor is None and not times.was_busy
    assert len(as_text(times).splitlines()) == 2 + 3 + 1
