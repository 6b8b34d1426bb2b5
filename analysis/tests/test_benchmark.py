"""The benchmark's table and bars, and the figure of the original code's errors."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as driver
from analysis import curves, results, speed
from analysis.tests.conftest import ALGORITHMS, header_only
from envs.scenarios import SCENARIOS


@pytest.fixture
def measurement(tmp_path):
    """Return a function that writes one measurement; collection and update follow from what a step costs."""

    def write_one(scenario="ant_2x4", algorithm="mafocops", physics=100.0, rest=20.0, update=30.0, **columns):
        row = {
            "scenario": scenario,
            "algorithm": algorithm,
            "threads": 1,
            "physics": 1e6 / physics,
            "collect": 1e6 / (physics + rest),
            "update": 1e6 / update,
            "end_to_end": 1e6 / (physics + rest + update),
            "ratio": physics / (physics + rest + update),
            "peak_rss_mib": 300.0,
        } | columns
        path = tmp_path / f"{scenario}-{algorithm}.csv"
        pd.DataFrame([row]).to_csv(path, index=False)
        return path

    return write_one


def test_the_parts_of_a_step_are_the_microseconds_that_were_measured(measurement):
    frame = speed.measured(results.measurements([measurement(physics=100.0, rest=20.0, update=30.0)]))
    assert np.allclose(frame[list(speed.BENCHMARK)], [[100.0, 20.0, 30.0]])


def test_all_scenarios_and_algorithms_fit_one_figure_and_one_table(measurement, command, tmp_path):
    files = [measurement(s, a) for s in reversed(SCENARIOS) for a in ALGORITHMS]
    command(driver, "benchmark", *files, "--output", tmp_path / "out" / "b")
    rows = pd.read_csv(tmp_path / "out" / "b.csv")
    assert rows["scenario"].unique().tolist() == list(SCENARIOS) and len(rows) == 5 * len(SCENARIOS) == 75
    assert (tmp_path / "out" / "b.md").read_text().count("| MAFOCOPS |") == len(SCENARIOS)
    assert all((tmp_path / "out" / f"b{suffix}").stat().st_size for suffix in (".svg", ".png", ".caption.txt"))


def test_the_speed_up_stands_beside_that_of_table_1(measurement):
    frame = results.measurements([measurement(), measurement(algorithm="macpo", update=180.0)])
    ratios = speed.speed_up(frame).loc["ant_2x4"]
    assert ratios["ours"] == pytest.approx(300 / 150) and ratios["paper"] == pytest.approx(270 / 218)


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"physics": "fast"}, "'physics'"), ({"ratio": -1.0}, "'ratio'"), ({"scenario": "ant_9x9"}, "'ant_9x9'")],
)
def test_a_foreign_measurement_is_refused_in_one_sentence(measurement, columns, words):
    path = measurement()
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)
    with pytest.raises(ValueError, match=words) as refusal:
        results.measurements([path])
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_same_measurement_twice_is_refused(measurement):
    path = measurement()
    with pytest.raises(ValueError, match="same measurement"):
        results.measurements([path, path])


@pytest.mark.parametrize("content", ["", "scenario\nant_2x4\n", "header only"])
def test_nothing_is_written_for_a_file_that_is_no_measurement(measurement, command, tmp_path, content):
    good, bad = measurement(), measurement(algorithm="macpo")
    bad.write_text(bad.read_text().splitlines()[0] + "\n" if content == "header only" else content)
    with pytest.raises(ValueError, match="macpo"):
        command(driver, "benchmark", good, bad, "--output", tmp_path / "b")
    assert not list(tmp_path.glob("b.*"))


@pytest.mark.parametrize("chosen", [["ant_2x4"], ["halfcheetah_2x3", "ant_4x2"], list(SCENARIOS)])
def test_legend_and_bars_lie_inside_the_figure(measurement, chosen):
    frame = speed.measured(results.measurements([measurement(s, a) for s in chosen for a in ALGORITHMS]))
    figure = speed.draw(frame.assign(speed=frame["end_to_end"]), speed.BENCHMARK)
    figure.draw_without_rendering()
    boxes = [figure.legends[0].get_window_extent(), *(axis.get_tightbbox() for axis in figure.axes)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    ends = sorted((box.x0, box.x1) for box in boxes[1:])
    assert all(left[1] < right[0] for left, right in pairwise(ends))  # no column covers the next
    assert sum(len(axis.patches) for axis in figure.axes) == len(frame) * len(speed.BENCHMARK)


def test_an_algorithm_alone_has_no_speed_up(measurement, command, tmp_path):
    command(driver, "benchmark", measurement(algorithm="happo"), "--output", tmp_path / "b")
    assert "| Ant 2x4 | n/a | 1.24 |" in (tmp_path / "b.md").read_text()


def test_a_legacy_figure_whose_runs_all_failed_still_exists_and_says_so(write, command, tmp_path):
    failed = header_only(write(algorithm="macpo", variant="legacy", iterations=1))
    base = tmp_path / "legacy"
    command(driver, "legacy", failed, "--output", base)
    assert "1 of 1 run missing" in base.with_name("legacy.caption.txt").read_text()


def test_the_legacy_figure_pairs_each_algorithm_with_its_legacy_variant(write, command, tmp_path):
    runs = [write(algorithm=a, variant=v) for a in ("macpo", "mappo_l") for v in ("default", "legacy")]
    runs.append(write(algorithm="macpo", variant="fraction_coef=0.3"))
    base = tmp_path / "legacy"
    command(driver, "legacy", *runs, "--output", base)
    drawn = pd.read_csv(f"{base}.csv")
    assert set(drawn["line"]) == {"macpo", "macpo legacy", "mappo_l", "mappo_l legacy"}
    lines = {line.key: line for line in curves._lines(drawn, "legacy")}
    assert lines["macpo"].colour == lines["macpo legacy"].colour != lines["mappo_l"].colour
    assert lines["macpo"].style == "-" != lines["macpo legacy"].style
    assert "Q1-Q8" in base.with_name("legacy.caption.txt").read_text()


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("time_limit", "time_limit", "bootstrap"),
        ("nu_reading", "nu_update", "iteration"),
        ("kl_reading", "kl_reduction", "sum"),
    ],
)
def test_a_figure_of_two_values_names_the_dashed_one_and_leaves_other_variants_out(
    write, command, tmp_path, name, setting, value
):
    variants = {"default": 30.0, f"{setting}={value}": 70.0, "lam=1": 99.0, "legacy": 99.0}
    pairs = [(a, v, c) for a in ("happo", "mafocops") for v, c in variants.items()]
    runs = [write(algorithm=a, variant=v, episode_cost=c) for a, v, c in pairs]
    command(driver, name, *runs, "--output", tmp_path / name)
    drawn = pd.read_csv(tmp_path / f"{name}.csv").query("quantity == 'cost'")
    last = {key: float(own["median"].iloc[-1]) for key, own in drawn.groupby("line")}
    assert last == {"happo": 30, f"happo {value}": 70, "mafocops": 30, f"mafocops {value}": 70}
    lines = curves._lines(drawn, name)
    assert [line.label for line in lines] == ["MAFOCOPS", f"MAFOCOPS {value}", "HAPPO", f"HAPPO {value}"]
    assert [line.style == "-" for line in lines] == [True, False] * 2
    assert value.capitalize() in (tmp_path / f"{name}.caption.txt").read_text()
