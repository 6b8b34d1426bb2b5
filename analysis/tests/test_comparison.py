import time

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as driver
from analysis import comparison, profiles, results, scores
from analysis.tests.conftest import ALGORITHMS, header_only

PARTS = ("", "_pairs", "_profile", "_seeds")


def scored(metrics):
    """Return the scores of runs."""
    frame = results.read(metrics)
    return scores.of_runs(frame, results.runs(results.default(frame)))


def tidy(metrics, part=comparison.aggregates):
    """Return what one part of the comparison makes of runs, without drawing it."""
    return part(scored(metrics))


@pytest.fixture
def compare(command, tmp_path):
    """Return a function that runs the whole comparison and returns a reader of its artefacts by part."""

    def run(metrics, *options):
        for part in PARTS:
            command(driver, f"comparison{part}", *metrics, *options, "--output", tmp_path / f"c{part}")
        return lambda part="": pd.read_csv(tmp_path / f"c{part}.csv", na_values="")

    return run


@pytest.fixture
def evaluate(tmp_path):
    """Return a function that writes the evaluation of one policy with given violations in each mode."""

    def write_one(scenario, algorithm, seed, **violations):
        frames = [
            pd.DataFrame({"mode": mode, "episode": range(len(values)), "violation": values})
            for mode, values in violations.items()
        ]
        frame = pd.concat(frames).assign(
            scenario=scenario,
            algorithm=algorithm,
            variant="default",
            seed=seed,
            bound=50.0,
            episode_return=1.0,
            episode_cost=0.0,
            episode_length=1000,
            longest_unsafe=0,
        )
        path = tmp_path / f"{scenario}_{algorithm}_{seed}_evaluation.csv"
        frame.to_csv(path, index=False)
        return path

    return write_one


def cells(table, key="setting"):
    """Return the numbers of a tidy table by (setting, quantity), over all scenarios."""
    return table[table["scenario"] == "all"].set_index([key, "quantity"])


def grid(write, seeds=3, scenarios=("ant_2x4", "halfcheetah_2x3"), algorithms=ALGORITHMS):
    generator = np.random.default_rng(0)
    return [
        write(name, algorithm, seed=seed, episode_return=generator.normal(100, 9), episode_cost=generator.normal(30, 9))
        for name in scenarios
        for algorithm in algorithms
        for seed in range(seeds)
    ]


def test_feasible_runs_are_counted_and_feasibility_comes_first(write):
    metrics = [write(seed=k, episode_return=90.0, episode_cost=40.0) for k in range(4)]
    metrics += [write(algorithm="happo", seed=k, episode_return=100.0, episode_cost=100.0) for k in range(4)]
    metrics.append(write(algorithm="macpo", episode_return=100.0, episode_cost=50.0))  # at the bound is within it
    table, both = cells(tidy(metrics))["ours"], cells(tidy(metrics, comparison.pairs))["ours"]
    assert table["mafocops", "return"] == 0.9 and table["mafocops", "cost"] == 0.8
    assert table["mafocops", "optimality_gap"] == pytest.approx(0.1) and table["happo", "optimality_gap"] == 0
    assert table["mafocops", "feasible"] == 1 and table["happo", "feasible"] == 0
    assert table["mafocops", "feasible_from"] == 500_000 and table["happo", "feasible_from"] == np.inf
    assert table["macpo", "feasible"] == 1 and table["macpo", "training_violation"] == 0
    assert np.isnan(table["mafocops", "overshoot"]) and np.isnan(table["macpo", "overshoot"])
    assert table["happo", "overshoot"] == 1
    assert table["mafocops", "training_violation"] == 0 and table["happo", "training_violation"] == 1
    pair = both["mafocops over happo"]
    assert pair["improvement_feasibility_first"] == pair["improvement_cost"] == 1 and pair["improvement_return"] == 0


def test_the_median_run_decides_from_when_an_algorithm_is_feasible(write, compare, tmp_path):
    late = np.where(np.arange(20) < 10, 60.0, 10.0)
    costs = [10.0, late, 60.0]
    table = cells(tidy([write(seed=k, episode_cost=cost) for k, cost in enumerate(costs)]))["ours"]
    assert 5_000_000 < table["mafocops", "feasible_from"] <= 6_000_000
    compare([write(seed=k + 5, episode_cost=cost) for k, cost in enumerate([10.0, 60.0, 60.0])])
    assert "| never |" in (tmp_path / "c.md").read_text()
    assert "final policy" not in (tmp_path / "c.md").read_text()  # nothing was evaluated


def test_overshoot_is_that_of_the_violators_alone(write):
    costs = (10.0, 75.0, 100.0)  # the bound is 50
    table = cells(tidy([write(seed=k, episode_cost=cost) for k, cost in enumerate(costs)]))["ours"]
    assert table["mafocops", "overshoot"] == 0.75


