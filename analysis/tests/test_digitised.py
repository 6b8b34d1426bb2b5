import numpy as np
import pandas as pd
import pytest

from analysis import cells
from analysis.judging import MISS, NOT_COMPARABLE, PASS
from analysis.tests.conftest import rows_of_run

FULL = 10_000_000


def reading(scenario, algorithm, quantity, step) -> float:
    rows = cells.readings()
    chosen = (rows["scenario"] == scenario) & (rows["algorithm"] == algorithm) & (rows["quantity"] == quantity)
    return rows.loc[chosen & (rows["step"] == step), "value"].item()


def curve(scenario, algorithm, quantity, factor=1.0, shift=0.0):
    """Return a function of the step that goes through the digitised values, times `factor`."""
    rows = cells.readings().query("scenario == @scenario and algorithm == @algorithm and quantity == @quantity")
    rows = rows.sort_values("step")
    # Constant around each reading, so that the mean over the window is the reading.
    middle = (rows["step"].to_numpy()[1:] + rows["step"].to_numpy()[:-1]) / 2
    return lambda step: factor * rows["value"].to_numpy()[np.searchsorted(middle, step)] + shift


def digitised_run(scenario, algorithm, factor=1.0, steps=FULL, shift=(0.0, 0.0), seed=0):
    value, cost = (curve(scenario, algorithm, q, factor, s) for q, s in zip(("reward", "cost"), shift, strict=True))
    return rows_of_run(scenario, algorithm, seed, steps, value=value, cost=cost)


DIGITISED = sorted({(row.scenario, row.algorithm) for row in cells.readings().itertuples()})


@pytest.mark.parametrize(("scenario", "algorithm"), DIGITISED)
@pytest.mark.parametrize(("factor", "expected"), [(1.0, PASS), (1.2, PASS), (0.5, MISS), (1.6, MISS)])
def test_readings_pass_near_the_curves_and_miss_far_from_them(scenario, algorithm, factor, expected):
    found = pd.DataFrame(cells.of_curves(digitised_run(scenario, algorithm, factor)))
    comparable = algorithm in cells.COMPARABLE
    assert set(found["verdict"]) == {expected if comparable else NOT_COMPARABLE}
    assert comparable or found["reason"].str.startswith("trained there under the bound").all()
    assert found["ours"].to_numpy() == pytest.approx(factor * found["paper"].to_numpy())


@pytest.mark.parametrize(
    ("steps", "judged"), [(1_000_000, []), (2_000_000, [2]), (5_000_000, [2, 5]), (FULL, [2, 5, 9.8])]
)
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_run_is_judged_at_the_readings_it_reached_and_at_no_other(steps, judged, factor):
    found = pd.DataFrame(cells.of_curves(digitised_run("halfcheetah_2x3", "happo", factor, steps)))
    assert len(found) == 6
    named = {f"{name} at {step} million steps" for step in judged for name in ("return", "cost")}
    decided = found[found["verdict"] != NOT_COMPARABLE]
    assert set(decided["quantity"]) == named
    assert set(decided["verdict"]) == ({PASS if factor == 1 else MISS} if judged else set())


@pytest.mark.parametrize(("beyond", "expected"), [(-0.01, PASS), (0.01, MISS)])
def test_the_tolerance_of_a_reading_is_a_quarter_and_the_error_of_reading(beyond, expected):
    shift = (0.25 * 2020 + 40 + beyond, 0.25 * 110 + 5 + beyond)
    found = pd.DataFrame(cells.of_curves(digitised_run("halfcheetah_2x3", "happo", steps=2_000_000, shift=shift)))
    assert set(found.loc[found["ours"].notna(), "verdict"]) == {expected}


def test_readings_compare_with_the_median_over_the_seeds_that_reached_them():
    rows = [digitised_run("ant_2x4", "happo", factor, seed=seed) for seed, factor in enumerate((1.0, 1.1, 5.0))]
    rows.append(digitised_run("ant_2x4", "happo", 9.0, seed=3, steps=2_000_000))
    found = pd.DataFrame(cells.of_curves(pd.concat(rows, ignore_index=True))).set_index("quantity")
    assert found.loc["cost at 5 million steps", "ours"] == pytest.approx(1.1 * 210)
    assert found.loc["cost at 5 million steps", "reason"] == "median of 3 seeds"
    assert found.loc["cost at 2 million steps", "reason"] == "median of 4 seeds"


def test_the_readings_are_those_of_nine_scenarios_and_of_the_folded_corridor():
    rows = cells.readings()
    assert rows["scenario"].nunique() == 9 and set(rows["algorithm"]) == {"happo", "mappo", "macpo", "mappo_l"}
    assert reading("manyagent_ant_2x3", "happo", "cost", 2_000_000) == 172  # t1 has 265
