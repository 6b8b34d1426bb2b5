"""Names at curves and points, the Pareto view, and where an iteration's time goes."""

import json
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from analysis import __main__ as driver
from analysis import curves, efficiency, pareto, results, speed, style
from analysis.tests.conftest import ALGORITHMS, rows_of_run
from envs.scenarios import SCENARIOS

places = st.lists(st.floats(-50, 150), min_size=1, max_size=9).map(np.array)


@given(places)
def test_spread_positions_are_apart_inside_and_in_order(wanted):
    found = style.spread(wanted, 10.0, 0.0, 100.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(found[order]) >= 10.0 - 1e-9).all()
    assert found.min() >= -1e-9 and found.max() <= 100 + 1e-9


@given(places)
def test_positions_that_are_apart_already_stay(wanted):
    apart = np.cumsum(np.abs(wanted) + 10.0)
    assert style.spread(apart, 10.0, 0.0, apart[-1]) == pytest.approx(apart)


def test_positions_that_touch_move_as_little_as_possible():
    assert style.spread(np.array([50.0, 50.0, 90.0]), 10.0, 0.0, 100.0).tolist() == [45.0, 55.0, 90.0]


def extent(text):
    return Text.get_window_extent(text)  # of an annotation without its hairline


def overlapping(texts):
    boxes = [extent(text) for text in texts]
    return [(a, b) for a, b in combinations(range(len(boxes)), 2) if boxes[a].overlaps(boxes[b])]


def draw_curves(algorithms, chosen):
    runs = [
        rows_of_run(s, a, seed, value=1000.0 + k, cost=SCENARIOS[s].bound - 1 + k)
        for s in chosen
        for k, a in enumerate(algorithms)
        for seed in range(2)
    ]
    drawn = curves.curves(pd.concat(runs), "algorithm")
    return curves.draw(drawn, chosen, curves.algorithm_lines(drawn["line"]))


@pytest.mark.parametrize("chosen", [["ant_2x4"], ["ant_2x4", "ant_4x2", "ant_8x1", "ant_2x4d"]])
def test_every_curve_and_bound_is_named_beside_its_panel_and_no_name_covers_another(chosen):
    figure = draw_curves([*ALGORITHMS, "somebody_elses_method"], chosen)
    figure.draw_without_rendering()
    assert not figure.legends
    every = [text for axis in figure.axes for text in axis.texts]
    assert not overlapping(every)
    assert all(figure.bbox.x0 <= extent(t).x0 and extent(t).x1 <= figure.bbox.x1 for t in every)
    for axis, (row, column) in zip(figure.axes, np.ndindex(2, len(chosen)), strict=True):
        bound = [f"bound {SCENARIOS[chosen[column]].bound:g}"] if row else []
        assert [t.get_text() for t in axis.texts] == [*map(results.label, ALGORITHMS), "somebody_elses_method", *bound]
        assert all(extent(t).x0 > axis.bbox.x1 for t in axis.texts)
        assert all(t.arrow_patch.get_window_extent().x1 < extent(t).x0 + 1 for t in axis.texts)  # no name is struck out
    plt.close(figure)


def test_a_name_beside_a_point_keeps_off_what_is_written_there():
    figure, axis = plt.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.annotate("bound 50", (0.5, 0.5), (8, -3), textcoords="offset points", fontsize=style.SIZE)
    style.at_points(axis, [(0.5, 0.5, "MAPPO", "black")], np.empty((0, 2)))
    figure.draw_without_rendering()
    assert not overlapping(axis.texts)
    plt.close(figure)


def test_a_curve_that_ends_early_is_named_at_its_last_value():
    runs = [rows_of_run("ant_2x4", "happo"), rows_of_run("ant_2x4", "mappo", steps=5_000_000, value=7.0)]
    drawn = curves.curves(pd.concat(runs), "algorithm")
    lines = curves.algorithm_lines(drawn["line"])
    ends = curves._ends(drawn[drawn["quantity"] == "return"].assign(x=drawn["step"] / 1e6), lines)
    assert [(x, y, name) for x, y, name, _ in ends] == [(10.0, 1000.0, "HAPPO"), (5.0, 7.0, "MAPPO")]


@pytest.mark.parametrize("chosen", [["ant_2x4"], list(SCENARIOS)])
def test_the_pareto_view_shows_every_seed_and_names_every_algorithm(chosen):
    runs = [
        rows_of_run(s, a, seed, value=500.0 * k + seed, cost=20.0 * (k + 1) ** 2 + seed)
        for s in chosen
        for k, a in enumerate(ALGORITHMS)
        for seed in range(3)
    ]
    drawn = pareto.tidy(results.ordered(pd.concat(runs)))
    assert len(drawn) == len(runs) and list(dict.fromkeys(drawn["scenario"])) == chosen
    figure = pareto.draw(drawn)
    figure.draw_without_rendering()
    assert len(figure.axes) == len(chosen)
    for axis, scenario in zip(figure.axes, chosen, strict=True):
        names = [text.get_text() for text in axis.texts]
        assert names == [f"bound {SCENARIOS[scenario].bound:g}", *map(results.label, ALGORITHMS)]
        assert not overlapping(axis.texts)
        own = drawn[drawn["scenario"] == scenario]
        for points, shown in zip(axis.collections, ("final", "median"), strict=True):
            expected = own[[f"{shown}_cost", f"{shown}_return"]].to_numpy()
            assert {*map(tuple, np.asarray(points.get_offsets()))} == {*map(tuple, expected)}
    plt.close(figure)