def test_of_several_costs_the_worst_decides(write):
    metrics = [write(seed=k, episode_cost=40.0, bound=60.0, violation=6.0) for k in range(2)]
    table = cells(tidy(metrics))["ours"]
    assert table["mafocops", "feasible"] == 0 and table["mafocops", "training_violation"] == 1
    assert table["mafocops", "overshoot"] == pytest.approx(0.1)


def test_final_policies_are_held_to_the_bound_in_both_modes(write, command, evaluate, tmp_path):
    metrics = [write(algorithm=name, seed=k) for name in ("mafocops", "happo", "foreign") for k in range(2)]
    shares = {("mafocops", 0): (1, 0), ("mafocops", 1): (3, 2), ("happo", 0): (4, 4), ("happo", 1): (4, 4)}
    evaluations = [
        evaluate(
            "ant_2x4", name, seed, stochastic=[1.0] * s + [0.0] * (4 - s), deterministic=[1.0] * d + [-1] * (4 - d)
        )
        for (name, seed), (s, d) in shares.items()
    ]
    command(driver, "comparison", *metrics, *evaluations, "--output", tmp_path / "c")
    table = cells(pd.read_csv(tmp_path / "c.csv"))["ours"]
    assert table["mafocops", "violation_stochastic"] == 0.5 and table["mafocops", "violation_deterministic"] == 0.25
    assert table["happo", "violation_stochastic"] == table["happo", "violation_deterministic"] == 1
    assert np.isnan(table["foreign", "violation_stochastic"])
    assert "Violation of final policy, deterministic" in (tmp_path / "c.md").read_text()


def test_differences_are_taken_between_runs_of_the_same_seed(write):
    levels = np.arange(5) * 10.0  # what a seed does to both
    metrics = [write(seed=k, episode_return=100 + level, episode_cost=20.0) for k, level in enumerate(levels)]
    metrics += [
        write(algorithm="happo", seed=k, episode_return=120 + level, episode_cost=45.0)
        for k, level in enumerate(levels)
    ]
    metrics.append(write(algorithm="happo", seed=9, episode_return=140.0, episode_cost=45.0))  # without a partner
    pair = cells(tidy(metrics, comparison.pairs)).loc["mafocops over happo"]
    assert pair.loc["difference_return", "ours"] == pytest.approx(-20 / 140, abs=1e-5)
    assert pair.loc["difference_cost", "ours"] == pytest.approx(-0.5)
    assert (pair.loc[["difference_return", "difference_cost"], "runs"] == 5).all()
    assert pair.loc["difference_return", "high"] == pytest.approx(pair.loc["difference_return", "low"])


def test_pairs_are_compared_on_the_scenarios_they_share_and_on_each(write):
    metrics = [write(scenario, seed=k) for scenario in ("ant_2x4", "halfcheetah_2x3") for k in range(2)]
    metrics += [write("ant_2x4", "macpo", seed=k, episode_return=50.0) for k in range(2)]
    table = tidy(metrics, comparison.pairs).query("quantity == 'improvement_return'").set_index("scenario")["ours"]
    assert table["all"] == table["ant_2x4"] == 1 and np.isnan(table["halfcheetah_2x3"])


@pytest.mark.parametrize("part", [comparison.aggregates, comparison.pairs])
def test_the_order_of_files_changes_no_number(write, part):
    metrics = grid(write, algorithms=ALGORITHMS[:3])
    one, other = (tidy(paths, part)["ours"] for paths in (metrics, metrics[::-1]))
    assert np.allclose(one, other, rtol=1e-12, equal_nan=True)


def test_profiles_pool_the_runs_of_all_scenarios(write):
    metrics = [write(seed=k, episode_cost=10.0) for k in range(3)]
    metrics.append(write("halfcheetah_2x3", episode_cost=60.0))  # bounds 50 and 30
    drawn = tidy(metrics, profiles.profiles)
    levels = {level: part["threshold"].iloc[0] for level, part in drawn.groupby("share")}
    assert set(levels) == {1, 0.25, 0} and levels[0.25] == pytest.approx(0.2, abs=0.01)


def test_profiles_lie_within_their_bands(write):
    drawn = tidy(grid(write), profiles.profiles)
    assert set(drawn["line"]) == set(ALGORITHMS) and set(drawn["quantity"]) == {"return", "cost"}
    assert ((drawn["low"] <= drawn["share"]) & (drawn["share"] <= drawn["high"])).all()
    assert (drawn.groupby(["line", "quantity"])["share"].diff().dropna() <= 0).all()


def test_all_seeds_agree_with_themselves_and_fewer_seeds_only_partly(write):
    drawn = tidy(grid(write, seeds=6), profiles.agreement)
    assert drawn.groupby("seeds")["subsets"].first().to_dict() == {2: 15, 3: 20, 4: 15, 5: 6, 6: 1}
    most = drawn[drawn["seeds"] == 6]
    assert (most["agreement"] == 1).all() and (most["coverage"] == 1).all()
    assert drawn.loc[drawn["seeds"] == 2, "agreement"].mean() < 0.9
    width = drawn.groupby("seeds")["width"].mean()
    assert width[6] < width[3]


