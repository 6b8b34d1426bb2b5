"""Every algorithm against every other one: how probably its run is the better, and by how much on the same seed."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from analysis import scores, statistics, style, tables
from analysis.tables import ALL, Printed

OVER = " over "  # joins the two algorithms of a setting
# Score of the runs and column title of each quantity: the probability that X's score is higher, and by how much it is.
PROBABILITIES = {
    "improvement_feasibility_first": ("rank", "Better run, feasibility first (probability)"),
    "improvement_return": ("final_return", "Higher return (probability)"),
    "improvement_cost": ("negative_cost", "Lower cost (probability)"),
}
DIFFERENCES = {
    "difference_return": ("return", "Return / HAPPO, same seed (difference)"),
    "difference_cost": ("cost", "Cost / bound, same seed (difference)"),
}
CAPTION = (
    "X over Y: probability that a run of X is better than one of Y on the same scenario, mean over scenarios, ties one "
    "half; Y over X has the complement. Feasibility first: a feasible run beats an infeasible one, two feasible ones "
    "compare by return, two infeasible ones by cost. Differences: median of X - Y over runs with the same seed: our "
    "algorithms start there from the same weights and states. In brackets 95 % bootstrap intervals, stratified by "
    "scenario: none if a scenario has a single run; one without width says that all seeds agree, not that the value is "
    "certain."
)


def improvement(x: pd.DataFrame, y: pd.DataFrame, score: str) -> dict[str, float]:
    """Return the mean over their common scenarios of the probability that X's score is the higher one."""
    x, y = x.dropna(subset=score), y.dropna(subset=score)
    shared = set(x["scenario"]) & set(y["scenario"])
    strata = [part for runs in (x, y) for part in scores.strata(runs[runs["scenario"].isin(shared)], score)]
    return _estimate(strata, statistics.mean_improvement, sum(map(len, strata)))


def paired(x: pd.DataFrame, y: pd.DataFrame, score: str) -> dict[str, float]:
    """Return the median of X - Y over the runs that have scenario and seed in common; pairs are resampled whole.

    The same seed means the same initial weights and the same states after resets, as far as both algorithms draw them
    alike: a difference within a pair is free of what these do to both.
    """
    both = x.merge(y, on=["scenario", "seed"], suffixes=("_x", "_y"))
    both = both.assign(difference=both[f"{score}_x"] - both[f"{score}_y"])
    strata = scores.strata(both, "difference")
    return _estimate(strata, statistics.pooled(lambda values: np.median(values, axis=-1)), sum(map(len, strata)))


def _estimate(
    strata: list[np.ndarray], statistic: Callable[[Sequence[np.ndarray]], np.ndarray], runs: int
) -> dict[str, float]:
    """Return a statistic with its interval and the number of values it rests on."""
    if not strata:
        return {"ours": float("nan"), "low": float("nan"), "high": float("nan"), "runs": 0}
    low, high = statistics.stratified_bootstrap(strata, statistic, np.random.default_rng(0))
    return {"ours": float(statistic(strata)), "low": low, "high": high, "runs": runs}


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return every pair over all scenarios and on each of them, in the tidy form of all tables.

    `runs` counts the runs of both algorithms for a probability, and pairs of runs for a difference.
    """
    runs = runs.assign(negative_cost=-runs["cost"])
    places = {ALL: runs} | dict(list(runs.groupby("scenario")))
    rows = []
    for first, second in combinations(style.order(runs["algorithm"]), 2):
        for scenario, here in places.items():
            x, y = (here[here["algorithm"] == name] for name in (first, second))
            found = {quantity: improvement(x, y, score) for quantity, (score, _) in PROBABILITIES.items()}
            found |= {quantity: paired(x, y, score) for quantity, (score, _) in DIFFERENCES.items()}
            common = {"scenario": scenario, "setting": f"{first}{OVER}{second}", "steps": here["steps"].min()}
            rows += [{"quantity": quantity, **values, **common} for quantity, values in found.items()]
    return pd.DataFrame(rows).reindex(columns=tables.TIDY).assign(table="comparison_pairs", note="")


def printed(rows: pd.DataFrame) -> Printed:
    """Return one line per pair, over all scenarios."""
    titles = {quantity: title for quantity, (_, title) in (PROBABILITIES | DIFFERENCES).items()}
    lines = []
    for setting, own in rows[rows["scenario"] == ALL].groupby("setting", sort=False):
        cells = own.set_index("quantity")[["ours", "low", "high"]]
        name = OVER.join(map(style.label, setting.split(OVER)))
        lines.append([name, *(tables.interval(*cells.loc[quantity], decimals=2) for quantity in titles)])
    return Printed([("", "X over Y"), *(("", title) for title in titles.values())], lines)
