import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as driver
from analysis import curves, results, style
from analysis.tests.conftest import ALGORITHMS, header_only
from envs.scenarios import PAPER


def draw(command, base, *arguments, name="figure2"):
    command(driver, name, *arguments, "--output", base)
    return pd.read_csv(f"{base}.csv"), base.with_name(f"{base.name}.caption.txt").read_text()


def test_the_csv_holds_median_and_quartiles_of_the_known_curves(write, command, tmp_path):
    ramp = np.arange(1.0, 21.0)
    metrics = [write(seed=k, episode_return=ramp + 10 * k, episode_cost=k) for k in range(5)]
    drawn, _ = draw(command, tmp_path / "out" / "f", *metrics)
    returns, costs = (drawn[drawn["quantity"] == quantity] for quantity in ("return", "cost"))
    assert np.allclose(returns["median"], ramp + 20)
    assert np.allclose(returns["low"], ramp + 10) and np.allclose(returns["high"], ramp + 30)
    assert np.allclose(costs["median"], 2) and (drawn["seeds"] == 5).all() and (drawn["bound"] == 50).all()
    assert returns["step"].tolist() == [500_000 * k for k in range(1, 21)]


def test_the_curve_of_skewed_seeds_is_their_median_and_not_their_mean(write, command, tmp_path):
    metrics = [write(seed=k, episode_return=x, episode_cost=x / 2) for k, x in enumerate((100.0, 731.0, 3.0, 4.0, 5.0))]
    drawn, _ = draw(command, tmp_path / "f", *metrics)
    returns, costs = (drawn[drawn["quantity"] == quantity] for quantity in ("return", "cost"))
    assert (returns[["low", "median", "high"]] == [4.0, 5.0, 100.0]).all(axis=None)
    assert (costs[["low", "median", "high"]] == [2.0, 2.5, 50.0]).all(axis=None)


def test_the_other_rule_for_a_fall_is_shown_with_the_length_of_the_episodes(write, command, tmp_path):
    hands = {"scenario": "shadowhandover", "episode_return": 4.0}
    lengths = np.arange(75.0, 55.0, -1.0)
    metrics = [write(**hands), write(**hands, variant="fall=end", episode_cost=7.0, episode_length=lengths)]
    drawn, caption = draw(command, tmp_path / "f", *metrics, name="figure_hands_fall")
    by_quantity = {name: rows["median"].tolist() for name, rows in drawn.groupby("quantity")}
    assert by_quantity == {"return": [4.0] * 20, "cost": [7.0] * 20, "length": lengths.tolist()}
    assert "fall=end" in caption and "1 run, none missing" in caption and (drawn["bound"] == 2.5).all()
    drawn, caption = draw(command, tmp_path / "f", metrics[0], name="figure_hands")
    assert set(drawn["quantity"]) == {"return", "cost"} and "fall=end" not in caption


def test_a_long_run_is_averaged_down_to_the_points_of_a_curve(write):
    frame = results.read([write(iterations=400, episode_return=np.tile([0.0, 1.0], 200))])
    drawn = curves.curves(frame, "algorithm")
    assert drawn["step"].nunique() == curves.POINTS
    assert np.allclose(drawn.loc[drawn["quantity"] == "return", "median"], 0.5)


@pytest.mark.parametrize("scenario", PAPER)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_has_a_curve_on_every_scenario(write, scenario, algorithm):
    drawn = curves.curves(results.read([write(scenario, algorithm)]), "algorithm")
    assert (drawn["scenario"] == scenario).all() and (drawn["line"] == algorithm).all()
    assert len(curves.algorithm_lines(drawn["line"])) == 1


def test_one_figure_can_hold_all_scenarios_in_the_order_asked_for(write, command, tmp_path):
    metrics = [write(scenario) for scenario in PAPER]
    drawn, caption = draw(command, tmp_path / "f", *metrics)
    assert set(drawn["scenario"]) == set(PAPER) and f"{len(PAPER)} runs, none missing" in caption


def test_a_run_that_stopped_early_ends_its_part_of_the_curve(write, command, tmp_path):
    metrics = [write(seed=0), write(seed=1, steps=5_000_000, iterations=10)]
    drawn, caption = draw(command, tmp_path / "f", *metrics)
    assert drawn.loc[drawn["quantity"] == "cost", "seeds"].tolist() == [2] * 10 + [1] * 10
    assert "1 run ended early" in caption


