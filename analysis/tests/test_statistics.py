import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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


def test_profiles_of_resamples_are_taken_one_by_one():
    resamples, thresholds = np.random.default_rng(0).normal(size=(6, 5)), np.linspace(-2, 2, 7)
    each = [statistics.performance_profile(one, thresholds) for one in resamples]
    assert np.array_equal(statistics.performance_profile(resamples, thresholds), each)


def test_an_interval_of_several_numbers_is_the_interval_of_each():
    sample, thresholds = np.random.default_rng(0).normal(size=12), np.array([-0.5, 0.0, 0.5])

    def interval(at):
        profile = statistics.pooled(lambda values: statistics.performance_profile(values, at))
        return np.array(statistics.stratified_bootstrap([sample], profile, np.random.default_rng(1), 300))

    assert np.array_equal(interval(thresholds), np.hstack([interval(thresholds[[k]]) for k in range(3)]))


def coverage(runs, scenarios, repeats=400):
    """Return how often the interval of the interquartile mean of normal scores holds the truth, their centre."""
    generator, held = np.random.default_rng(0), 0
    iqm = statistics.pooled(statistics.interquartile_mean)
    for _ in range(repeats):
        samples = [generator.normal(level, 1, size=runs) for level in range(scenarios)]
        low, high = statistics.stratified_bootstrap(samples, iqm, generator, 300)
        held += low <= (scenarios - 1) / 2 <= high
    print(f"{runs} runs on {scenarios} scenarios: the 95 % interval holds the truth in {held / repeats:.0%}")
    return held / repeats


def test_intervals_of_many_runs_hold_the_truth_nineteen_times_in_twenty_and_those_of_few_do_not():
    assert coverage(30, 1) == pytest.approx(0.95, abs=0.03)
    assert coverage(30, 5) == pytest.approx(0.95, abs=0.03)
    assert coverage(3, 1) < coverage(5, 1) < 0.92


def test_the_optimality_gap_is_the_mean_shortfall():
    assert statistics.optimality_gap(np.array([0.5, 1.0, 3.0])) == pytest.approx(0.5 / 3)
    assert statistics.optimality_gap(np.array([2.0, 4.0]), gamma=3) == 0.5


SCORES = arrays(float, st.integers(1, 7), elements=st.integers(-3, 3).map(float))


@given(SCORES, SCORES)
def test_one_of_two_algorithms_is_better_and_units_do_not_matter(x, y):
    chance = statistics.probability_of_improvement(x, y)
    assert chance + statistics.probability_of_improvement(y, x) == pytest.approx(1)
    assert statistics.probability_of_improvement(x, x) == 0.5
    assert statistics.probability_of_improvement(5 * x + 2, 5 * y + 2) == chance
    assert statistics.probability_of_improvement(x[::-1], np.roll(y, 1)) == pytest.approx(chance)
    wins = stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
    assert chance == pytest.approx(wins)


def test_the_mean_over_scenarios_counts_each_alike_whatever_its_number_of_runs():
    samples = [np.ones(1), np.zeros(9), np.zeros(2), np.ones(3)]  # better on the first, worse on the second
    assert statistics.mean_improvement(samples) == 0.5


def test_improvements_of_resamples_are_taken_one_by_one():
    generator = np.random.default_rng(0)
    samples = [generator.integers(0, 5, size=(6, n)) for n in (2, 3, 4, 5)]
    each = [statistics.mean_improvement([sample[k] for sample in samples]) for k in range(6)]
    assert np.allclose(statistics.mean_improvement(samples), each)


def better(x, y, bound=25.0):
    """Compare lists of (return, cost), feasibility first."""
    both = np.array([*x, *y], float)
    ranks = statistics.feasibility_first(both[:, 0], both[:, 1], both[:, 1] <= bound)
    return statistics.probability_of_improvement(ranks[: len(x)], ranks[len(x) :])


def test_a_feasible_run_beats_an_infeasible_one_whatever_the_return():
    assert better([(-500, 25)], [(4000, 25.1)]) == 1  # at the bound is feasible


def test_two_feasible_runs_compare_by_return_and_two_infeasible_ones_by_cost():
    assert better([(2, 25)], [(1, 0)]) == 1
    assert better([(1, 30)], [(2, 40)]) == 1


def test_a_tie_is_decided_by_the_other_quantity_and_equal_runs_share_a_rank():
    assert better([(2, 10)], [(2, 20)]) == 1
    assert better([(2, 30)], [(1, 30)]) == 1
    assert better([(2, 10)], [(2, 10)]) == better([(2, 30)], [(2, 30)]) == 0.5


RUNS = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 50)), min_size=1, max_size=6)


@given(RUNS, RUNS)
def test_probabilities_of_both_directions_add_up_to_one(x, y):
    assert better(x, y) + better(y, x) == pytest.approx(1)
    assert better(x, x) == 0.5


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=12, unique=True), st.integers(1, 11))
def test_among_feasible_runs_feasibility_first_is_the_plain_comparison_of_returns(returns, cut):
    x, y = np.split(np.array(returns, float), [min(cut, len(returns) - 1)])
    plain = statistics.probability_of_improvement(x, y)
    assert better([(value, 25) for value in x], [(value, 3) for value in y]) == plain


STEPS = np.arange(1, 101) * 1000


