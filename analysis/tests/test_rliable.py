"""Our statistics against rliable's, intervals from the same resamples. `-rP` prints the largest difference of each."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from analysis import statistics

RESAMPLES = 200
SHAPES = [(2, 1), (3, 1), (5, 2), (5, 13), (10, 4), (30, 3)]  # runs, scenarios
THRESHOLDS = np.linspace(-1, 3, 41)
EXACT = 1e-12  # the order of a sum may differ


@pytest.fixture(scope="module")
def rliable():
    # arch 7 does not import beside pandas 3; as a bare package it still gives rliable its arch.bootstrap.
    package = types.ModuleType("arch")
    package.__path__ = importlib.util.find_spec("arch").submodule_search_locations
    sys.modules["arch"] = package
    from rliable import library, metrics

    return types.SimpleNamespace(bootstrap=library, metrics=metrics)


class Recorded(np.random.Generator):
    """A generator that draws given indices, those of one stratum (resamples, n) at a time."""

    def __init__(self, indices):
        super().__init__(np.random.PCG64())
        self.indices = iter(indices)

    def integers(self, low, high, size, **_):
        drawn = next(self.indices)
        assert drawn.shape == size and low == 0 and drawn.max() < high
        return drawn


def scores(shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(1, 0.5, size=shape)


def tied(shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(0, 4, size=shape).astype(float)


def columns(matrix):
    return list(matrix.T)


def agree(name, ours, theirs, record_property):
    largest = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    record_property(name, float(largest))
    print(f"{name}: largest difference to rliable {largest:.1e}")
    assert largest <= EXACT


def their_draws(bootstrap, strata):
    """Return the indices rliable draws after np.random.seed(0), one (RESAMPLES, n) array per stratum."""
    np.random.seed(0)  # rliable resamples with the global generator whatever random_state it is given
    draws = [bootstrap.update_indices() for _ in range(RESAMPLES)]
    return strata(draws)


def of_one(draws):
    runs = np.stack([indices[0] for indices in draws])  # (RESAMPLES, n, K)
    return [runs[:, :, k] for k in range(runs.shape[2])]


def of_two(draws):
    sides = [np.stack([positions[side][0] for positions, _ in draws]) for side in (0, 1)]
    return [runs[:, :, k] for runs in sides for k in range(runs.shape[2])]


def their_interval(rliable, data, function):
    np.random.seed(0)
    _, intervals = rliable.bootstrap.get_interval_estimates({"x": data}, function, reps=RESAMPLES)
    return intervals["x"]


@pytest.mark.parametrize("sample", [scores, tied])
@pytest.mark.parametrize("ours", ["interquartile_mean", "optimality_gap", "mean"])
def test_aggregates(rliable, record_property, ours, sample):
    name = {"interquartile_mean": "aggregate_iqm", "optimality_gap": "aggregate_optimality_gap", "mean": None}[ours]
    theirs = getattr(rliable.metrics, name) if name else rliable.metrics.aggregate_mean
    found = [statistics.pooled(getattr(statistics, ours))(columns(sample(shape))) for shape in SHAPES]
    agree(ours, found, [theirs(sample(shape)) for shape in SHAPES], record_property)


@pytest.mark.parametrize("sample", [scores, tied])
def test_the_probability_of_improvement(rliable, record_property, sample):
    pairs = [(sample(shape), sample((shape[0] + 1, shape[1]), seed=1)) for shape in SHAPES]
    ours = [statistics.mean_improvement([*columns(x), *columns(y)]) for x, y in pairs]
    theirs = [rliable.metrics.probability_of_improvement(x, y) for x, y in pairs]
    agree("probability_of_improvement", ours, theirs, record_property)


def test_profiles_and_their_bands(rliable, record_property):
    for shape in SHAPES:
        data = scores(shape)
        np.random.seed(0)
        profile, bands = rliable.bootstrap.create_performance_profile({"x": data}, THRESHOLDS, reps=RESAMPLES)
        ours = statistics.pooled(lambda values: statistics.performance_profile(values, THRESHOLDS))
        agree(f"profile {shape}", ours(columns(data)), profile["x"], record_property)
        recorded = Recorded(their_draws(rliable.bootstrap.StratifiedBootstrap(data), of_one))
        band = statistics.stratified_bootstrap(columns(data), ours, recorded, RESAMPLES)
        agree(f"profile bands {shape}", band, bands["x"], record_property)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"), [("interquartile_mean", "aggregate_iqm"), ("optimality_gap", "aggregate_optimality_gap")]
)
def test_intervals_from_the_same_resamples(rliable, record_property, shape, ours, theirs):
    data, function = scores(shape), getattr(rliable.metrics, theirs)
    expected = their_interval(rliable, data, lambda x: np.array([function(x)]))
    recorded = Recorded(their_draws(rliable.bootstrap.StratifiedBootstrap(data), of_one))
    statistic = statistics.pooled(getattr(statistics, ours))
    found = statistics.stratified_bootstrap(columns(data), statistic, recorded, RESAMPLES)
    agree(f"interval of {ours} {shape}", found, expected[:, 0], record_property)


@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_of_the_probability_of_improvement_from_the_same_resamples(rliable, record_property, shape):
    x, y = scores(shape), scores((shape[0] + 1, shape[1]), seed=1)
    expected = their_interval(
        rliable, [x, y], lambda a, b: np.array([rliable.metrics.probability_of_improvement(a, b)])
    )
    recorded = Recorded(their_draws(rliable.bootstrap.StratifiedIndependentBootstrap(x, y), of_two))
    found = statistics.stratified_bootstrap(
        [*columns(x), *columns(y)], statistics.mean_improvement, recorded, RESAMPLES
    )
    agree(f"interval of probability_of_improvement {shape}", found, expected[:, 0], record_property)


def test_intervals_with_our_own_generator_differ_by_the_bootstraps_noise_alone(rliable, record_property):
    data = scores((10, 4))
    np.random.seed(0)
    _, expected = rliable.bootstrap.get_interval_estimates(
        {"x": data}, lambda x: np.array([rliable.metrics.aggregate_iqm(x)]), reps=4000
    )
    statistic = statistics.pooled(statistics.interquartile_mean)
    found = statistics.stratified_bootstrap(columns(data), statistic, np.random.default_rng(0), 4000)
    relative = np.max(np.abs(np.asarray(found) - expected["x"][:, 0])) / np.diff(found)[0]
    record_property("share of the width", float(relative))
    print(f"4000 resamples of either: ends differ by {relative:.1%} of the interval's width")
    assert relative < 0.05