def test_the_caption_says_steps_seeds_note_and_what_was_left_out(write, command, tmp_path):
    metrics = [write(steps=96_000, seed=k) for k in range(3)]
    for k in range(27):  # of failed runs the folder alone says which they were
        folder = tmp_path / f"runs/ant_8x1/mafocops/default/seed{k}"
        folder.mkdir(parents=True)
        metrics.append(header_only(write("ant_8x1", seed=k)).rename(folder / "metrics.csv"))
    _, caption = draw(command, tmp_path / "f", *metrics, "--note", "Quick suite.")
    for part in ("96 thousand steps", "3 seeds", "not comparable", "27 of 30 runs", "Ant 8x1", "Quick suite."):
        assert part in caption


def test_failed_runs_are_counted_without_being_told_how_many_to_expect(write, command, tmp_path):
    _, caption = draw(command, tmp_path / "f", header_only(write(seed=7)), write())
    assert "1 of 2 runs missing" in caption


def test_one_seed_is_drawn_without_a_band_and_the_caption_says_so(write, command, tmp_path):
    drawn, caption = draw(command, tmp_path / "f", write())
    assert (drawn["seeds"] == 1).all() and "one seed, so there is no band" in caption


def test_a_figure_whose_runs_all_failed_still_exists_and_says_so(write, command, tmp_path):
    _, caption = draw(command, tmp_path / "f", *(header_only(write(seed=k)) for k in range(20)))
    assert "20 of 20 runs missing" in caption and (tmp_path / "f.png").stat().st_size > 0


def test_other_variants_do_not_enter_figures_2_to_5(write, command, tmp_path):
    metrics = [write(episode_return=1.0), write(variant="lam=1", episode_return=99.0)]
    drawn, _ = draw(command, tmp_path / "f", *metrics)
    assert drawn.loc[drawn["quantity"] == "return", "median"].unique().tolist() == [1.0]


def test_figure_6_has_one_line_per_bound_with_the_default_run_at_the_published_bound(write, command, tmp_path):
    metrics = [write(episode_cost=40.0), write(algorithm="macpo")]
    metrics += [write(variant=f"safety_bound={b}", bound=b, episode_cost=b - 10.0) for b in (25, 100)]
    drawn, caption = draw(command, tmp_path / "f", *metrics, name="figure6")
    final = drawn[drawn["quantity"] == "cost"].groupby("line")["median"].last()
    assert final.to_dict() == {25: 15.0, 50: 40.0, 100: 90.0}
    assert (drawn["line"] == drawn["bound"]).all()
    assert "does not print its bounds" in caption and "3 runs, none missing" in caption


def test_the_same_metrics_give_the_same_bytes(write, command, tmp_path):
    metrics = [write(seed=k) for k in range(2)]
    for name in ("first", "second"):
        draw(command, tmp_path / name, *metrics)
    for suffix in (".svg", ".png", ".csv", ".caption.txt"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_metrics_may_be_listed_in_a_file(write, command, tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{write(seed=k)}\n" for k in range(4)))
    drawn, _ = draw(command, tmp_path / "f", f"@{listing}")
    assert (drawn["seeds"] == 4).all()


@pytest.mark.parametrize(
    ("name", "file", "said"), [("figure7", "FILE", "figure7"), ("figure2", "absent.csv", "absent")]
)
def test_bad_input_is_one_sentence_exit_code_2_and_no_file(write, tmp_path, name, file, said):
    arguments = [name, str(write()) if file == "FILE" else file, "--output", f"{tmp_path}/f"]
    process = subprocess.run(
        [sys.executable, "-m", "analysis", *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2 and process.stderr.count("\n") == 1 and said in process.stderr
    assert not list(tmp_path.glob("f.*"))


def test_drawing_needs_neither_torch_nor_mujoco_nor_our_algorithms():
    modules = ", ".join(["verdict", *sorted(set(driver.MODULES.values()))])
    code = f"import sys; from analysis import {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "mujoco", "algorithms"} & set(loaded)


def test_a_foreign_algorithm_gets_its_own_colour_and_changes_no_other():
    ours, mixed = style.colours(ALGORITHMS), style.colours([*ALGORITHMS, "foo", "bar"])
    assert {name: mixed[name] for name in ALGORITHMS} == ours
    assert len(set(mixed.values())) == 7 and results.label("foo") == "foo"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, module in driver.MODULES.items()
        if name != "benchmark" and module not in ("evaluation", "verdict")
    ],
)
def test_artefacts_whose_runs_all_failed_still_exist_and_say_so(write, command, tmp_path, name):
    command(driver, name, header_only(write()), "--output", tmp_path / "t")
    assert "1 of 1 run missing" in (tmp_path / "t.caption.txt").read_text()
