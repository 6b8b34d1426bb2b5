"""Statistics over seeds and scenarios as pure functions on arrays.

The paper's view is the median with the 25-75 % percentiles over seeds. Beside it stand the interquartile mean with
stratified bootstrap intervals and performance profiles of Agarwal et al. (2021), "Deep Reinforcement Learning at the
Edge of the Statistical Precipice", and a comparison that puts feasibility first.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

FINAL_SHARE = 0.1  # final performance is the mean over this last share of a run's steps


def final_performance(steps: np.ndarray, values: np.ndarray) -> float:
    """Return the mean of `values` over the last tenth of the steps.

    Short runs may finish no episode in that window; the last value there is stands in for it.

    Args:
        steps: (n,) growing environment steps.
        values: (n,) one value per iteration, NaN where no episode finished.
    """
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    last = known & (steps > (1 - FINAL_SHARE) * steps[-1])
    return float(values[last].mean() if last.any() else values[known][-1])


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


def stratified_bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Callable[[list[np.ndarray]], np.ndarray],
    generator: np.random.Generator,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic, each stratum resampled on its own.

    Args:
        samples: K strata (for example scenarios), the k-th of shape (n_k,), one value per seed.
        statistic: maps K arrays of shape (resamples, n_k) to (resamples,).
        generator: the only source of randomness.
        resamples: number of bootstrap replicates.

    Returns:
        (low, high); both NaN when a stratum has fewer than two values, because nothing can be resampled then.
    """
    if min(map(len, samples)) < 2:
        return float("nan"), float("nan")
    drawn = [sample[generator.integers(len(sample), size=(resamples, len(sample)))] for sample in samples]
    low, high = np.quantile(statistic(drawn), [0.025, 0.975])
    return float(low), float(high)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of scores strictly above each threshold: scores (n,), thresholds (m,) to (m,)."""
    return (scores[:, None] > thresholds).mean(axis=0)


def feasibility_first(
    returns: tuple[np.ndarray, np.ndarray], costs: tuple[np.ndarray, np.ndarray], bound: float
) -> float:
    """Return the probability that a run of X is better than a run of Y; a tie counts one half.

    A run with cost <= bound beats one above it; two feasible runs compare by return, two infeasible ones by cost
    (the rule of Deb, 2000, "An efficient constraint handling method for genetic algorithms").

    Args:
        returns: X of shape (n,) and Y of shape (m,), final returns.
        costs: X (n,) and Y (m,), final costs.
        bound: safety bound in the unit of the costs.
    """
    scores = [
        # Every feasible run ranks above every infeasible one through the first, larger key.
        [(1.0, value) if cost <= bound else (0.0, -cost) for value, cost in zip(run, cost_of_run, strict=True)]
        for run, cost_of_run in zip(returns, costs, strict=True)
    ]
    outcome = [(x > y) + 0.5 * (x == y) for x in scores[0] for y in scores[1]]
    return float(np.mean(outcome))