def test_a_run_within_its_bound_throughout_keeps_it_from_its_first_episode():
    assert statistics.lasting_feasibility(STEPS, np.full(100, -1.0)) == 1000
    assert statistics.lasting_feasibility(STEPS, np.where(STEPS > 5000, -1.0, np.nan)) == 6000
    assert statistics.lasting_feasibility(STEPS, np.zeros(100)) == 1000  # at the bound is within it


def test_a_run_that_ends_above_its_bound_never_keeps_it():
    assert statistics.lasting_feasibility(STEPS, np.full(100, 0.1)) == np.inf
    assert statistics.lasting_feasibility(STEPS, np.where(STEPS > 90_000, 1.0, -1.0)) == np.inf


def test_a_run_keeps_its_bound_from_where_the_mean_of_a_tenth_does():
    # One above and one below cancel when half of the window of ten iterations is below.
    assert statistics.lasting_feasibility(STEPS, np.where(STEPS <= 40_000, 1.0, -1.0)) == 45_000
    assert statistics.lasting_feasibility(STEPS, np.where(STEPS <= 40_000, 9.0, -1.0)) == 49_000


def test_single_iterations_above_the_bound_do_not_end_feasibility_but_a_relapse_does():
    noisy = np.where(np.arange(100) % 10 == 5, 3.0, -1.0)
    assert statistics.lasting_feasibility(STEPS[9:], noisy[9:]) == 10_000
    relapse = np.where((STEPS > 50_000) & (STEPS <= 60_000), 5.0, -1.0)
    assert 60_000 < statistics.lasting_feasibility(STEPS, relapse) <= 70_000


def test_without_any_episode_feasibility_is_unknown():
    assert np.isnan(statistics.lasting_feasibility(STEPS, np.full(100, np.nan)))


VIOLATIONS = arrays(float, st.integers(1, 60), elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.5, np.nan]))


@given(VIOLATIONS, st.sampled_from([1, 7, 1600, 16000]))
def test_feasibility_lasts_exactly_where_the_final_performance_is_feasible(violations, length):
    steps = np.arange(1, len(violations) + 1) * length
    since, final = (f(steps, violations) for f in (statistics.lasting_feasibility, statistics.final_performance))
    assert np.isnan(since) == np.isnan(final)
    assert np.isnan(final) or np.isfinite(since) == (final <= 0)
    assert statistics.lasting_feasibility(steps, 8 * violations) == pytest.approx(since, nan_ok=True)


@given(VIOLATIONS, st.sampled_from([0.0, 0.1, 1e-9, 1e6]))
def test_the_means_of_all_windows_are_those_of_each(violations, shift):
    steps = np.arange(1, len(violations) + 1) * 1600
    values = violations + shift
    each = [statistics._recent_mean(steps, values, index) for index in range(len(steps))]
    found = statistics._recent_means(steps, values)
    assert found == pytest.approx(each, nan_ok=True, abs=1e-9) and np.array_equal(np.sign(found), np.sign(each), True)


@pytest.mark.parametrize("seeds", [5, 50])
def test_the_chance_of_improvement_of_many_runs_takes_no_table_of_all_pairs(seeds):
    x, y = np.random.default_rng(seeds).integers(0, 20, size=(2, 40, seeds))
    table = (1 + np.sign(x[:, :, None] - y[:, None, :])).mean(axis=(1, 2)) / 2
    assert np.array_equal(statistics.probability_of_improvement(x, y), table)


def test_the_interval_of_a_mean_is_students():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = statistics.mean_interval(values)
    assert low == pytest.approx(values.mean() - 2.35336 * values.std(ddof=1) / 2, abs=1e-4)
    assert high - values.mean() == pytest.approx(values.mean() - low)
    assert np.isnan(statistics.mean_interval(values[:1])).all()
    for end, alternative in ((low, "greater"), (high, "less")):
        assert stats.ttest_1samp(values, end, alternative=alternative).pvalue == pytest.approx(0.05)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 2), (3, 3), (5, 5), (2, 9), (1, 9), (4, 3)])
def test_pairs_that_all_agree_are_decided_where_the_exact_test_decides_them(n, m):
    low, high = statistics.improvement_interval(1.0, n, m)
    exact = stats.mannwhitneyu(np.arange(n) + 99.0, np.arange(m), alternative="greater", method="exact").pvalue
    assert (low > 0.5) == (exact <= 0.05 + 1e-12) and high == 1.0
    assert statistics.improvement_interval(0.0, n, m) == (0.0, pytest.approx(1 - low))


@given(st.floats(0, 1), st.integers(1, 9), st.integers(1, 9))
def test_the_interval_of_pairs_holds_its_number_and_turns_with_the_sides(chance, n, m):
    low, high = statistics.improvement_interval(chance, n, m)
    assert 0 <= low <= chance <= high <= 1
    assert statistics.improvement_interval(1 - chance, m, n) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    assert high - low >= np.subtract(*statistics.improvement_interval(chance, 2 * n, 2 * m)[::-1]) - 1e-9


def test_the_interval_of_a_correlation_is_fishers_and_needs_five():
    low, high = statistics.correlation_interval(0.5, 20)
    assert np.arctanh([low, high]) == pytest.approx(
        np.arctanh(0.5) + np.array([-1, 1]) * 1.644854 * np.sqrt(1.06 / 17), abs=1e-5
    )
    assert np.isnan(statistics.correlation_interval(1.0, 4)).all()
    assert statistics.correlation_interval(-1.0, 5)[1] < 0 < statistics.correlation_interval(-0.8, 5)[1]
