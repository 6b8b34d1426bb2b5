"""What fewer seeds would have said: width of the intervals, and how often the conclusions stay the same.

For n seeds, subsets of the seeds that were run are drawn without replacement, the same subset for every algorithm and
scenario. Subsets of nearly all seeds hold nearly the same runs, so what is shown at the right end flatters: it says how
many seeds were enough to repeat this result, not how many would repeat the experiment.
"""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis import panels, scores, statistics, style

NAME = "seeds"
COUNTS = (2, 3, 4, 5, 7, 10, 15, 20, 30, 50)  # numbers of seeds that are looked at, and all there are
SUBSETS = 50  # per number of seeds at the most
RESAMPLES = 500  # of each subset's interval
DODGE = 0.045  # between the points of two algorithms
SCORES = {"return": "Return / HAPPO", "cost": "Cost / bound"}
MEASURES = {"width": "Width of interval", "coverage": "Interval holds mean", "agreement": "Same conclusion"}
COLUMNS = ["line", "quantity", "seeds", "subsets", *MEASURES]
CAPTION = (
    "What fewer seeds would have said: up to 50 subsets of the seeds for each number. Top: width of the 95 % interval "
    "of the interquartile mean, relative to the mean of all seeds. Middle: share of these intervals that hold the mean "
    "of all seeds (dotted: 95 %); below, intervals are too narrow. Bottom: share of subsets with the conclusion of all "
    "seeds: of return, the place among the algorithms; of cost, the side of the bound. Subsets share runs with the "
    "whole, which flatters the lower two."
)


def subsets(seeds: np.ndarray, size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return all subsets of a size, or SUBSETS random ones where there are more."""
    if comb(len(seeds), size) <= SUBSETS:
        return [np.array(subset) for subset in combinations(seeds, size)]
    return [generator.choice(seeds, size, replace=False) for _ in range(SUBSETS)]


def complete(part: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a part of the runs of those algorithms that have all their scenarios in it."""
    here, there = (frame.groupby("algorithm")["scenario"].nunique() for frame in (part, runs))
    return part[part["algorithm"].map(here) == part["algorithm"].map(there)]


def means(runs: pd.DataFrame, quantity: str) -> pd.Series:
    """Return the interquartile mean of each algorithm."""
    return runs.groupby("algorithm")[quantity].agg(
        lambda values: float(statistics.interquartile_mean(values.to_numpy()))
    )


def conclusions(found: pd.Series, quantity: str) -> pd.Series:
    """Return what interquartile means say: an algorithm's place by return, or whether its cost is within the bound."""
    return found.le(1) if quantity == "cost" else found.rank(ascending=False)


def _subset(runs: pd.DataFrame, quantity: str, full: pd.Series, generator: np.random.Generator) -> pd.DataFrame:
    """Return the MEASURES of each algorithm that has runs in a subset of the runs.

    Args:
        runs: the runs of the subset.
        quantity: a key of SCORES.
        full: interquartile means of all runs by algorithm.
        generator: of the bootstrap.
    """
    found, iqm = means(runs, quantity), statistics.pooled(statistics.interquartile_mean)
    # Places are counted among the algorithms that are there: one whose runs failed moves no other.
    agrees = conclusions(found, quantity) == conclusions(full[found.index], quantity)
    rows = []
    for name in found.index:
        own = scores.strata(runs[runs["algorithm"] == name], quantity)
        low, high = statistics.stratified_bootstrap(own, iqm, generator, RESAMPLES)
        covered = float(low <= full[name] <= high) if np.isfinite(low) else np.nan
        rows.append((name, (high - low) / abs(full[name]), covered, float(agrees[name])))
    return pd.DataFrame(rows, columns=["line", *MEASURES])


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of the MEASURES over the subsets of each size, columns COLUMNS; empty with a single seed.

    An algorithm enters with those subsets that leave it a run on each of its scenarios; `subsets` counts them.
    """
    generator, rows = np.random.default_rng(0), []
    seeds = np.sort(runs["seed"].unique())
    for size in [*(count for count in COUNTS if count < len(seeds)), len(seeds)]:
        chosen = subsets(seeds, size, generator) if size > 1 else []
        for quantity in SCORES:
            known = runs.dropna(subset=quantity)
            full = means(known, quantity)
            for subset in chosen:
                part = complete(known[known["seed"].isin(subset)], known)
                rows.append(_subset(part, quantity, full, generator).assign(quantity=quantity, seeds=size, subsets=1))
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    how = dict.fromkeys(MEASURES, "mean") | {"subsets": "sum"}
    return pd.concat(rows).groupby(["quantity", "seeds", "line"], as_index=False).agg(how)[COLUMNS]


def draw(drawn: pd.DataFrame, caption: str) -> Figure:
    """Draw the MEASURES against the number of seeds, of return and cost side by side."""
    style.use()
    lines = panels.algorithm_lines(drawn["line"])
    figure, axes = panels.frame_axes(len(MEASURES), len(SCORES), lines, caption, bound=False)
    sizes = sorted(drawn["seeds"].unique())
    for column, (quantity, title) in enumerate(SCORES.items()):
        panel = drawn[drawn["quantity"] == quantity]
        for axis, (measure, name) in zip(axes[:, column], MEASURES.items(), strict=True):
            for index, line in reversed(list(enumerate(lines))):
                curve = panel[panel["line"] == line.key]
                # Side by side, so that equal values do not hide each other.
                x = [sizes.index(size) + DODGE * (index - (len(lines) - 1) / 2) for size in curve["seeds"]]
                axis.plot(
                    x, curve[measure], color=line.colour, linewidth=line.width, marker="o", markersize=4, clip_on=False
                )
            axis.set_xticks(range(len(sizes)), sizes)
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.set_ylim(0, None if measure == "width" else 1.06)
            axis.set_ylabel(name if column == 0 else "")
            if measure == "coverage":
                axis.axhline(0.95, color=style.INK, linewidth=0.8, linestyle=":")
            if panel.empty:
                panels.say(axis, "needs several seeds" if drawn.empty else "nothing to show")
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("Number of seeds")
    figure.align_ylabels(axes[:, 0])
    return figure