def test_an_algorithm_with_a_single_seed_moves_no_other(write):
    levels = {"macpo": 100.0, "mafocops": 50.0}
    metrics = [write(algorithm=name, seed=k, episode_return=v) for name, v in levels.items() for k in range(4)]
    drawn = tidy([*metrics, write(algorithm="happo", episode_return=75.0)], profiles.agreement)
    assert (drawn["agreement"] == 1).all()
    assert drawn.loc[drawn["line"] == "happo", ["width", "coverage"]].isna().all(axis=None)


def test_subsets_without_one_of_its_scenarios_say_nothing_on_an_algorithm(write):
    metrics = [write("halfcheetah_2x3", seed=k) for k in range(3)] + [write(seed=0, episode_cost=90.0)]
    drawn = tidy(metrics, profiles.agreement).query("quantity == 'cost'").set_index("seeds")
    assert drawn["subsets"].to_dict() == {2: 2, 3: 1}  # those with seed 0


def test_subsets_of_many_seeds_are_drawn_without_repetition():
    drawn = profiles.subsets(np.arange(30), 10, np.random.default_rng(0))
    assert len(drawn) == profiles.SUBSETS and all(len(set(subset)) == 10 for subset in drawn)


def test_the_conclusions_are_the_place_by_return_and_the_side_of_the_bound():
    found = pd.Series({"a": 1.2, "b": 0.9, "c": 1.0})
    assert profiles.conclusions(found, "return").to_dict() == {"a": 1, "b": 3, "c": 2}
    assert profiles.conclusions(found, "cost").to_dict() == {"a": False, "b": True, "c": True}


@pytest.mark.parametrize("algorithms", [["mafocops"], ["macpo", "foreign"]])
@pytest.mark.parametrize("count", [1, 3])
def test_whatever_there_is_is_compared(write, compare, tmp_path, algorithms, count):
    found = compare(grid(write, seeds=count, scenarios=["ant_2x4"], algorithms=algorithms))
    assert set(found()["setting"]) == set(algorithms)
    assert len(found("_pairs")) == len(found("_pairs")["setting"].unique()) * 2 * 5
    assert found("_seeds").empty == (count == 1)
    assert found()["low"].isna().all() == (count == 1)
    assert found("_profile")["low"].isna().all() == (count == 1)
    assert all((tmp_path / f"c{part}.{kind}").stat().st_size for part in PARTS[2:] for kind in ("svg", "png"))
    assert all((tmp_path / f"c{part}.{kind}").stat().st_size for part in PARTS[:2] for kind in ("md", "tex"))


def test_failed_runs_are_named_in_every_caption(write, compare, tmp_path):
    metrics = grid(write, seeds=2, algorithms=["mafocops", "happo"])
    header_only(metrics[0])
    compare(metrics, "--note", "A note.")
    for part in PARTS:
        caption = (tmp_path / f"c{part}.caption.txt").read_text()
        assert "1 of 8 runs missing" in caption and caption.endswith("A note.\n")


def test_with_all_runs_failed_everything_is_empty_but_there(write, compare, tmp_path):
    found = compare([header_only(write(iterations=1))])
    assert all(found(part).empty for part in PARTS)
    assert all("1 of 1 run missing" in (tmp_path / f"c{part}.caption.txt").read_text() for part in PARTS)


def test_unfinished_runs_and_other_variants_are_left_out(write):
    metrics = [write(), write(variant="legacy"), write(seed=1, steps=1_000_000, iterations=2)]
    runs = scored(metrics)
    assert runs[["variant", "seed"]].to_numpy().tolist() == [["default", 0]]


def many_runs(seeds):
    """Return made-up scores of all algorithms on three scenarios, skewed as returns and costs are."""
    names = [(s, a, k) for s in ("ant_2x4", "ant_4x2", "halfcheetah_2x3") for a in ALGORITHMS for k in range(seeds)]
    runs = pd.DataFrame(names, columns=["scenario", "algorithm", "seed"]).assign(steps=10_000_000)
    drawn = np.random.default_rng(0).lognormal(size=(len(runs), 3))
    return runs.assign(**dict(zip(("return", "cost", "rank"), drawn.T, strict=True)), final_return=drawn[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("part", [comparison.pairs, profiles.profiles])
def test_the_comparison_grows_no_faster_than_the_number_of_runs(part):
    spent = []
    for seeds in (20, 160):
        start = time.process_time()
        part(many_runs(seeds))
        spent.append(time.process_time() - start)
    assert spent[1] < 8 * 1.5 * spent[0]
