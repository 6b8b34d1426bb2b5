"""The plan and the line that says how far a suite is."""

import os
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from workflow import plan, progress

ROOT = Path(__file__).parents[2]
COLUMNS = "scenario,algorithm,iteration,step,wall_time"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "results/tiny"


def metrics(folder: Path, seed: int, steps: list[int], wall_time: float = 1.0) -> str:
    """Write the metrics of a run, one row for each entry of `steps`."""
    path = folder / f"runs/ant_2x4/happo/default/seed{seed}/metrics.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"ant_2x4,happo,{i},{step},{wall_time * i}" for i, step in enumerate(steps, start=1)]
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return str(path)


def planned(paths: list[str], ahead: bool = True) -> list[progress.Planned]:
    return [progress.Planned(path, 100, 60.0, ahead) for path in paths]


def test_runs_steps_and_time_left(folder):
    paths = [metrics(folder, seed, []) for seed in range(4)]
    plan.write(planned(paths), folder)
    now = time.time()
    assert progress.line(folder / progress.PLAN, now) == "[0/4 runs, 0 % of the training steps, about 4 min left]"
    metrics(folder, 0, [50, 100])
    metrics(folder, 1, [50])
    # 90 planned seconds are done in 45: the remaining 150 will take 75.
    line = progress.line(folder / progress.PLAN, now + 45)
    assert line == "[1/4 runs, 38 % of the training steps, about 75 s left]"


def test_the_end_is_said(folder):
    paths = [metrics(folder, 0, [])]
    plan.write(planned(paths), folder)
    metrics(folder, 0, [100])
    assert progress.line(folder / progress.PLAN, time.time()) == (
        "[1/1 runs, 100 % of the training steps, nothing left to train]"
    )


def test_what_a_stale_run_left_does_not_count_until_it_is_made_again(folder):
    path = metrics(folder, 0, [100])
    os.utime(path, (1, 1))
    plan.write(planned([path]), folder)
    assert progress.line(folder / progress.PLAN, time.time()).startswith("[0/1 runs, 0 %")
    plan.write(planned([path], ahead=False), folder)
    assert progress.line(folder / progress.PLAN, time.time()).startswith("[1/1 runs, 100 %")


def test_a_run_that_gave_up_is_counted_as_failed(folder):
    paths = [metrics(folder, seed, []) for seed in range(2)]
    plan.write(planned(paths), folder)
    Path(metrics(folder, 0, [])).with_name("failures.txt").touch()
    assert progress.line(folder / progress.PLAN, time.time()).startswith("[1/2 runs, 1 failed, 50 %")


def test_a_line_that_is_still_being_written_is_not_read(folder):
    path = Path(metrics(folder, 0, [10]))
    with path.open("a") as file:
        file.write("ant_2x4,happo,2,2")
    assert progress.last_row(path)["step"] == "10"


def test_a_variant_with_a_comma_shifts_no_column(folder):
    path = Path(metrics(folder, 0, []))
    path.write_text(COLUMNS + '\n"k_p=0.1,k_i=1",happo,1,100,1.0\n')
    assert progress.last_row(path)["step"] == "100"


@pytest.mark.parametrize(
    "inside", ["runs/ant_2x4/runs/default/seed0/metrics.csv", "efficiency/ant_2x4/happo/default/repeat0/metrics.csv"]
)
def test_a_run_is_found_whatever_the_suite_and_the_algorithm_are_called(tmp_path, inside):
    folder = tmp_path / "elsewhere/runs"
    plan.write([progress.Planned(f"results/runs/{inside}", 100, 1.0, True)], folder)
    [run], _ = progress.read(folder / progress.PLAN)
    assert run.metrics == str(folder / inside)


def test_a_plan_of_something_else_is_refused(folder):
    plan.write([progress.Planned("results/tiny/metrics.csv", 100, 1.0, True)], folder)
    with pytest.raises(ValueError, match="is not a plan"):
        progress.read(folder / progress.PLAN)


def test_the_plan_is_read_from_where_it_lies(folder, monkeypatch):
    plan.write([progress.Planned("results/tiny/runs/ant_2x4/happo/default/seed0/metrics.csv", 100, 1.0, True)], folder)
    monkeypatch.chdir("/")
    [run], _ = progress.read(folder / progress.PLAN)
    assert run.metrics == metrics(folder, 0, [100])
    assert progress.line(folder / progress.PLAN, time.time()).startswith("[1/1 runs")


def test_long_files_are_read_from_their_end(folder):
    path = Path(metrics(folder, 0, list(range(5000))))
    assert progress.last_row(path)["step"] == "4999"


def test_a_folder_without_a_plan_is_refused(folder):
    with pytest.raises(ValueError, match="start the workflow"):
        progress.line(folder / progress.PLAN, time.time())


def test_timing_runs_have_the_machine_to_themselves_and_training_runs_share_it(folder):
    runs = [
        (f"{folder}/{kind}/ant_2x4/happo/{last}/metrics.csv", 100_000, True)
        for kind, last in (("runs", "default/seed0"), ("efficiency", "default/repeat0"))
    ]
    shared, alone = plan.estimate(runs, folder, cores=4)
    assert alone.seconds == pytest.approx(4 * shared.seconds)


def test_speeds_of_this_suite_replace_the_table(folder):
    metrics(folder, 0, [1000, 2000], wall_time=10.0)
    assert plan.speeds(folder)["ant_2x4", "happo"] == 100


def test_of_runs_of_unequal_speed_the_median_counts_and_each_algorithm_by_itself(folder):
    for seed, seconds in enumerate((1.0, 10.0, 2.0)):  # 1000, 100 and 500 steps a second
        metrics(folder, seed, [1000, 2000], wall_time=seconds)
    metrics(folder, 3, [1000], wall_time=0.01)  # its only iteration warms up
    slow = folder / "runs/ant_2x4/macpo/default/seed0/metrics.csv"
    slow.parent.mkdir(parents=True)
    slow.write_text(f"{COLUMNS}\nant_2x4,macpo,2,2000,80\n")
    assert plan.measured(folder) == {("ant_2x4", "happo"): 500, ("ant_2x4", "macpo"): 25}
    runs = [(f"{folder}/runs/ant_2x4/{name}/default/seed9/metrics.csv", 10_000, True) for name in ("happo", "macpo")]
    fast, slow = (run.seconds - plan.START_SECONDS for run in plan.estimate(runs, folder, cores=1))
    assert (fast, slow) == pytest.approx((20, 400))


def test_no_committed_run_took_more_memory_than_its_job_is_given():
    given = re.search(r"mem_mb=(\d+)", (ROOT / "workflow/rules/train.smk").read_text())[1]
    assert int(given) == 1000 * plan.PROCESS_GIGABYTES
    runs = [pd.read_csv(path)["memory_rss_mib"].max() for path in (ROOT / "results/reference").rglob("metrics.csv")]
    measured = pd.read_csv(ROOT / "results/reference/benchmark/benchmark.csv")["peak_rss_mib"]
    assert len(runs) > 50 and len(measured) > 50
    assert max(*runs, *measured) * 2**20 < int(given) * 1e6


def test_the_description_counts_only_what_is_ahead(folder):
    here = [metrics(folder, seed, [100]) for seed in range(2)]
    text = plan.describe(planned(here[:1]) + planned(here[1:], ahead=False), cores=8)
    assert "1 training runs and 0 timing runs" in text
    assert "8 GB of memory" in text
    assert "No run is ahead" in plan.describe(planned(here, ahead=False), cores=8)


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (36000, "10 h")])
def test_durations_have_a_fitting_unit(seconds, text):
    assert progress.duration(seconds) == text