def test_the_pareto_view_leaves_out_other_variants_and_unfinished_runs(write, command, tmp_path):
    runs = [write(), write(algorithm="macpo", variant="legacy"), write(algorithm="happo", steps=1_000_000)]
    command(driver, "pareto", *runs, "--output", tmp_path / "p")
    assert pd.read_csv(tmp_path / "p.csv")["algorithm"].tolist() == ["mafocops"]
    assert "1 run ended early" in (tmp_path / "p.caption.txt").read_text()


def test_the_pareto_view_has_medians_beside_the_seeds_and_names_what_is_missing(write, command, tmp_path):
    runs = [
        write(seed=k, episode_return=r, episode_cost=c) for k, (r, c) in enumerate([(1.0, 0.5), (5.0, 9.0), (2, 3)])
    ]
    failed = write(algorithm="happo")
    failed.write_text(failed.read_text().splitlines()[0] + "\n")
    command(driver, "pareto", *runs, failed, "--output", tmp_path / "p")
    drawn = pd.read_csv(tmp_path / "p.csv")
    assert drawn["final_cost"].tolist() == [0.5, 9, 3]
    assert (drawn["median_return"] == 2).all() and (drawn["median_cost"] == 3).all()
    caption = (tmp_path / "p.caption.txt").read_text()
    assert "1 of 4 runs missing" in caption and "Costs below 1 stand at 1." in caption


@pytest.mark.parametrize("artefact", ["pareto", "iteration_time"])
def test_the_same_metrics_give_the_same_bytes(write, command, tmp_path, artefact):
    runs = [write(seed=k, episode_cost=40.0 + k, fps_collect=1000.0, fps_update=800.0) for k in range(2)]
    for name in ("first", "second"):
        command(driver, artefact, *runs, "--output", tmp_path / name)
    for suffix in (".svg", ".png", ".csv", ".caption.txt"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_the_parts_of_an_iteration_add_up_to_its_time(write):
    runs = [write(fps=400.0, fps_collect=1000.0, fps_update=800.0, algorithm=a) for a in ("macpo", "mafocops")]
    rows = speed.iterations(results.read(runs, repeats=True))
    assert rows["algorithm"].tolist() == ["mafocops", "macpo"]
    assert rows[list(speed.ITERATION)].iloc[0].tolist() == pytest.approx([1000.0, 1250.0, 250.0])
    figure = speed.draw(rows, speed.ITERATION)
    assert sum(patch.get_width() for patch in figure.axes[0].patches) == pytest.approx(2 * 2500)
    assert [t.get_text() for t in figure.axes[0].texts] == ["400 /s", "400 /s", "Ant 2x4"]
    plt.close(figure)


def test_the_caption_of_the_iteration_time_names_the_hardware(write, command, tmp_path):
    run = write(fps_collect=1000.0, fps_update=800.0)
    run.with_name("run.json").write_text(json.dumps({"task_version": 1, "hardware": {"cpu": "Z80", "cores": 3}}))
    command(driver, "iteration_time", run, "--output", tmp_path / "t")
    assert "Measured on Z80 (3 cores)." in (tmp_path / "t.caption.txt").read_text()


def test_runs_without_parts_leave_an_empty_figure(write, command, tmp_path):
    command(driver, "iteration_time", write(), "--output", tmp_path / "t")
    assert pd.read_csv(tmp_path / "t.csv").empty and (tmp_path / "t.svg").exists()


def test_repeats_give_intervals_and_a_single_one_none(write):
    each = [("mafocops", fps) for fps in (300.0, 330.0, 360.0)] + [("macpo", fps) for fps in (200.0, 220.0, 210.0)]
    rows = efficiency.tidy("table1", results.read([write(algorithm=a, fps=fps) for a, fps in each], repeats=True))
    here = rows[rows["scenario"] == "ant_2x4"].set_index(["setting", "quantity"])
    speed, ratio = here.loc[("mafocops", "fps")], here.loc[(efficiency.RATIO, "ratio")]
    assert (speed["ours"], speed["low"], speed["high"], speed["runs"]) == (330.0, 300.0, 360.0, 3)
    assert ratio["ours"] == pytest.approx(330 / 210) and ratio["low"] < ratio["ours"] < ratio["high"]
    alone = efficiency.tidy("table1", results.read([write(algorithm=a) for a in ("mafocops", "macpo")], repeats=True))
    assert alone.loc[alone["ours"].notna(), ["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_caption_speaks_of_intervals_where_there_are_some(write, command, tmp_path, repeats):
    runs = [write(fps=300.0 + k) for k in range(repeats)]
    command(driver, "table1", *runs, "--output", tmp_path / "t")
    for suffix in (".md", ".caption.txt"):
        assert ("[" in (tmp_path / f"t{suffix}").read_text()) == (repeats > 1)


def test_the_curves_of_figure_6_are_named_by_their_bounds(write):
    frame = results.read([write(variant="safety_bound=25", bound=25.0), write(variant="default", bound=50.0)])
    drawn = curves.curves(frame, "bound")
    figure = curves.draw(drawn, ["ant_2x4"], curves._lines(drawn, "figure6"))
    assert not figure.legends
    for axis in figure.axes:
        assert [text.get_text() for text in axis.texts] == ["trained at 25", "trained at 50"]
    plt.close(figure)
