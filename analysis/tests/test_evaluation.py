"""Files of evaluated episodes and the table of final policies."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as driver
from analysis import evaluation, results
from analysis.tests.conftest import header_only


@pytest.fixture
def write_evaluation(tmp_path):
    """Return a function that writes an evaluation.csv of two modes and returns its path."""

    def write_one(algorithm="mafocops", seed=0, scenario="halfcheetah_2x3", episodes=4, rise=0.0, **columns):
        parts = []
        for mode in results.MODES:
            cost = np.arange(episodes) * 10.0 + seed + rise
            part = {"scenario": scenario, "algorithm": algorithm, "variant": "default", "seed": seed, "mode": mode}
            part |= {
                "episode": np.arange(episodes),
                "bound": 20.0,
                "episode_return": 100.0 + seed,
                "episode_cost": cost,
            }
            part |= {"episode_length": 1000, "violation": cost - 20.0, "longest_unsafe": np.arange(episodes)}
            parts.append(pd.DataFrame(part | columns))
        path = tmp_path / f"{algorithm}{seed}{len(list(tmp_path.iterdir()))}" / "evaluation.csv"
        path.parent.mkdir()
        pd.concat(parts).to_csv(path, index=False)
        return path

    return write_one


def test_means_over_episodes_and_medians_over_seeds(write_evaluation):
    frame = results.evaluations([write_evaluation(seed=seed) for seed in range(3)])
    rows = evaluation.tidy(evaluation.means(frame)).set_index("quantity")
    # Costs are 0, 10, 20, 30 + seed: one episode of seed 0 is above 20, two of seeds 1 and 2 are.
    assert rows.loc["stochastic episode_cost", ["ours", "low", "high"]].tolist() == [16.0, 15.5, 16.5]
    assert rows.loc["stochastic above", "ours"] == 0.5
    assert rows.loc["deterministic overshoot", "ours"] == pytest.approx(
        0.35
    )  # of 10 / 20; 1 / 20, 11 / 20; 2 / 20, 12 / 20
    assert rows.loc["deterministic longest_unsafe", "ours"] == 1.5
    assert (rows["runs"] == 3).all()


def test_of_skewed_policies_the_median_is_shown_and_of_their_episodes_the_mean(write_evaluation):
    paths = [write_evaluation(seed=k, episode_return=np.array([0.0, 0.0, 4.0, x])) for k, x in enumerate((8, 12, 996))]
    rows = evaluation.tidy(evaluation.means(results.evaluations(paths))).set_index("quantity")
    assert rows.loc["deterministic episode_return", "ours"] == 4.0  # of 3, 4 and 250; the episodes' medians are 2


def test_the_table_shows_default_runs_alone(write_evaluation, command, tmp_path):
    paths = [write_evaluation(), write_evaluation(variant="legacy", episode_return=900.0)]
    command(driver, "evaluation", *paths, "--output", tmp_path / "e")
    rows = pd.read_csv(tmp_path / "e.csv").set_index("quantity")
    assert rows.loc["stochastic episode_return", ["ours", "runs"]].tolist() == [100.0, 1]
    assert "1 run, none missing" in (tmp_path / "e.caption.txt").read_text()


def test_the_table_of_the_hands_shows_both_rules_with_drops_and_successes(write_evaluation, command, tmp_path):
    hands = {"scenario": "shadowhandover", "episode_return": 3.46}
    dropped = {"dropped": [0, 0, 1, 0], "success": [1, 1, 1, 0]}
    paths = [write_evaluation(**hands, **dropped), write_evaluation(**hands, variant="fall=end", dropped=1, success=0)]
    command(driver, "figure_hands_policies", *paths, "--output", tmp_path / "e")
    rows = pd.read_csv(tmp_path / "e.csv").set_index(["setting", "quantity"])["ours"]
    for setting, shares in (("mafocops", [0.25, 0.75]), ("mafocops fall=end", [1.0, 0.0])):
        assert [rows[setting, f"stochastic {name}"] for name in results.OUTCOMES] == shares
    printed = (tmp_path / "e.md").read_text()
    assert "MAFOCOPS fall=end | deterministic | 3.5 |" in printed and "Dropped | Success |" in printed
    command(driver, "evaluation", write_evaluation(seed=3), "--output", tmp_path / "robots")
    assert "Dropped" not in (tmp_path / "robots.md").read_text()


def test_steps_come_from_the_records_of_the_runs(write_evaluation, command, tmp_path):
    paths = [write_evaluation(seed=seed) for seed in range(3)]
    command(driver, "evaluation", *paths, "--output", tmp_path / "unknown")
    assert pd.read_csv(tmp_path / "unknown.csv")["steps"].isna().all()
    assert "3 seeds. 3 runs, none missing." in (tmp_path / "unknown.caption.txt").read_text()
    for steps, path in zip((2_000_000, 10_000_000, 10_000_000), paths, strict=True):
        path.with_name("run.json").write_text(json.dumps({"task_version": 1, "steps": steps}))
    command(driver, "evaluation", *paths, "--output", tmp_path / "known")
    assert (pd.read_csv(tmp_path / "known.csv")["steps"] == 2_000_000).all()
    caption = (tmp_path / "known.caption.txt").read_text()
    assert "10 million steps, 3 seeds." in caption and "1 run ended early." in caption


def test_one_seed_has_no_percentiles_and_no_violation_no_overshoot(write_evaluation):
    rows = evaluation.tidy(evaluation.means(results.evaluations([write_evaluation(rise=-30.0)]))).set_index("quantity")
    assert rows[["low", "high"]].isna().all(axis=None)
    assert rows.loc["stochastic above", "ours"] == 0 and np.isnan(rows.loc["stochastic overshoot", "ours"])


def test_each_of_several_costs_has_its_column(write_evaluation, command, tmp_path):
    path = write_evaluation(scenario="ant_2x4", episode_cost_wall=7.0, episode_cost_fall=2.0)
    command(driver, "evaluation", path, "--output", tmp_path / "e")
    table = (tmp_path / "e.md").read_text()
    assert "| Cost wall | Cost fall |" in table and "| 7.0 | 2.0 |" in table


def test_failed_and_absent_runs_are_counted(write_evaluation, command, tmp_path):
    failed, other = (header_only(write_evaluation(algorithm="happo", seed=seed)) for seed in (0, 1))
    command(driver, "evaluation", write_evaluation(), failed, other, "--output", tmp_path / "e")
    caption = (tmp_path / "e.caption.txt").read_text()
    assert "means over 4 seeded episodes" in caption and "2 of 3 runs missing" in caption and "happo0" in caption
    command(driver, "evaluation", failed, "--output", tmp_path / "none")
    assert "1 of 1 run missing" in (tmp_path / "none.caption.txt").read_text()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"mode": "greedy"}, "holds the mode 'greedy': choose from stochastic, deterministic"),
        ({"episode": 1}, "holds an episode twice"),
        ({"violation": "much"}, "holds 'much' in column 'violation'"),
        ({"scenario": "ant_9x9"}, "ant_9x9"),
        ({"seed": [0, 0, 0, 1]}, "must hold one seed throughout"),
        ({"bound": None}, "lacks the column 'bound'"),
    ],
    ids=str,
)
def test_damaged_files_are_refused_with_one_sentence(write_evaluation, damage, reason):
    path = write_evaluation()
    frame = pd.read_csv(path)
    (column, value), *_ = damage.items()
    frame = frame.drop(columns=column) if value is None else frame.assign(**{column: np.resize(value, len(frame))})
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match=reason) as error:
        results.evaluations([path])
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_two_files_of_one_run_are_refused(write_evaluation):
    with pytest.raises(ValueError, match="hold the same run"):
        results.evaluations([write_evaluation(), write_evaluation()])


def test_policies_of_different_task_versions_are_refused(write_evaluation):
    paths = [write_evaluation(seed=seed) for seed in range(2)]
    for version, path in enumerate(paths):
        path.with_name("run.json").write_text(json.dumps({"task_version": version + 1}))
    with pytest.raises(ValueError, match="different task versions"):
        results.evaluations(paths)
