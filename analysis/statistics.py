"""Statistics over seeds and scenarios as pure functions on arrays.

The paper's view is the median with the 25-75 % percentiles over seeds. Beside it stand the interquartile mean,
optimality gap, probability of improvement, performance profiles and stratified bootstrap intervals of Agarwal et al.
(2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", tested to equal those of their package
rliable, and what a safety bound adds: an order that puts feasibility first, and the step from which a run keeps it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import optimize, stats

EACH_END = 0.95  # confidence in either end of the intervals of means over seeds, pairs of seeds and correlations
FINAL_SHARE = 0.1  # final performance is the mean over this last share of a run's steps


def _recent_mean(steps: np.ndarray, values: np.ndarray, index: int) -> float:
    """Return the mean of the values in the window of FINAL_SHARE of all steps that ends at steps[index].

    Where no episode finished in the window, the last value before it stands in; NaN where there is none either.
    """
    known = np.flatnonzero(np.isfinite(values[: index + 1]))
    if not len(known):
        return float("nan")
    inside = known[steps[known] > steps[index] - FINAL_SHARE * steps[-1]]
    return float(values[inside if len(inside) else known[-1:]].mean())


def final_performance(steps: np.ndarray, values: np.ndarray) -> float:
    """Return the mean of `values` over the last tenth of the steps.

    Short runs may finish no episode in that window; the last value there is stands in for it.

    Args:
        steps: (n,) growing environment steps.
        values: (n,) one value per iteration, NaN where no episode finished.
    """
    return _recent_mean(steps, values, len(steps) - 1)


def lasting_feasibility(steps: np.ndarray, violations: np.ndarray) -> float:
    """Return the first step from which a run keeps its bound to the end; infinity if it never does.

    Costs of single iterations are means over few episodes and jump across the bound. So a run keeps it at a step if
    the mean violation over the tenth of the run that ends there is not positive (over the steps so far, in the first
    tenth). It is the window of `final_performance`: the step is finite if and only if the final violation is not
    positive. The mean lags by up to a tenth of the run, so the step is an upper estimate.

    Args:
        steps: (n,) growing environment steps.
        violations: (n,) mean episode cost minus bound per iteration, NaN where no episode finished.
    """
    means = _recent_means(steps, violations)
    kept = np.flatnonzero(np.isfinite(means))
    if not len(kept):
        return float("nan")
    above = np.flatnonzero(means > 0)
    first = above[-1] + 1 if len(above) else kept[0]
    return float(steps[first]) if first < len(steps) else float("inf")


def _recent_means(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return `_recent_mean` at every index, (n,): of the right sign everywhere, and within rounding.

    Differences of running sums cost one pass; where rounding could turn a sign, the mean itself is taken.
    """
    known = np.isfinite(values)
    sums, counts = (np.concatenate([[0.0], np.cumsum(each)]) for each in (np.where(known, values, 0), known))
    starts = np.searchsorted(steps, steps - FINAL_SHARE * steps[-1], side="right")
    ends = np.arange(len(steps)) + 1
    inside = counts[ends] - counts[starts]
    means = np.divide(sums[ends] - sums[starts], inside, out=np.full(len(steps), np.nan), where=inside > 0)
    largest = np.abs(np.where(known, values, 0)).sum()
    for index in np.flatnonzero(~(np.abs(means) > 1e-9 * largest)):
        means[index] = _recent_mean(steps, values, index)
    return means


