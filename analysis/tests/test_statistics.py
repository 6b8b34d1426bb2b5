import numpy as np
import pytest
from scipy import stats

from analysis import statistics


def test_final_performance_is_the_mean_of_the_last_tenth():
    steps = np.arange(1, 101)
    assert statistics.final_performance(steps, steps.astype(float)) == np.mean(np.arange(91, 101))


def test_final_performance_falls_back_on_the_last_finished_episode():
    steps, values = np.arange(1, 5), np.array([1.0, 2.0, 3.0, np.nan])
    assert statistics.final_performance(steps, values) == 3.0


def test_final_performance_without_any_episode_is_unknown():
    assert np.isnan(statistics.final_performance(np.arange(1, 4), np.full(3, np.nan)))


def test_bins_average_what_falls_into_them():
    steps, edges = np.arange(1, 9), np.array([0, 4, 8])
    assert statistics.bin_means(steps, steps.astype(float), edges).tolist() == [2.5, 6.5]


def test_bins_as_wide_as_iterations_change_nothing():
    steps = np.arange(1, 626) * 16000
    values = np.random.default_rng(0).normal(size=625)
    edges = np.round(np.linspace(0, steps[-1], 626))
    assert np.array_equal(statistics.bin_means(steps, values, edges), values)


def test_an_empty_bin_inside_a_run_is_interpolated_and_one_outside_is_unknown():
    means = statistics.bin_means(np.array([1, 3]), np.array([10.0, 30.0]), np.arange(5))
    assert means[:3].tolist() == [10, 20, 30] and np.isnan(means[3])


def test_a_run_without_values_gives_unknown_bins():
    assert np.isnan(statistics.bin_means(np.array([1]), np.array([np.nan]), np.arange(3))).all()


def test_percentiles_agree_with_numpy_and_count_seeds():
    values = np.random.default_rng(0).normal(size=(5, 7))
    band = statistics.percentiles(values)
    assert np.allclose(band[["low", "median", "high"]].T, np.percentile(values, [25, 50, 75], axis=0))
    values[2, 3] = np.nan
    assert statistics.percentiles(values)["seeds"].tolist() == [5, 5, 5, 4, 5, 5, 5]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 11, 65])
def test_the_interquartile_mean_is_scipys_trimmed_mean(count):
    scores = np.random.default_rng(count).normal(size=(3, count))
    assert np.allclose(statistics.interquartile_mean(scores), stats.trim_mean(scores, 0.25, axis=-1))


def pooled_mean(samples):
    return np.concatenate(samples, axis=-1).mean(axis=-1)


def test_the_bootstrap_depends_on_nothing_but_its_generator():
    samples = [np.arange(5.0), np.arange(9.0)]
    first, second = (
        statistics.stratified_bootstrap(samples, pooled_mean, np.random.default_rng(3), 200) for _ in range(2)
    )
    assert first == second


def test_the_bootstrap_resamples_each_stratum_on_its_own():
    # Constant strata leave nothing to vary; pooled resampling would mix them and widen the interval.
    samples = [np.zeros(5), np.full(5, 10.0)]
    assert statistics.stratified_bootstrap(samples, pooled_mean, np.random.default_rng(0), 200) == (5.0, 5.0)


def test_the_bootstrap_interval_of_a_mean_is_about_two_standard_errors_each_way():
    sample = np.random.default_rng(0).normal(size=400)
    low, high = statistics.stratified_bootstrap([sample], pooled_mean, np.random.default_rng(1))
    assert high - low == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.1)


def test_one_seed_has_no_interval():
    assert np.isnan(statistics.stratified_bootstrap([np.ones(1)], pooled_mean, np.random.default_rng(0))).all()


def test_the_profile_counts_scores_strictly_above():
    assert statistics.performance_profile(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 2.5, 4])).tolist() == [
        1,
        0.75,
        0.5,
        0,
    ]


def better(x, y, bound=25.0):
    """Compare lists of (return, cost)."""
    x, y = np.array(x, float), np.array(y, float)
    return statistics.feasibility_first((x[:, 0], y[:, 0]), (x[:, 1], y[:, 1]), bound)


def test_a_feasible_run_beats_an_infeasible_one_whatever_the_return():
    assert better([(-500, 25)], [(4000, 25.1)]) == 1


def test_two_feasible_runs_compare_by_return_and_two_infeasible_ones_by_cost():
    assert better([(2, 25)], [(1, 0)]) == 1  # at the bound is feasible
    assert better([(1, 30)], [(2, 40)]) == 1


def test_probabilities_of_both_directions_add_up_to_one():
    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, 50, size=(6, 2)) for _ in range(2))
    assert better(x, y) + better(y, x) == 1
    assert better(x, x) == 0.5
