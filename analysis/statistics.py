"""Statistics over seeds and scenarios as pure functions on arrays.

The paper's view is the median with the 25-75 % percentiles over seeds. Beside it stand the interquartile mean,
optimality gap, probability of improvement, performance profiles and stratified bootstrap intervals of Agarwal et al.
(2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice", tested to equal those of their package
rliable, and what a safety bound adds: an order that puts feasibility first, and the step from which a run keeps it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

FINAL_SHARE = 0.1  # final performance is the mean over this last share of a run's steps


def _recent_mean(steps: np.ndarray, values: np.ndarray, index: int) -> float:
    """Return the mean of the values in the window of FINAL_SHARE of all steps that ends at steps[index].

    Where no episode finished in the window, the last value before it stands in; NaN where there is none either.
    """
    start = np.searchsorted(steps, steps[index] - FINAL_SHARE * steps[-1], side="right")
    seen = values[: index + 1][np.isfinite(values[: index + 1])]
    inside = values[start : index + 1][np.isfinite(values[start : index + 1])]
    if not len(seen):
        return float("nan")
    return float(inside.mean() if len(inside) else seen[-1])


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
    means = np.array([_recent_mean(steps, violations, index) for index in range(len(steps))])
    kept = np.flatnonzero(np.isfinite(means))
    if not len(kept):
        return float("nan")
    above = np.flatnonzero(means > 0)
    first = above[-1] + 1 if len(above) else kept[0]
    return float(steps[first]) if first < len(steps) else float("inf")


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
    count = scores.shape[-1]
    cut = count // 4
    return np.sort(scores, axis=-1)[..., cut : count - cut].mean(axis=-1)


def optimality_gap(scores: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Return how far the scores of the last axis fall short of `gamma` on average, those above it by zero."""
    return gamma - np.minimum(scores, gamma).mean(axis=-1)


def stratified_bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Callable[[list[np.ndarray]], np.ndarray],
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
    drawn = [sample[generator.integers(len(sample), size=(resamples, len(sample)))] for sample in samples]
    low, high = np.quantile(statistic(drawn), [0.025, 0.975], axis=0)
    return low, high


def pooled(reduce: Callable[[np.ndarray], np.ndarray]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Return the statistic of several strata (..., n_k) that reduces the last axis of all of them together."""
    return lambda samples: reduce(np.concatenate(samples, axis=-1))


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of the last axis."""
    return values.mean(axis=-1)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of scores strictly above each threshold: scores (..., n), thresholds (m,) to (..., m)."""
    return np.stack([(scores > threshold).mean(axis=-1) for threshold in thresholds], axis=-1)


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the probability that a score of X is above one of Y: (..., n) and (..., m) to (...).

    It is the Mann-Whitney statistic U / (n m): the share of pairs that X wins, a tie counts one half.
    """
    return (1 + np.sign(x[..., :, None] - y[..., None, :])).mean(axis=(-2, -1)) / 2


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