def bin_means(steps: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean of `values` in each half-open bin (edges[k], edges[k + 1]], shape (m,).

    An empty bin inside the run is interpolated linearly; bins before the first or after the last value are NaN.

    Args:
        steps: (n,) growing environment steps.
        values: (n,), NaN where unknown.
        edges: (m + 1,) growing bin edges.
    """
    known = np.isfinite(values) & (steps > edges[0]) & (steps <= edges[-1])
    index = np.searchsorted(edges, steps[known], side="left") - 1
    count = np.bincount(index, minlength=len(edges) - 1)
    total = np.bincount(index, weights=values[known], minlength=len(edges) - 1)
    filled = np.flatnonzero(count)
    if not len(filled):
        return np.full(len(edges) - 1, np.nan)
    return np.interp(np.arange(len(count)), filled, total[filled] / count[filled], left=np.nan, right=np.nan)


def percentiles(values: np.ndarray) -> pd.DataFrame:
    """Return columns `low`, `median`, `high` (25, 50, 75 %) and `seeds` for each of m points, ignoring NaN.

    Args:
        values: (S, m), one row per seed.
    """
    frame = pd.DataFrame(values)
    bands = frame.quantile([0.25, 0.5, 0.75]).to_numpy()
    return pd.DataFrame({"low": bands[0], "median": bands[1], "high": bands[2], "seeds": frame.count().to_numpy()})


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half of the last axis: (..., n) to (...); floor(n / 4) are cut at either end."""
    return stats.trim_mean(scores, 0.25, axis=-1)


def optimality_gap(scores: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Return how far the scores of the last axis fall short of `gamma` on average, those above it by zero."""
    return gamma - np.minimum(scores, gamma).mean(axis=-1)


def stratified_bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Callable[[Sequence[np.ndarray]], np.ndarray],
    generator: np.random.Generator,
    resamples: int = 2000,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Return the 95 % percentile interval of a statistic, each stratum resampled on its own.

    Few runs make it too narrow: it cannot leave the range of the values, and resamples of n values vary less than new
    values would, by a factor of sqrt(1 - 1/n) for a mean. Where all values agree it has no width: that is no certainty.

    Args:
        samples: K strata (for example scenarios), the k-th of shape (n_k,), one value per seed.
        statistic: maps K arrays of shape (resamples, n_k) to (resamples,), or to (resamples, m) for m intervals.
        generator: the only source of randomness.
        resamples: number of bootstrap replicates.

    Returns:
        (low, high), numbers or arrays (m,); both NaN when a stratum has fewer than two values, because nothing can be
        resampled then.
    """
    if min(map(len, samples)) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap(
        samples,
        lambda *drawn, axis: statistic(drawn).T,
        n_resamples=resamples,
        vectorized=True,
        method="percentile",
        rng=generator,
    )
    return found.confidence_interval


def estimate(
    samples: Sequence[np.ndarray], statistic: Callable[[Sequence[np.ndarray]], np.ndarray]
) -> dict[str, float]:
    """Return a statistic of strata as `ours`, and its 95 % interval as `low` and `high`; NaN where a stratum is empty.

    The generator starts anew each time, so that no number depends on which others are asked for.
    """
    if not samples or not all(map(len, samples)):
        return dict.fromkeys(("ours", "low", "high"), float("nan"))
    low, high = stratified_bootstrap(samples, statistic, np.random.default_rng(0))
    return {"ours": float(statistic(samples)), "low": low, "high": high}


def pooled(reduce: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Return the statistic of several strata (..., n_k) that reduces the last axis of all of them together."""
    return lambda samples: reduce(np.concatenate(samples, axis=-1))


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of the last axis."""
    return values.mean(axis=-1)


def median(values: np.ndarray) -> np.ndarray:
    """Return the median of the last axis."""
    return np.median(values, axis=-1)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of scores strictly above each threshold: scores (..., n), thresholds (m,) to (..., m)."""
    return np.stack([(scores > threshold).mean(axis=-1) for threshold in thresholds], axis=-1)


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the probability that a score of X is above one of Y: (..., n) and (..., m) to (...).

    It is the Mann-Whitney statistic U / (n m): the share of pairs that X wins, a tie counts one half. U comes from the
    ranks, so the work does not grow with n m.
    """
    n, m = x.shape[-1], y.shape[-1]
    ranks = stats.rankdata(np.concatenate([x, y], axis=-1), axis=-1)[..., :n]
    return (ranks.sum(axis=-1) - n * (n + 1) / 2) / (n * m)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the interval of the mean of (n,) values by Student's t; NaN for fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(EACH_END, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def improvement_interval(chance: float, n: int, m: int) -> tuple[float, float]:
    """Return the interval of a `probability_of_improvement` that was seen in n scores of X and m of Y.

    It is method 5 of Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2": unlike resampling it has a width where all pairs agree. Three against three decide, as in the
    exact test, and two against two do not.
    """
    return _lowest_chance(chance, n, m), 1 - _lowest_chance(1 - chance, n, m)


def _lowest_chance(seen: float, n: int, m: int) -> float:
    """Return the least chance whose distance to the one seen is no more than what its standard error explains."""
    if seen == 0:
        return 0.0
    z, extra = stats.norm.ppf(EACH_END), (n + m) / 2 - 1

    def excess(chance: float) -> float:
        spread = chance * (1 - chance) * (1 + extra * ((1 - chance) / (2 - chance) + chance / (1 + chance)))
        return seen - chance - z * np.sqrt(spread / (n * m))

    return float(optimize.brentq(excess, 0, min(seen, 1 - 1e-9)))


def correlation_interval(correlation: float, count: int) -> tuple[float, float]:
    """Return the interval of a rank correlation of `count` runs: Fisher's z with the variance of Fieller et al. (1957).

    Fewer than five runs have none: NaN.
    """
    if count < 5 or np.isnan(correlation):
        return float("nan"), float("nan")
    middle = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    half = stats.norm.ppf(EACH_END) * np.sqrt(1.06 / (count - 3))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def mean_improvement(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over K scenarios of the probability that X improves on Y.

    Args:
        samples: 2 K strata, X's scores (..., n_k) on each scenario, then Y's (..., m_k) on the same scenarios.
    """
    half = len(samples) // 2
    chances = [probability_of_improvement(x, y) for x, y in zip(samples[:half], samples[half:], strict=True)]
    return np.mean(chances, axis=0)


def feasibility_first(returns: np.ndarray, costs: np.ndarray, feasible: np.ndarray) -> np.ndarray:
    """Return the rank of each run (0 is the worst) in the order that puts feasibility first; equal runs share a rank.

    A feasible run is better than an infeasible one; of two feasible ones the higher return is better, of two infeasible
    ones the lower cost (Deb, 2000, "An efficient constraint handling method for genetic algorithms"). Where that is a
    tie, the other of the two decides. Return does not come before cost among infeasible runs, because a return bought
    by violations is what the bound forbids: an algorithm without any constraint would win there.

    Args:
        returns: (n,) final returns.
        costs: (n,) final costs, or what grows with them.
        feasible: (n,) of bool.
    """
    keys = np.stack([feasible, np.where(feasible, returns, -costs), np.where(feasible, -costs, returns)])
    return np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)
